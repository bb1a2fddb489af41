// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vCPUs update a table all the time, while its hardware table comes and goes, the host writes and
 * punches a part of its own, and memory slots change. Afterwards each entry is what its only writer
 * made of it, the device sees the same, and the host counts no mapping too many or too few.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "hw-test.h"

#define ROUNDS	   20
#define LOOKS	   6
#define BLOCK	   700UL       /* entries that the host writes at once: more than have a lock */
#define HOME	   0x3000000UL /* guest memory for the device's transfers */
#define OTHER_SLOT 3
#define OTHER_GPA  (1UL << 40)

/* The half of the table that is the host's; vCPUs share the other, but for its last entry. */
struct part {
	struct table *t;
	u64 first, count;
};

static u64 tce_of(u64 n)
{
	return GUEST_RAM_MIN + (n * 0x1000) % (vm->mem_size - GUEST_RAM_MIN) + 3;
}

static bool host_writes(const struct part *p, u64 round)
{
	u64 block[BLOCK], got[BLOCK], start = p->first + round * 97 % (p->count - BLOCK);

	for (u64 i = 0; i < BLOCK; i++)
		block[i] = tce_of(round * BLOCK + i);
	if (pwrite(p->t->fd, block, sizeof(block), (off_t)(start * 8)) != (ssize_t)sizeof(block))
		return false;
	return pread(p->t->fd, got, sizeof(got), (off_t)(start * 8)) == (ssize_t)sizeof(got) &&
	       !memcmp(got, block, sizeof(got));
}

/* The pages of the part go. */
static bool host_punches(const struct part *p)
{
	return !fallocate(p->t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)(p->first * 8), (off_t)(p->count * 8));
}

static bool host_maps(const struct part *p)
{
	volatile u64 *map = mmap(NULL, p->t->entries * 8, PROT_READ, MAP_SHARED, p->t->fd, 0);

	if (map == MAP_FAILED)
		return false;
	for (u64 i = 0; i < p->t->entries; i += BLOCK)
		(void)map[i];
	return !munmap((void *)(u64)map, p->t->entries * 8);
}

static void one_round(const struct part *p, u64 round, int *kvm_vfio)
{
	if (*kvm_vfio >= 0)
		detach(*kvm_vfio);
	need(host_writes(p, 2 * round), "writing while nothing is attached");
	need(!vm_set_slot(vm, OTHER_SLOT, OTHER_GPA, 1 << 20), "adding a memory slot");
	*kvm_vfio = attach(p->t);
	need(host_writes(p, 2 * round + 1), "writing to what is attached");
	need(host_maps(p), "mapping the table");
	need(!vm_set_slot(vm, OTHER_SLOT, 0, 0), "removing the memory slot");
	if (round % 2)
		need(host_punches(p), "punching");
}

/* Some entries of each vCPU's part, and of the host's, as the device sees them. */
static void look(const struct part *p)
{
	u64 home = (p->first - 1) << p->t->page_shift;

	for (u64 i = 0; i < LOOKS; i++) {
		u64 index = i * (p->t->entries / LOOKS), tce = at(p->t, index);
		u64 gpa = tce & ~PERM_BITS;
		bool maps = tce & PERM_BITS;

		if (maps && (gpa < GUEST_RAM_MIN || gpa == HOME))
			continue;
		if (!maps)
			gpa = HOME + 0x10000;
		check(reads_through(index << p->t->page_shift, gpa, home, HOME) == maps,
		      "race: the device sees an entry", "%lu is %#lx", index, tce);
	}
}

void test_race(void)
{
	struct table *t = create_table(12);
	struct part host = { t, t->entries / 2, t->entries / 2 };
	int kvm_vfio = -1;

	need(put(t, host.first - 1, HOME | 3) == 8, "the entry that nobody changes");
	if (churn_start(vm, &t, 1,
			&(struct churn_options){ .chunk = TCE_LIST_MAX,
						 .check_every = 16,
						 .ncpus = vm->nvcpus,
						 .parts = 2 * vm->nvcpus }))
		die("the guests don't start");
	for (u64 round = 0; round < ROUNDS; round++)
		one_round(&host, round, &kvm_vfio);
	check(!churn_stop(vm), "race: vCPUs see their own updates", "%s", vm->failed);
	check(!churn_verify(vm, stdout), "race: nothing is lost", "see above");
	churn_stats(vm, stdout);
	look(&host);
	gives(fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			(off_t)(t->entries * 8)),
	      0, "race: all is punched out");
	detach(kvm_vfio);
	table_close(t);
	check(unregister_memory(vm->slot[0].mem, vm->mem_size),
	      "race: nothing is mapped any more, and nothing was counted twice", "%s",
	      strerror(errno));
	register_memory(vm->slot[0].mem, vm->mem_size);
}
