// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A long random sequence of TCE hcalls, the same for a seed on every kernel: arguments at and past
 * every limit that PAPR and KVM have, beside good ones. Each answer, every register and the tables
 * are compared with the model's.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"

#define BATCH 16 /* hcalls in one go of the guest: each has its own list page */

/* xorshift64*: the same sequence for a seed on every machine */
u64 random_next(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dUL;
}

static u64 below(u64 *state, u64 n)
{
	return (random_next(state) >> 11) % n;
}

static u64 pick_liobn(u64 *state, const struct table *t)
{
	switch (below(state, 32)) {
	case 0:
		return t->liobn + 0x5000; /* nobody's */
	case 1:
		return t->liobn | 1UL << 32; /* the right one in the low half only */
	default:
		return t->liobn;
	}
}

static u64 pick_ioba(u64 *state, const struct table *t)
{
	u64 last = t->entries - 1, page = below(state, t->entries);

	switch (below(state, 20)) {
	case 0:
		page = t->entries;
		break;
	case 1:
		page = last;
		break;
	case 2:
		page = 0;
		break;
	case 3:
		page = last - below(state, t->entries < 512 ? t->entries : 512);
		break;
	case 4:
		page = (u64)-1 - below(state, 2); /* below the window, or far above it */
		break;
	case 5:
		return ((t->offset + page) << t->page_shift) + 1 +
		       below(state, (1UL << t->page_shift) - 1);
	case 6:
		return (u64)-1 << t->page_shift;
	case 7:
		return random_next(state);
	default:
		/* Few, so that entries meet again. */
		page = below(state, t->entries < 64 ? t->entries : 64);
		break;
	}
	return (t->offset + page) << t->page_shift;
}

static u64 pick_tce(u64 *state, const struct table *t, bool good)
{
	const struct slot *slot = &t->vm->slot[below(state, 4) ? 0 : 1];
	u64 pages = slot->size >> t->page_shift, gpa, perms = 1 + below(state, 3);
	u64 kind = below(state, good ? 10 : 16);

	if (kind == 0)
		return 0;
	if (kind < 3 || !pages)
		return random_next(state) & ~3UL; /* poison */
	gpa = slot->gpa + (below(state, pages) << t->page_shift);
	switch (kind) {
	case 3:
		gpa = slot->gpa;
		break;
	case 4:
		gpa = slot->gpa + ((pages - 1) << t->page_shift);
		break;
	case 10:
		gpa = slot->gpa + slot->size; /* just outside */
		break;
	case 11:
		gpa |= 1UL << (2 + below(state, t->page_shift - 2)); /* not the start of a page */
		break;
	case 12:
		gpa |= 1UL << (44 + below(state, 20)); /* far outside */
		break;
	case 13:
		return (u64)-1;
	default:
		break;
	}
	return gpa | perms;
}

static u64 pick_count(u64 *state, const struct table *t)
{
	static const u64 limits[] = { 0, 1, 2, 511, 512, 513 };

	switch (below(state, 8)) {
	case 0:
		return t->entries - below(state, 2);
	case 1:
		return (u64)-1 >> below(state, 64);
	case 2:
	case 3:
		return limits[below(state, 6)];
	default:
		return below(state, 64);
	}
}

/*
 * A list page of its own for op n of a batch, in slot 0 or 1, filled; or an address that is no
 * good.
 */
static u64 pick_list(u64 *state, struct session *s, const struct table *t, u64 n)
{
	struct slot *slot1 = &s->vm->slot[1];
	u64 gpa = vcpu_list_gpa(s->vcpu) + n * 4096,
	    bad = below(state, 8) ? TCE_LIST_MAX : below(state, 64);
	u64 *list = vm_ram(s->vm, gpa);
	u64 where = below(state, 16);

	if (where < 4) {
		gpa = slot1->gpa + n * 4096;
		list = (void *)(slot1->mem + n * 4096);
	} else if (where == 4) {
		gpa = s->vm->mem_size - 4096; /* the last page of the slot; the batch shares it */
		return gpa;
	}
	for (u64 i = 0; i < TCE_LIST_MAX; i++)
		list[i] = htobe64(pick_tce(state, t, i != bad));
	switch (where) {
	case 5:
		return gpa + 8 * (1 + below(state, 511)); /* would cross into the next page */
	case 6:
		return slot1->gpa + slot1->size; /* outside memory */
	case 7:
		return random_next(state) & ~4095UL;
	case 8:
		return random_next(state);
	default:
		return gpa;
	}
}

static struct guest_op random_op(u64 *state, struct session *s, struct table *t, u64 n)
{
	u64 liobn = pick_liobn(state, t), ioba = pick_ioba(state, t);

	switch (below(state, 16)) {
	case 0 ... 5:
		return make_op(H_PUT_TCE, liobn, ioba, pick_tce(state, t, below(state, 2)), 0);
	case 6 ... 9:
		return make_op(H_GET_TCE, liobn, ioba, 0, 0);
	case 10 ... 11:
		return make_op(H_STUFF_TCE, liobn, ioba,
			       below(state, 4) ? random_next(state) & ~3UL : random_next(state),
			       pick_count(state, t));
	default:
		return make_op(H_PUT_TCE_INDIRECT, liobn, ioba, pick_list(state, s, t, n),
			       pick_count(state, t));
	}
}

static int punch(struct table *t)
{
	off_t size = (off_t)(t->entries * 8);

	if (fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size))
		return -errno;
	for (u64 i = 0; i < (t->entries + SHADOW_CHUNK - 1) / SHADOW_CHUNK; i++) {
		free(t->shadow[i]);
		t->shadow[i] = NULL;
	}
	return 0;
}

/*
 * `count` hcalls on the given tables. With `punched`, every table is emptied before each hcall: a
 * fast path never finds the page of an entry then, and the virtual-mode handler does all that
 * writes.
 */
int random_hcalls(struct session *s, u64 seed, u64 count, bool punched, struct table **tables,
		  int n)
{
	u64 state = seed * 0x9e3779b97f4a7c15UL + 1, size = punched ? 1 : BATCH, done = 0;
	u64 succeeded = 0, exited = 0;
	struct guest_op ops[BATCH];
	int ret = 0;

	while (done < count && !ret) {
		u64 part = count - done < size ? count - done : size;

		for (u64 i = 0; i < part; i++)
			ops[i] = random_op(&state, s, tables[below(&state, (u64)n)], i);
		for (int i = 0; punched && i < n && !ret; i++)
			if (punch(tables[i]))
				ret = command_error(s, "punching a hole: %s", strerror(errno));
		if (!ret)
			ret = run_ops(s, ops, part);
		if (ret) {
			char why[sizeof(s->error)];

			memcpy(why, s->error, sizeof(why));
			why[400] = '\0';
			return command_error(s, "seed %lu, after %lu hcalls: %s", seed, done, why);
		}
		for (u64 i = 0; i < part; i++) {
			succeeded += ops[i].out[0] == H_SUCCESS;
			exited += ops[i].exited;
		}
		done += part;
	}
	fprintf(s->out, "%lu hcalls: %lu succeeded, %lu refused by KVM, %lu left to user space\n",
		done, succeeded, done - succeeded - exited, exited);
	return 0;
}
