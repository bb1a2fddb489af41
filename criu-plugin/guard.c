// SPDX-License-Identifier: GPL-2.0-only
/*
 * CRIU may be killed at any moment. The kernel then lets go of the threads that CRIU has stopped,
 * as they are: with placeholders where KVM's mappings were, in the middle of code that is not
 * theirs, or about to get the SIGTRAP with which such code ends, which kills the process.
 *
 * So nothing is touched before the process is in a state in which it does not run on then:
 *
 * - What each thread is made of is kept, and which files and mappings there are.
 * - A watcher waits for CRIU's end.
 * - The process gets a SIGSTOP. CRIU, which has seized all threads, does not notice, but a thread
 *   that loses its tracer stops by that instead of running.
 * - SIGTRAP gets a handler. A thread that is let go of in the delivery of a SIGTRAP is stopped
 *   before it runs the first instruction of it, instead of being killed.
 *
 * When CRIU has died the watcher puts everything back and lets the process go on. When CRIU lives,
 * the same is done by CRIU's own exit callback.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/ptrace.h>
#include <time.h>
#include <unistd.h>

#include "thread.h"

#define SC_INSTRUCTION 0x44000002
#define CODE_LEN       64 /* what compel writes to, at the beginning of a mapping, and more */
#define STOPS_MAX      8
#define SEIZE_TRIES    500 /* of 10 ms */

/* No code is there, and none of it would run. */
#define NO_HANDLER 0x10

enum stage {
	STAGE_STOPPING, /* the process may be stopped, and else is as it was */
	STAGE_TOUCHED,	/* it is stopped, and anything may have been done in it */
	STAGE_OVER,	/* nothing is left to be done */
};

/* What the watcher has to know, and changes after it was started. */
struct shared {
	volatile enum stage stage;
	volatile bool has_handler;
};

struct range {
	uint64_t start, end;
	int prot;
};

struct code {
	uint64_t at;
	uint8_t bytes[CODE_LEN];
};

struct guard {
	const struct kvm_process *process;
	struct thread *threads; /* the first is the leader */
	size_t nr_threads;
	int *fds;
	size_t nr_fds;
	struct range *ranges;
	size_t nr_ranges;
	struct code code; /* of the first executable mapping */
	uint64_t sc;	  /* the address of an sc instruction */
	uint64_t handler; /* of SIGTRAP */
	bool was_stopped; /* by somebody else */
	int pidfd;
	struct shared *shared;
	struct watcher watcher;
};

struct kernel_sigaction {
	uint64_t handler, flags, restorer, mask;
};

/* ---- what there is ---- */

static void *append(void **array, size_t *count, size_t size)
{
	char *more = reallocarray(*array, *count + 1, size);

	if (!more) {
		pr_err("Out of memory\n");
		return NULL;
	}
	*array = more;
	return more + (*count)++ * size;
}

/* Call @each with every number in a folder of /proc/PID. */
static int for_each_number(pid_t pid, const char *folder, int (*each)(void *arg, int number),
			   void *arg)
{
	char path[PATH_LEN];
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, folder);
	dir = opendir(path);
	if (!dir)
		return -1;
	while (!ret && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			ret = each(arg, atoi(entry->d_name));
	closedir(dir);
	return ret;
}

static int note_thread(void *arg, int tid)
{
	struct guard *guard = arg;
	struct thread *thread = append((void **)&guard->threads, &guard->nr_threads,
				       sizeof(*thread));

	if (!thread)
		return -1;
	if (!keep_thread(thread, tid))
		return 0;
	pr_perror("Can't read the registers of thread %d", tid);
	return -1;
}

static int note_fd(void *arg, int fd)
{
	struct guard *guard = arg;
	int *noted = append((void **)&guard->fds, &guard->nr_fds, sizeof(*noted));

	if (!noted)
		return -1;
	*noted = fd;
	return 0;
}

/* Call @each with every mapping and its name. */
static int for_each_range(pid_t pid,
			  int (*each)(void *arg, const struct range *range, const char *name),
			  void *arg)
{
	char path[PATH_LEN], *line = NULL;
	size_t room = 0;
	FILE *file;
	int ret = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (!ret && getline(&line, &room, file) > 0) {
		struct range range;
		char perm[5];
		int name = 0;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %n", &range.start,
			   &range.end, perm, &name) < 3)
			continue;
		range.prot = (perm[0] == 'r' ? PROT_READ : 0) | (perm[1] == 'w' ? PROT_WRITE : 0) |
			     (perm[2] == 'x' ? PROT_EXEC : 0);
		line[strcspn(line, "\n")] = '\0';
		ret = each(arg, &range, name ? line + name : "");
	}
	if (ferror(file))
		ret = -1;
	free(line);
	fclose(file);
	return ret;
}

