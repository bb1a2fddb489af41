/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The test VMM's commands: what a line of its script or a request through its FIFO can ask for. */
#ifndef TCE_VMM_COMMANDS_H
#define TCE_VMM_COMMANDS_H

#include "vm.h"

#define MAX_ARGS 64

struct session {
	struct vm *vm;
	struct vcpu *vcpu;    /* the one that issues the hcalls */
	struct guest_op last; /* the last hcall, for `expect` */
	FILE *out;
	bool control; /* commands come through the FIFO: each is answered ok or error */
	bool quit;
	char error[512];
};

/* Each returns 0, or -1 with s->error set. */
int command_run(struct session *s, int argc, char **argv);
int command_error(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void command_help(FILE *out);
/* An hcall with r3 to r12 all given, so that a register that is changed by mistake shows. */
struct guest_op make_op(u64 nr, u64 a, u64 b, u64 c, u64 d);
int run_ops(struct session *s, struct guest_op *ops, u64 n);

/* random.c */
u64 random_next(u64 *state);
int random_hcalls(struct session *s, u64 seed, u64 count, bool punched, struct table **tables,
		  int n);

/* race.c */
int race(struct session *s, u64 updates, struct table **tables, int n);
int leak(struct session *s, u64 count, u64 held);

#endif
