// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process's SIGSTOP behind CRIU's back, and its end: a thread that loses its tracer stops by that
 * instead of running.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "guard-private.h"

#define STOPS_MAX 8

bool is_stopped(pid_t tid)
{
	siginfo_t info;

	/* A stop by a signal says which; one by a tracer is called SIGTRAP. */
	return !ptrace(PTRACE_GETSIGINFO, tid, NULL, &info) && info.si_signo != SIGTRAP;
}

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

int stop_group(struct guard *guard)
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
		if (ptrace(PTRACE_CONT, guard->threads[i].tid, NULL, NULL))
			return -1;
	for (i = 1; i < guard->nr_threads; i++)
		if (!is_event_stop(wait_thread(guard->threads[i].tid)))
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

int continue_group(const struct guard *guard)
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
	if (ret)
		pr_perror("Process %d can't be continued", leader->tid);
	if (stop)
		kill(leader->tid, stop);
	return ret;
}
