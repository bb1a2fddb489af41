/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the guard share: guard-look.c, guard-stop.c, guard-call.c, guard-file.c,
 * guard-back.c and guard.c.
 */
#ifndef GUARD_PRIVATE_H
#define GUARD_PRIVATE_H

#include "thread.h"

#define CODE_LEN 64 /* what compel writes to, at the beginning of a mapping, and more */

/* What SIGTRAP may have beside SIG_DFL and SIG_IGN. */
#define ITS_HANDLER (1ULL << 63) /* one of the process's own */
#define OUR_HANDLER 0x10	 /* no code is there, and none of it would run */

enum stage {
	STAGE_STOPPING, /* the process may be stopped, and else is as it was */
	STAGE_TOUCHED,	/* it is stopped, and anything may have been done in it */
	STAGE_OVER,	/* nothing is left to be done */
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
	struct ranges was; /* what was mapped */
	struct code code;  /* of the first executable mapping */
	uint64_t sc;	   /* the address of an sc instruction */
	uint64_t handler;  /* that SIGTRAP had */
	bool was_stopped;  /* by somebody else */
	int pidfd;
	volatile enum stage *stage; /* shared with the watcher */
	struct watcher watcher;
};

/* ---- guard-look.c: what there is ---- */

/* Note everything in a process that must be put back. */
int look_at_process(struct guard *guard);
/*
 * Note only what is needed for system calls in its leader, which is settled. The caller frees
 * @guard->threads and @guard->was.
 */
int look_at_leader(struct guard *guard);
/* Read what the process does with SIGTRAP: SIG_DFL, SIG_IGN or %ITS_HANDLER. */
int read_handler(pid_t pid, uint64_t *handler);

/* ---- guard-stop.c: the stop behind CRIU's ---- */

/*
 * Stop all threads by a signal. The leader takes it, the others join in when they see it: none
 * returns to its own code.
 */
int stop_group(struct guard *guard);
/* Undo that. All threads must be settled. The process does not see the signal. */
int continue_group(const struct guard *guard);
bool is_stopped(pid_t tid);

/* ---- guard-call.c: system calls in the leader, which is settled ---- */

/* Make a system call. An error is logged. */
int guard_call(const struct guard *guard, long *result, long nr, uint64_t a0, uint64_t a1,
	       uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5);
/* Call @use with a page that is in the process only for that time. */
typedef int page_user(const struct guard *guard, uint64_t page, void *arg);
int with_page(const struct guard *guard, page_user *use, void *arg);
/* Set the handler of SIGTRAP. */
int set_handler(const struct guard *guard, uint64_t handler);
/* Put back the code that was where compel puts its own. */
int put_code_back(const struct guard *guard);

/* ---- guard-file.c: open files in the place of others ---- */

int put_taps_back(const struct guard *guard);

/* ---- guard-back.c: putting back what there was ---- */

/* Put the process back. All threads must be settled. */
int put_back(struct guard *guard);

#endif /* GUARD_PRIVATE_H */
