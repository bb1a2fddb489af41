// SPDX-License-Identifier: GPL-2.0-only
/*
 * CRIU may be killed at any moment. The kernel then lets go of the threads that CRIU has stopped,
 * as they are: with placeholders where KVM's mappings were, in the middle of code that is not
 * theirs, or about to get the SIGTRAP with which such code ends, which kills the process.
 *
 * So nothing is touched before the process is in a state in which it does not run on then:
 *
 * - What each thread is made of is kept, and which files and mappings there are.
 * - A watcher waits for CRIU's end. It shares CRIU's files: CRIU's code in the process waits at a
 *   socket, and when that is closed, which a process that ends does before it lets go of threads,
 *   it goes back to where it was called from, and the process runs.
 * - The process gets a SIGSTOP. CRIU, which has seized all threads, does not notice, but a thread
 *   that loses its tracer stops by that instead of running.
 * - SIGTRAP gets a handler. A thread that is let go of in the delivery of a SIGTRAP is stopped
 *   before it runs the first instruction of it, instead of being killed.
 *
 * When CRIU has died the watcher puts everything back and lets the process go on. When CRIU lives,
 * the same is done by CRIU's own exit callback.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/ptrace.h>
#include <time.h>
#include <unistd.h>

#include "guard-private.h"

#define SEIZE_TRIES 500 /* of 10 ms */

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
			if (errno == ESRCH || !tries) {
				pr_perror("Thread %d can't be seized", guard->threads[i].tid);
				return -1;
			}
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
	enum stage stage = *guard->stage;
	pid_t pid = guard->process->pid;
	size_t count = stage == STAGE_TOUCHED ? guard->nr_threads : 1;
	int ret;

	if (stage == STAGE_OVER)
		return;
	pr_info("CRIU is gone, and has left process %d in the middle of a dump\n", pid);
	ret = seize(guard, count);
	close_shared();
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
	if (guard->stage)
		munmap((void *)(uintptr_t)guard->stage, sizeof(*guard->stage));
	if (guard->pidfd >= 0)
		close(guard->pidfd);
	free(guard->threads);
	free(guard->fds);
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

/* The process goes on as it was, or ends. */
static void undo(struct guard *guard)
{
	uint64_t began = now_us();
	int ret = 0;

	if (*guard->stage == STAGE_TOUCHED) {
		ret = settle_threads(guard->threads, guard->nr_threads);
		if (!ret)
			ret = put_back(guard);
	}
	if (!ret) {
		*guard->stage = STAGE_STOPPING;
		ret = continue_group(guard);
	}
	if (ret) {
		pr_perror("Process %d can't be put back as it was: killed", guard->process->pid);
		pidfd_send_signal(guard->pidfd, SIGKILL, NULL, 0);
	} else {
		pr_info("process %d was put back as it was in %" PRIu64 " us\n",
			guard->process->pid, now_us() - began);
	}
	*guard->stage = STAGE_OVER;
}

static int stop_process(struct guard *guard)
{
	sigset_t before;
	int ret;

	block_sigchld(&before);
	ret = stop_group(guard);
	if (!ret) {
		*guard->stage = STAGE_TOUCHED;
		if (guard->handler != ITS_HANDLER)
			ret = set_handler(guard, OUR_HANDLER) || settle_guarded(guard) ? -1 : 0;
	}
	if (ret) {
		pr_err("Process %d can't be stopped\n", guard->process->pid);
		undo(guard);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return ret;
}

/* It has what it needs to put the process back: its taps, too. */
static int start_watching(struct guard *guard)
{
	const struct kvm_process *process = guard->process;
	int *fds = calloc(process->nr_taps + 1, sizeof(*fds)), ret;
	struct duty duty = {
		.act = watch,
		.arg = guard,
		.nr_fds = process->nr_taps + 1,
		.shares_files = true,
	};
	size_t i;

	if (!fds) {
		pr_err("Out of memory\n");
		return -1;
	}
	for (i = 0; i < process->nr_taps; i++)
		fds[i] = process->taps[i].held;
	fds[i] = guard->pidfd;
	duty.fds = fds;
	ret = start_watcher(&guard->watcher, &duty);
	free(fds);
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
	guard->stage = share_memory(sizeof(*guard->stage));
	if (guard->pidfd < 0 || !guard->stage || look_at_process(guard) || start_watching(guard) ||
	    stop_process(guard)) {
		pr_err("Process %d can't be protected from CRIU's end\n", process->pid);
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
	return guard->handler != ITS_HANDLER;
}

void release_process(struct guard *guard)
{
	sigset_t before;

	block_sigchld(&before);
	undo(guard);
	sigprocmask(SIG_SETMASK, &before, NULL);
	free_guard(guard);
}
