// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A random sequence of words, good and bad, through every way into a table whose hardware table
 * follows it: hcalls, write, stores through a mapping, the replay when a group is attached, memory
 * slots that come and go, for I/O pages of 4 KiB to 16 MiB against hardware pages of each size
 * that is no larger. The host survives, what is mapped moves data, and nothing stays mapped.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "hw-test.h"

#define ROUND_OPS      150
#define LOOKS	       3
#define HOME	       0x2000000UL /* guest memory that no random word maps */
#define HOME_SIZE      (1UL << 24)
#define MAX_PAGE_SHIFT 24

static u64 state;

static u64 below(u64 n)
{
	/* xorshift64*: the same sequence for a seed on every machine */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (state * 0x2545f4914f6cdd1dUL >> 11) % n;
}

/* A word that may be in every way wrong: any low bits, inside, across and outside memory slots. */
static u64 any_word(const struct table *t)
{
	const u64 page = 1UL << t->page_shift;
	u64 gpa = below(WINDOW), low = below(4);

	switch (below(8)) {
	case 0:
		gpa = PART_GPA + below(PART_SIZE); /* registered in its first half */
		break;
	case 1:
		gpa = vm->mem_size - below(2 * page); /* up to a slot's end, and past it */
		break;
	case 2:
		gpa = PART_GPA + PART_SIZE - below(2 * page);
		break;
	case 3:
		gpa = below(1UL << 62);
		break;
	default:
		break;
	}
	if (below(3))
		gpa &= ~(page - 1);
	if (gpa + page > HOME && gpa < HOME + HOME_SIZE)
		gpa = 0;
	if (!below(4))
		low |= below(page);
	return (gpa & ~PERM_BITS) | low;
}

/* Can the hardware map it? It has all of slot 0, and half of slot 1. */
static bool can_map(const struct table *t, u64 tce)
{
	u64 page = 1UL << t->page_shift, gpa = tce & ~PERM_BITS;

	if (!(tce & PERM_BITS) || gpa & (page - 1))
		return false;
	return gpa + page <= vm->mem_size ||
	       (vm->slot[1].size && gpa >= PART_GPA && gpa + page <= PART_GPA + PART_SIZE / 2);
}

/* One update of a random kind; 0 is the first entry, which always maps HOME. */
static void random_update(struct table *t, u64 *map, bool attached)
{
	u64 index = 1 + below(t->entries - 1), word = any_word(t), got;
	u64 *list = vcpu_list(&vm->vcpu[0]);
	bool good = can_map(t, word) || !(word & PERM_BITS);
	long ret;

	switch (below(6)) {
	case 0:
		ret = hcall(H_PUT_TCE, t, index, word, 0);
		break;
	case 1:
		list[0] = htobe64(word);
		ret = hcall(H_PUT_TCE_INDIRECT, t, index, vcpu_list_gpa(&vm->vcpu[0]), 1);
		break;
	case 2:
		word &= ~PERM_BITS;
		good = true;
		ret = hcall(H_STUFF_TCE, t, index, word, 1);
		break;
	case 3:
		ret = put(t, index, word) == 8 ? H_SUCCESS : H_PARAMETER;
		break;
	case 4:
		/* What the guest had its VMM store: nobody has looked at it. */
		if (attached)
			return;
		map[index] = word;
		return;
	default:
		word = 0;
		good = true;
		ret = fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)(index * 8), 8);
		break;
	}
	got = at(t, index);
	if (attached && good != (ret == H_SUCCESS))
		check(false, "random: an answer", "%#lx at %lu of 2^%lu bytes: %ld", word, index,
		      t->page_shift, ret);
	if (ret == H_SUCCESS && got != word)
		check(false, "random: an entry", "%#lx at %lu is %#lx", word, index, got);
}

/* Look at some entries through the device. The guest's own memory is left alone. */
static void look(struct table *t)
{
	for (int i = 0; i < LOOKS; i++) {
		u64 index = 1 + below(t->entries - 1), tce = at(t, index), gpa = tce & ~PERM_BITS;
		bool maps = can_map(t, tce);

		if (!maps)
			gpa = HOME + HOME_SIZE / 2; /* where nothing of it should go */
		if (gpa < GUEST_RAM_MIN)
			continue;
		/* The hardware lets a device read what it may write. */
		if (reads_through(index << t->page_shift, gpa, 0, HOME) != maps)
			check(false, "random: a transfer", "entry %lu of 2^%lu bytes is %#lx",
			      index, t->page_shift, tce);
	}
}

static void random_round(u64 page_shift)
{
	struct table *t = create_table(page_shift);
	u64 size = t->entries * 8;
	void *part = vm->slot[1].mem;
	u64 *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	int fd;

	need(map != MAP_FAILED, "mmap of the table");
	need(put(t, 0, HOME | 3) == 8, "the first entry");
	for (int i = 0; i < ROUND_OPS / 3; i++)
		random_update(t, map, false);
	fd = attach(t);
	look(t);
	for (int i = 0; i < ROUND_OPS; i++)
		random_update(t, map, true);
	look(t);

	/* Entries for a slot that has gone are stale, and the rest goes on. */
	need(!vm_set_slot(vm, 1, 0, 0), "removing slot 1");
	for (int i = 0; i < ROUND_OPS / 3; i++)
		random_update(t, map, true);
	detach(fd);
	fd = attach(t);
	for (int i = 0; i < ROUND_OPS / 3; i++)
		random_update(t, map, true);

	gives(fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)size), 0,
	      "random: all is punched out");
	munmap(map, size);
	detach(fd);
	table_close(t);
	check(unregister_memory(part, PART_SIZE / 2), "random: nothing of slot 1 is mapped", "%s",
	      strerror(errno));
	need(!vm_set_slot(vm, 1, PART_GPA, PART_SIZE), "slot 1");
	register_memory(vm->slot[1].mem, PART_SIZE / 2);
}

void test_random(u64 seed)
{
	char name[64];

	state = seed * 0x9e3779b97f4a7c15UL + 1;
	for (__u32 hw = 12; hw <= most_hw_shift(); hw += 4)
		for (u64 shift = hw; shift <= MAX_PAGE_SHIFT; shift += 4) {
			int before = check_failures;
			bool free;

			create_window(hw);
			random_round(shift);
			snprintf(name, sizeof(name), "random: pages of 2^%lu, hardware's of 2^%u",
				 shift, hw);
			free = unregister_memory(vm->slot[0].mem, vm->mem_size);
			check(check_failures == before && free, name, "seed %lu%s", seed,
			      free ? "" : ", something is still mapped");
			register_memory(vm->slot[0].mem, vm->mem_size);
		}
}
