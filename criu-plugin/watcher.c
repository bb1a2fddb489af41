// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process that outlives CRIU, to put right what CRIU leaves behind when it is killed.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
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

/* In the watcher: what it does, and the pidfd of the process whose end it waits for. */
static const struct duty *own_duty;
static int caller;

static bool is_needed(int fd)
{
	size_t i;

	if (fd == caller || fd == log_get_fd())
		return true;
	for (i = 0; i < own_duty->nr_fds; i++)
		if (own_duty->fds[i] == fd)
			return true;
	return false;
}

void close_shared(void)
{
	struct dirent *entry;
	DIR *dir;

	/* Another watcher may need what this one does not. */
	if (own_duty->shares_files && unshare(CLONE_FILES)) {
		pr_perror("Can't have files of its own");
		return;
	}
	dir = opendir("/proc/self/fd");
	while (dir && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (isdigit((unsigned char)entry->d_name[0]) && fd != dirfd(dir) && !is_needed(fd))
			close(fd);
	}
	if (dir)
		closedir(dir);
}

static void __attribute__((noreturn)) watch(const struct duty *duty)
{
	struct pollfd gone = { .fd = caller, .events = POLLIN };

	/* Whoever ends CRIU's process group is not to end this. */
	setsid();
	prctl(PR_SET_NAME, WATCHER_NAME);
	own_duty = duty;
	/* Others wait for the other end of what CRIU has open to be closed. */
	if (!duty->shares_files)
		close_shared();
	if (!duty->begin || !duty->begin(duty->arg))
		while (poll(&gone, 1, -1) != 1)
			;
	duty->act(duty->arg);
	_exit(0);
}

/* As fork(), which has no flags. */
static pid_t fork_with(unsigned long flags)
{
	return syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

/* Whoever ends CRIU's cgroup is not to end the watcher, so it gets the root's if it may. */
static pid_t fork_outside(unsigned long flags)
{
	static const char *const roots[] = { "/sys/fs/cgroup/unified", "/sys/fs/cgroup" };
	struct clone_args args = { .flags = flags | CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
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
	return child < 0 ? fork_with(flags) : child;
}

/* A child of a child: CRIU, when it has killed what it dumped, waits until it has no child. */
static int fork_watcher(struct watcher *watcher, const struct duty *duty, volatile pid_t *number)
{
	unsigned long flags = duty->shares_files ? CLONE_FILES : 0;
	pid_t child = fork_with(flags);
	int status;

	if (!child) {
		child = fork_outside(flags);
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

int start_watcher(struct watcher *watcher, const struct duty *duty)
{
	volatile pid_t *number = share_memory(sizeof(*number));
	sigset_t all, before;
	int ret = -1;

	watcher->pidfd = -1;
	watcher->caller = -1;
	caller = pidfd_open(getpid(), 0);
	if (number && caller >= 0) {
		/* Blocked for the watcher, which nothing else is to end. */
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, &before);
		ret = fork_watcher(watcher, duty, number);
		sigprocmask(SIG_SETMASK, &before, NULL);
	}
	if (ret)
		pr_perror("Can't start a process that watches CRIU");
	else if (duty->shares_files)
		watcher->caller = caller;
	if (caller >= 0 && watcher->caller < 0)
		close(caller);
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
	if (watcher->caller >= 0)
		close(watcher->caller);
	watcher->pidfd = -1;
}

void *share_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}