static int find_sc(struct guard *guard, const struct range *vdso)
{
	uint32_t code[1024];
	uint64_t at;
	size_t i;

	for (at = vdso->start; at + sizeof(code) <= vdso->end; at += sizeof(code)) {
		if (copy_memory(guard->process->pid, false, at, code, sizeof(code)))
			return -1;
		for (i = 0; i < ARRAY_LEN(code); i++) {
			if (code[i] == SC_INSTRUCTION) {
				guard->sc = at + i * sizeof(code[0]);
				return 0;
			}
		}
	}
	return 0;
}

static int note_range(void *arg, const struct range *range, const char *name)
{
	struct guard *guard = arg;
	struct range *noted = append((void **)&guard->ranges, &guard->nr_ranges, sizeof(*noted));

	if (!noted)
		return -1;
	*noted = *range;
	if (!strcmp(name, "[vdso]"))
		return find_sc(guard, range);
	if (range->prot & PROT_EXEC && !guard->code.at) {
		guard->code.at = range->start;
		return copy_memory(guard->process->pid, false, range->start, guard->code.bytes,
				   CODE_LEN);
	}
	return 0;
}

/* SIG_IGN or SIG_DFL; or nothing is to be done, since there is a handler. */
static int note_handler(struct guard *guard)
{
	struct fdinfo status;
	const char *ignored, *caught;
	int ret = -1;

	if (read_status(&status, guard->process->pid))
		return -1;
	ignored = next_fdinfo(&status, "SigIgn", NULL);
	caught = next_fdinfo(&status, "SigCgt", NULL);
	if (ignored && caught) {
		guard->handler = (uintptr_t)(strtoull(ignored, NULL, 16) & SIGNAL_BIT(SIGTRAP) ?
						     SIG_IGN :
						     SIG_DFL);
		if (strtoull(caught, NULL, 16) & SIGNAL_BIT(SIGTRAP))
			guard->handler = NO_HANDLER;
		ret = 0;
	}
	free_fdinfo(&status);
	return ret;
}

static bool is_stopped(pid_t tid)
{
	siginfo_t info;

	/* A stop by a signal says which; one by a tracer is called SIGTRAP. */
	return !ptrace(PTRACE_GETSIGINFO, tid, NULL, &info) && info.si_signo != SIGTRAP;
}

static int look_at_process(struct guard *guard)
{
	pid_t pid = guard->process->pid;
	size_t i;

	if (for_each_number(pid, "task", note_thread, guard) ||
	    for_each_number(pid, "fd", note_fd, guard) || for_each_range(pid, note_range, guard) ||
	    note_handler(guard))
		return -1;
	for (i = 0; i < guard->nr_threads; i++) {
		if (guard->threads[i].tid == pid) {
			struct thread leader = guard->threads[i];

			guard->threads[i] = guard->threads[0];
			guard->threads[0] = leader;
		}
	}
	guard->was_stopped = is_stopped(pid);
	if (guard->sc && guard->code.at && guard->nr_threads && guard->threads[0].tid == pid)
		return 0;
	pr_err("Process %d: it has no code to make system calls with\n", pid);
	return -1;
}

/* ---- the stop behind CRIU's ---- */

/* Until the leader, which is settled, stops for @sig alone. */
static int take_signal(const struct thread *leader, int sig)
{
	int i, stop = 0;

	if (set_mask(leader->tid, ~SIGNAL_BIT(sig)) ||
	    syscall(SYS_tgkill, leader->tid, leader->tid, sig))
		return -1;
	for (i = 0; i < STOPS_MAX && stop != sig; i++) {
		if (ptrace(PTRACE_CONT, leader->tid, NULL, NULL))
			return -1;
		stop = wait_thread(leader->tid);
		if (stop < 0)
			return -1;
	}
	return stop == sig ? 0 : -1;
}

/*
 * The leader takes the signal, the others take part when they get to it: none returns to its own
 * code.
 */
