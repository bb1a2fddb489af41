// SPDX-License-Identifier: GPL-2.0-only
/*
 * One thread under ptrace: what it is made of, brought to rest, put back, made to do a system call.
 *
 * task.c is faster at many system calls, but uses compel, which writes to the process's code and
 * leaves a thread in the delivery of a SIGTRAP. Here nothing is written, and whoever traces may die
 * at any moment.
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "thread.h"

#define CR0_SO	     0x10000000	      /* the system call failed */
#define SYSCALL_STOP (SIGTRAP | 0x80) /* with PTRACE_O_TRACESYSGOOD */
#define STOPS_MAX    64

/* offsetof(struct rseq, rseq_cs) in include/uapi/linux/rseq.h */
#define RSEQ_CS 8

/* include/uapi/linux/ptrace.h, which glibc's header can't be together with */
#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif
struct rseq_configuration {
	uint64_t rseq_abi_pointer;
	uint32_t rseq_abi_size;
	uint32_t signature;
	uint32_t flags;
	uint32_t pad;
};

/* The registers that code of others than the thread's may have changed. */
static const struct {
	int type;
	size_t at, size;
} sets[] = {
	{ NT_PRSTATUS, offsetof(struct thread, regs), sizeof_field(struct thread, regs) },
	{ NT_PRFPREG, offsetof(struct thread, fpregs), sizeof_field(struct thread, fpregs) },
	{ NT_PPC_VMX, offsetof(struct thread, vmx), sizeof_field(struct thread, vmx) },
	{ NT_PPC_VSX, offsetof(struct thread, vsx), sizeof_field(struct thread, vsx) },
};

int wait_thread(pid_t tid)
{
	int status;

	while (waitpid(tid, &status, __WALL) < 0)
		if (errno != EINTR)
			return -1;
	return WIFSTOPPED(status) ? status >> 8 : -1;
}

bool is_event_stop(int stop)
{
	return stop >> 8 == PTRACE_EVENT_STOP;
}

int seize_thread(pid_t tid)
{
	/* System calls of ours are not what a seccomp filter is meant for. */
	if (ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP) &&
	    ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACESYSGOOD))
		return -1;
	return settle_thread(tid);
}

/* In which stop is it? 0 if it runs. */
static int current_stop(pid_t tid)
{
	siginfo_t info;
	int status;

	if (ptrace(PTRACE_GETSIGINFO, tid, NULL, &info))
		return 0;
	/* Whether somebody has waited for this stop or not: nobody is to meet it later. */
	waitpid(tid, &status, __WALL | WNOHANG);
	return info.si_code > 0xff ? info.si_code : info.si_signo;
}

/*
 * An interrupt comes before any signal, so the thread runs none of its code, and what it was to get
 * from the stop that it is in is dropped.
 */
int settle_thread(pid_t tid)
{
	int i, stop;

	for (i = 0; i < STOPS_MAX; i++) {
		stop = current_stop(tid);
		if (is_event_stop(stop))
			return 0;
		if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) ||
		    (stop && ptrace(PTRACE_CONT, tid, NULL, NULL)))
			return -1;
		stop = wait_thread(tid);
		if (stop < 0)
			return -1;
		if (is_event_stop(stop))
			return 0;
	}
	return -1;
}

/* On its way to a stop, if it is not there. */
static int begin_to_settle(struct thread *thread)
{
	int stop = current_stop(thread->tid);

	thread->moves = !is_event_stop(stop);
	if (!thread->moves)
		return 0;
	return ptrace(PTRACE_INTERRUPT, thread->tid, NULL, NULL) ||
			       (stop && ptrace(PTRACE_CONT, thread->tid, NULL, NULL)) ?
		       -1 :
		       0;
}

static int end_to_settle(struct thread *thread)
{
	int stop = thread->moves ? wait_thread(thread->tid) : 0;

	if (stop < 0)
		return -1;
	return thread->moves && !is_event_stop(stop) ? settle_thread(thread->tid) : 0;
}

int settle_threads(struct thread *threads, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (begin_to_settle(&threads[i]))
			return -1;
	for (i = 0; i < count; i++)
		if (end_to_settle(&threads[i]))
			return -1;
	return 0;
}

static uint64_t pending_signals(pid_t tid)
{
	struct fdinfo status;
	const char *text;
	uint64_t pending = 0;

	if (read_status(&status, tid))
		return 0;
	text = next_fdinfo(&status, "SigPnd", NULL);
	if (text)
		pending = strtoull(text, NULL, 16);
	free_fdinfo(&status);
	return pending;
}

