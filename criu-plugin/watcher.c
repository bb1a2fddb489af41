// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process that outlives CRIU, to put right what CRIU leaves behind when it is killed.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/sched.h>

#include "kvm-plugin.h"

#define WATCHER_NAME "criu-kvm-watch"

/* criu/log.c */
int log_get_fd(void);

/* What the watcher does, and what it needs for that. */
struct duty {
	int (*begin)(void *arg);
	void (*act)(void *arg);
	void *arg;
	const int *fds;
	size_t nr_fds;
	int criu; /* pidfd */
};

static bool is_needed(const struct duty *duty, int fd)
{
	size_t i;

	if (fd == duty->criu || fd == log_get_fd())
		return true;
	for (i = 0; i < duty->nr_fds; i++)
		if (duty->fds[i] == fd)
			return true;
	return false;
}

/* Others wait for the other end of what CRIU has open to be closed. */
static void close_others(const struct duty *duty)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (isdigit((unsigned char)entry->d_name[0]) && fd != dirfd(dir) &&
		    !is_needed(duty, fd))
			close(fd);
	}
	if (dir)
		closedir(dir);
}

static void __attribute__((noreturn)) watch(const struct duty *duty)
{
	struct pollfd gone = { .fd = duty->criu, .events = POLLIN };

	/* Whoever ends CRIU's process group is not to end this. */
	setsid();
	prctl(PR_SET_NAME, WATCHER_NAME);
	close_others(duty);
	if (!duty->begin || !duty->begin(duty->arg))
		while (poll(&gone, 1, -1) != 1)
			;
	duty->act(duty->arg);
	_exit(0);
}

/* Whoever ends CRIU's cgroup is not to end the watcher, so it gets the root's if it may. */
static pid_t fork_outside(void)
{
	static const char *const roots[] = { "/sys/fs/cgroup/unified", "/sys/fs/cgroup" };
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	pid_t child = -1;
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_LEN(roots) && child < 0; i++) {
		fd = open(roots[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		args.cgroup = fd;
		child = syscall(SYS_clone3, &args, sizeof(args));
		if (child)
			close(fd);
	}
	return child < 0 ? fork() : child;
}

/* A child of a child: CRIU, when it has killed what it dumped, waits until it has no child. */
static int fork_watcher(struct watcher *watcher, const struct duty *duty, volatile pid_t *number)
{
	pid_t child = fork();
	int status;

	if (!child) {
		child = fork_outside();
		if (!child)
			watch(duty);
		*number = child;
		_exit(child < 0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		return -1;
	watcher->pidfd = pidfd_open(*number, 0);
	return watcher->pidfd < 0 ? -1 : 0;
}

int start_watcher(struct watcher *watcher, int (*begin)(void *arg), void (*act)(void *arg),
		  void *arg, const int *fds, size_t nr_fds)
{
	struct duty duty = {
		.begin = begin,
		.act = act,
		.arg = arg,
		.fds = fds,
		.nr_fds = nr_fds,
	};
	volatile pid_t *number = share_memory(sizeof(*number));
	sigset_t all, before;
	int ret = -1;

	watcher->pidfd = -1;
	duty.criu = pidfd_open(getpid(), 0);
	if (number && duty.criu >= 0) {
		/* Blocked for the watcher, which nothing else is to end. */
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, &before);
		ret = fork_watcher(watcher, &duty, number);
		sigprocmask(SIG_SETMASK, &before, NULL);
	}
	if (ret)
		pr_perror("Can't start a process that watches CRIU");
	if (duty.criu >= 0)
		close(duty.criu);
	if (number)
		munmap((void *)(uintptr_t)number, sizeof(*number));
	return ret;
}

void stop_watcher(struct watcher *watcher)
{
	struct pollfd gone = { .fd = watcher->pidfd, .events = POLLIN };

	if (watcher->pidfd < 0)
		return;
	if (!pidfd_send_signal(watcher->pidfd, SIGKILL, NULL, 0))
		while (poll(&gone, 1, -1) < 0 && errno == EINTR)
			;
	close(watcher->pidfd);
	watcher->pidfd = -1;
}

void *share_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}
