/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One thread under ptrace. Functions return 0 or -1 with errno, without a message.
 */
#ifndef THREAD_H
#define THREAD_H

#include <asm/ptrace.h>

#include "kvm-plugin.h"

#define sizeof_field(type, field) sizeof(((type *)0)->field)
#define SIGNAL_BIT(sig)		  (1ULL << ((sig) - 1))

/* What a thread was when CRIU had just stopped it. */
struct thread {
	pid_t tid;
	struct pt_regs regs;
	uint64_t fpregs[33];
	uint64_t vmx[34 * 2];
	uint64_t vsx[32];
	size_t size[4];	  /* of each of them, 0 if the CPU has none */
	uint64_t mask;	  /* of blocked signals */
	uint64_t rseq_at; /* address of the next, 0 if there is none */
	uint64_t rseq_cs;
	bool moves; /* while it is settled */
};

/* Wait for the next stop of a traced thread. Return: what wait(2) has in its upper bytes. */
int wait_thread(pid_t tid);
bool is_event_stop(int stop);

/* Begin to trace a thread, and stop it. */
int seize_thread(pid_t tid);
/* Stop a traced thread, or leave the stop that it is in for one in which nothing is delivered. */
int settle_thread(pid_t tid);
/* Settle all of these threads at the same time. */
int settle_threads(struct thread *threads, size_t count);
/* Take a pending signal from a settled thread. */
int drop_signal(pid_t tid, int sig);

int get_mask(pid_t tid, uint64_t *mask);
int set_mask(pid_t tid, uint64_t mask);

/* Keep the state of a thread that is stopped. */
int keep_thread(struct thread *thread, pid_t tid);
/* Put back what has changed in a settled thread. */
int put_thread_back(const struct thread *thread);

/*
 * Make a settled thread do one system call: its number and six arguments. @at is the address of an
 * sc instruction. *@result is a value or a negative errno. The registers are not put back.
 */
int inject_syscall(const struct thread *thread, uint64_t at, const uint64_t call[7], long *result);

#endif /* THREAD_H */