static int stop_group(struct guard *guard)
{
	const struct thread *leader = &guard->threads[0];
	size_t i;

	if (guard->was_stopped)
		return 0;
	if (take_signal(leader, SIGSTOP) ||
	    ptrace(PTRACE_CONT, leader->tid, NULL, (void *)SIGSTOP) ||
	    !is_event_stop(wait_thread(leader->tid)) || set_mask(leader->tid, leader->mask))
		return -1;
	for (i = 1; i < guard->nr_threads; i++)
		if (ptrace(PTRACE_CONT, guard->threads[i].tid, NULL, NULL) ||
		    !is_event_stop(wait_thread(guard->threads[i].tid)))
			return -1;
	for (i = 0; i < guard->nr_threads; i++)
		if (!is_stopped(guard->threads[i].tid))
			return -1;
	return 0;
}

/* Somebody may want the process stopped, and SIGCONT drops what would do that. */
static int pending_stop(pid_t pid)
{
	struct fdinfo status;
	const char *text;
	int sig = 0;

	if (read_status(&status, pid))
		return 0;
	text = next_fdinfo(&status, "ShdPnd", NULL);
	if (text && strtoull(text, NULL, 16) & SIGNAL_BIT(SIGSTOP))
		sig = SIGSTOP;
	else if (text && strtoull(text, NULL, 16) & SIGNAL_BIT(SIGTSTP))
		sig = SIGTSTP;
	free_fdinfo(&status);
	return sig;
}

/* The end of that. All threads are settled, and the process does not get to see the signal. */
static int continue_group(const struct guard *guard)
{
	const struct thread *leader = &guard->threads[0];
	int stop, ret;

	if (guard->was_stopped)
		return 0;
	stop = pending_stop(leader->tid);
	ret = take_signal(leader, SIGCONT) || settle_thread(leader->tid) ||
			      set_mask(leader->tid, leader->mask) ?
		      -1 :
		      0;
	if (stop)
		kill(leader->tid, stop);
	return ret;
}

/* ---- system calls in the leader, which is settled ---- */

static int call(const struct guard *guard, long *result, long nr, uint64_t a0, uint64_t a1,
		uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
	const uint64_t args[7] = { nr, a0, a1, a2, a3, a4, a5 };

	if (inject_syscall(&guard->threads[0], guard->sc, args, result)) {
		pr_perror("Can't make process %d do a system call", guard->process->pid);
		return -1;
	}
	if (*result >= 0)
		return 0;
	errno = -*result;
	pr_perror("Process %d: system call %ld", guard->process->pid, nr);
	return -1;
}