int drop_signal(pid_t tid, int sig)
{
	uint64_t mask, others = ~SIGNAL_BIT(sig);
	int i, stop, ret = -1;

	if (!(pending_signals(tid) & SIGNAL_BIT(sig)))
		return 0;
	if (get_mask(tid, &mask) || set_mask(tid, others))
		return -1;
	for (i = 0; i < STOPS_MAX && ret; i++) {
		if (ptrace(PTRACE_CONT, tid, NULL, NULL))
			return -1;
		stop = wait_thread(tid);
		if (stop < 0)
			return -1;
		if (stop == sig)
			ret = settle_thread(tid);
	}
	return set_mask(tid, mask) ? -1 : ret;
}

int get_mask(pid_t tid, uint64_t *mask)
{
	return ptrace(PTRACE_GETSIGMASK, tid, (void *)sizeof(*mask), mask) ? -1 : 0;
}

int set_mask(pid_t tid, uint64_t mask)
{
	return ptrace(PTRACE_SETSIGMASK, tid, (void *)sizeof(mask), &mask) ? -1 : 0;
}

static void keep_rseq(struct thread *thread)
{
	struct rseq_configuration config = {};

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, thread->tid, (void *)sizeof(config), &config) <=
		    0 ||
	    !config.rseq_abi_pointer)
		return;
	thread->rseq_at = config.rseq_abi_pointer + RSEQ_CS;
	if (copy_memory(thread->tid, false, thread->rseq_at, &thread->rseq_cs,
			sizeof(thread->rseq_cs)))
		thread->rseq_cs = 0;
}

int keep_thread(struct thread *thread, pid_t tid)
{
	struct iovec iov;
	size_t i;

	*thread = (struct thread){ .tid = tid };
	for (i = 0; i < ARRAY_LEN(sets); i++) {
		iov.iov_base = (char *)thread + sets[i].at;
		iov.iov_len = sets[i].size;
		/* A CPU may lack some of them, but not the first. */
		if (ptrace(PTRACE_GETREGSET, tid, (void *)(uintptr_t)sets[i].type, &iov))
			iov.iov_len = 0;
		if (!iov.iov_len && !i)
			return -1;
		thread->size[i] = iov.iov_len;
	}
	keep_rseq(thread);
	return get_mask(tid, &thread->mask);
}

static void put_rseq_back(const struct thread *thread)
{
	uint64_t rseq_cs = thread->rseq_cs;

	/* The kernel forgets it when code runs elsewhere. */
	if (rseq_cs)
		copy_memory(thread->tid, true, thread->rseq_at, &rseq_cs, sizeof(rseq_cs));
}

int put_thread_back(const struct thread *thread)
{
	struct thread now = {};
	struct iovec iov;
	size_t i;

	_Static_assert(ARRAY_LEN(sets) == ARRAY_LEN(now.size), "a size for each set");
	for (i = 0; i < ARRAY_LEN(sets); i++) {
		iov.iov_base = (char *)&now + sets[i].at;
		iov.iov_len = thread->size[i];
		if (!iov.iov_len)
			continue;
		if (ptrace(PTRACE_GETREGSET, thread->tid, (void *)(uintptr_t)sets[i].type, &iov))
			return -1;
		if (!memcmp((const char *)&now + sets[i].at, (const char *)thread + sets[i].at,
			    thread->size[i]))
			continue;
		memcpy((char *)&now + sets[i].at, (const char *)thread + sets[i].at,
		       thread->size[i]);
		iov.iov_len = thread->size[i];
		if (ptrace(PTRACE_SETREGSET, thread->tid, (void *)(uintptr_t)sets[i].type, &iov))
			return -1;
	}
	put_rseq_back(thread);
	return set_mask(thread->tid, thread->mask);
}

static int step_to_syscall_stop(pid_t tid)
{
	int i, stop;

	for (i = 0; i < STOPS_MAX; i++) {
		if (ptrace(PTRACE_SYSCALL, tid, NULL, NULL))
			return -1;
		stop = wait_thread(tid);
		if (stop < 0)
			return -1;
		if (stop == SYSCALL_STOP)
			return 0;
	}
	return -1;
}

int inject_syscall(const struct thread *thread, uint64_t at, const uint64_t call[7], long *result)
{
	struct pt_regs regs = thread->regs;
	struct iovec iov = { .iov_base = &regs, .iov_len = thread->size[0] };
	void *set = (void *)NT_PRSTATUS;
	int i;

	regs.nip = at;
	regs.trap = 0;
	regs.gpr[0] = call[0];
	for (i = 1; i < 7; i++)
		regs.gpr[2 + i] = call[i];
	/* It may be at the end of another call: see open_task(). */
	if (set_mask(thread->tid, ~0ULL) || settle_thread(thread->tid) ||
	    ptrace(PTRACE_SETREGSET, thread->tid, set, &iov) || step_to_syscall_stop(thread->tid) ||
	    step_to_syscall_stop(thread->tid) || ptrace(PTRACE_GETREGSET, thread->tid, set, &iov))
		return -1;
	*result = regs.ccr & CR0_SO ? -(long)regs.gpr[3] : (long)regs.gpr[3];
	return 0;
}