static int set_handler(const struct guard *guard, uint64_t handler)
{
	struct kernel_sigaction action = { .handler = handler };
	uint64_t size = getpagesize();
	long page, result;
	int ret;

	if (call(guard, &page, __NR_mmap, 0, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
		return -1;
	ret = copy_memory(guard->process->pid, true, page, &action, sizeof(action)) ||
	      call(guard, &result, __NR_rt_sigaction, SIGTRAP, page, 0, sizeof(action.mask), 0, 0);
	return call(guard, &result, __NR_munmap, page, size, 0, 0, 0, 0) || ret ? -1 : 0;
}

static bool is_noted(const struct guard *guard, int fd)
{
	size_t i;

	for (i = 0; i < guard->nr_fds; i++)
		if (guard->fds[i] == fd)
			return true;
	return false;
}

static int close_new(void *arg, int fd)
{
	const struct guard *guard = arg;
	long result;

	return is_noted(guard, fd) ? 0 : call(guard, &result, __NR_close, fd, 0, 0, 0, 0, 0);
}

/* The first part of @range that was not there: CRIU's, or the plugin's. It may be empty. */
static struct range new_part(const struct guard *guard, struct range range)
{
	size_t i;

	/* in ascending order */
	for (i = 0; i < guard->nr_ranges; i++) {
		const struct range *was = &guard->ranges[i];

		if (range.start >= was->start && range.start < was->end)
			range.start = was->end;
		else if (range.start < was->start && range.end > was->start)
			range.end = was->start;
	}
	return range;
}

static int note_new_range(void *arg, const struct range *range, const char *name)
{
	struct range *found = ((void **)arg)[1], part;

	/* That may have grown by a signal's frame. */
	if (found->end || !strcmp(name, "[stack]"))
		return 0;
	part = new_part(((void **)arg)[0], *range);
	if (part.start < part.end)
		*found = part;
	return 0;
}

static int unmap_new(struct guard *guard)
{
	struct range found;
	void *arg[] = { guard, &found };
	long result;

	for (;;) {
		found = (struct range){};
		if (for_each_range(guard->process->pid, note_new_range, arg))
			return -1;
		if (!found.end)
			return 0;
		if (call(guard, &result, __NR_munmap, found.start, found.end - found.start, 0, 0, 0,
			 0))
			return -1;
	}
}

static int map_kvm(const struct guard *guard)
{
	const struct kvm_process *process = guard->process;
	long result;
	size_t i;

	for (i = 0; i < process->nr_maps; i++) {
		const struct kvm_map *map = &process->maps[i];

		if (call(guard, &result, __NR_mmap, map->start, map->end - map->start, map->prot,
			 map->flags | MAP_FIXED, map->fd->fd, map->offset) ||
		    (map->dontfork && call(guard, &result, __NR_madvise, map->start,
					   map->end - map->start, MADV_DONTFORK, 0, 0, 0)))
			return -1;
	}
	return 0;
}

/* What is in @range with another protection than it had: CRIU makes all of it readable. */
static int note_changed_range(void *arg, const struct range *range, const char *name)
{
	const struct guard *guard = ((void **)arg)[0];
	struct range *found = ((void **)arg)[1];
	size_t i;

	for (i = 0; i < guard->nr_ranges && !found->end; i++) {
		const struct range *was = &guard->ranges[i];

		if (was->prot == range->prot || was->start >= range->end ||
		    was->end <= range->start)
			continue;
		*found = *was;
		if (found->start < range->start)
			found->start = range->start;
		if (found->end > range->end)
			found->end = range->end;
	}
	return 0;
}

static int protect(struct guard *guard)
{
	struct range found = {}, last;
	void *arg[] = { guard, &found };
	long result;

	for (;;) {
		last = found;
		found = (struct range){};
		if (for_each_range(guard->process->pid, note_changed_range, arg))
			return -1;
		if (!found.end)
			return 0;
		if (found.start == last.start)
			return -1;
		if (call(guard, &result, __NR_mprotect, found.start, found.end - found.start,
			 found.prot, 0, 0, 0))
			return -1;
	}
}

/* ---- putting it back ---- */

static int put_code_back(const struct guard *guard)
{
	pid_t pid = guard->process->pid;
	uint8_t now[CODE_LEN];
	uint64_t word;
	size_t i;

	if (copy_memory(pid, false, guard->code.at, now, sizeof(now)))
		return -1;
	for (i = 0; i < CODE_LEN; i += sizeof(word)) {
		memcpy(&word, guard->code.bytes + i, sizeof(word));
		if (memcmp(now + i, &word, sizeof(word)) &&
		    ptrace(PTRACE_POKEDATA, pid, (void *)(guard->code.at + i), (void *)word))
			return -1;
	}
	return 0;
}

/* All threads are settled. */
static int put_back(struct guard *guard)
{
	pid_t pid = guard->process->pid;
	size_t i;

	for (i = 0; i < guard->nr_threads; i++)
		if (drop_signal(guard->threads[i].tid, SIGTRAP))
			return -1;
	if (put_code_back(guard) || for_each_number(pid, "fd", close_new, guard) ||
	    unmap_new(guard) || map_kvm(guard) || protect(guard))
		return -1;
	if (guard->shared->has_handler && set_handler(guard, guard->handler))
		return -1;
	if (settle_thread(pid))
		return -1;
	for (i = 0; i < guard->nr_threads; i++)
		if (put_thread_back(&guard->threads[i]))
			return -1;
	return 0;
}

/* CRIU may still be letting go of them. */
static int seize(const struct guard *guard, size_t count)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	size_t i;
	int tries;

	/* No other process may have got its number. */
	if (pidfd_send_signal(guard->pidfd, 0, NULL, 0))
		return -1;
	for (i = 0; i < count; i++) {
		for (tries = SEIZE_TRIES; seize_thread(guard->threads[i].tid); tries--) {
			if (errno == ESRCH || !tries)
				return -1;
			nanosleep(&pause, NULL);
		}
	}
	return 0;
}

/* CRIU may have died while it had all signals blocked to get one of them. */
static int unblock(const struct guard *guard)
{
	const struct thread *leader = &guard->threads[0];
	uint64_t mask;

	if (get_mask(leader->tid, &mask))
		return -1;
	mask |= SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP) | SIGNAL_BIT(SIGCONT);
	return mask == ~0ULL ? set_mask(leader->tid, leader->mask) : 0;
}

static void let_go(const struct guard *guard, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		ptrace(PTRACE_DETACH, guard->threads[i].tid, NULL, NULL);
}

/* In the watcher: CRIU is gone. */
static void watch(void *arg)
{
	struct guard *guard = arg;
	enum stage stage = guard->shared->stage;
	pid_t pid = guard->process->pid;
	size_t count = stage == STAGE_TOUCHED ? guard->nr_threads : 1;
	int ret;

	if (stage == STAGE_OVER)
		return;
	pr_info("CRIU is gone, and has left process %d in the middle of a dump\n", pid);
	ret = seize(guard, count);
	if (!ret)
		ret = stage == STAGE_TOUCHED ? put_back(guard) : unblock(guard);
	if (!ret)
		ret = continue_group(guard);
	if (!ret) {
		let_go(guard, count);
		pr_info("process %d goes on\n", pid);
	} else if (!pidfd_send_signal(guard->pidfd, SIGKILL, NULL, 0)) {
		pr_err("Process %d can't be put back as it was: killed\n", pid);
	}
}

static void free_guard(struct guard *guard)
{
	stop_watcher(&guard->watcher);
	if (guard->shared)
		munmap(guard->shared, sizeof(*guard->shared));
	if (guard->pidfd >= 0)
		close(guard->pidfd);
	free(guard->threads);
	free(guard->fds);
	free(guard->ranges);
	free(guard);
}

/* CRIU may have a handler that waits for any child. */
static void block_sigchld(sigset_t *before)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, before);
}

static int stop_process(struct guard *guard)
{
	sigset_t before;
	int ret;

	block_sigchld(&before);
	ret = stop_group(guard);
	if (!ret) {
		guard->shared->stage = STAGE_TOUCHED;
		guard->shared->has_handler = guard->handler != NO_HANDLER;
		if (guard->shared->has_handler &&
		    (set_handler(guard, NO_HANDLER) || settle_guarded(guard))) {
			put_back(guard);
			ret = -1;
		}
	}
	if (ret) {
		pr_perror("Process %d can't be stopped", guard->process->pid);
		guard->shared->stage = STAGE_STOPPING;
		if (!continue_group(guard))
			guard->shared->stage = STAGE_OVER;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return ret;
}

struct guard *guard_process(const struct kvm_process *process)
{
	struct guard *guard = calloc(1, sizeof(*guard));

	if (!guard) {
		pr_err("Out of memory\n");
		return NULL;
	}
	guard->process = process;
	guard->watcher.pidfd = -1;
	guard->pidfd = pidfd_open(process->pid, 0);
	guard->shared = share_memory(sizeof(*guard->shared));
	if (guard->pidfd < 0 || !guard->shared || look_at_process(guard) ||
	    start_watcher(&guard->watcher, watch, guard, &guard->pidfd, 1) || stop_process(guard)) {
		pr_err("Process %d can't be kept safe from CRIU's end\n", process->pid);
		free_guard(guard);
		return NULL;
	}
	return guard;
}

int settle_guarded(const struct guard *guard)
{
	const struct thread *leader = &guard->threads[0];

	if (!settle_thread(leader->tid) && !put_thread_back(leader))
		return 0;
	pr_perror("Process %d can't be put back as it was", leader->tid);
	return -1;
}

bool guarded_handler(const struct guard *guard, uint64_t *handler)
{
	*handler = guard->handler;
	return guard->shared->has_handler;
}

int release_process(struct guard *guard)
{
	sigset_t before;
	int ret = 0;
	size_t i;

	block_sigchld(&before);
	for (i = 0; i < guard->nr_threads && !ret; i++)
		ret = settle_thread(guard->threads[i].tid);
	if (!ret)
		ret = put_back(guard);
	if (!ret) {
		guard->shared->stage = STAGE_STOPPING;
		ret = continue_group(guard);
	}
	if (!ret)
		guard->shared->stage = STAGE_OVER;
	else
		pr_perror("Process %d can't be put back as it was", guard->process->pid);
	sigprocmask(SIG_SETMASK, &before, NULL);
	free_guard(guard);
	return ret;
}
