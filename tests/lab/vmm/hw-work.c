// SPDX-License-Identifier: GPL-2.0-or-later
/* Long work on a table with a hardware table behind it: see hw-work.h. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hw-work.h"
#include "tce-kvm.h"

#define GOOD	  (GUEST_RAM_MIN | PERM_BITS)
#define NOWHERE	  (1UL << 40 | PERM_BITS) /* no memory of the guest's */
#define POISON	  0xdead00000000f00cUL
#define BAD_EVERY 64UL
#define FILLED	  8UL /* a part of the entries */

static void *map_mem;

u64 *map_table(const struct table *t)
{
	u64 *map = mmap(NULL, t->entries * 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			t->fd, 0);

	need(map != MAP_FAILED, "mmap of the table");
	return map;
}

/* Stores without a look at hardware tables: there are none yet. */
static void fill(const struct table *t, u64 tce, u64 bad_every)
{
	u64 *map = map_table(t);

	for (u64 i = 0; i < t->entries; i++)
		map[i] = (i + 1) % bad_every ? tce : NOWHERE;
	munmap(map, t->entries * 8);
}

/* Some entries are mapped, most are not. */
static void prepare_stuff(struct table *t)
{
	struct vcpu *vcpu = &vm->vcpu[0];

	attach(t);
	for (u64 i = 0; i < TCE_LIST_MAX; i++)
		vcpu_list(vcpu)[i] = htobe64(GOOD);
	for (u64 i = 0; i < t->entries / FILLED; i += TCE_LIST_MAX)
		if (hcall(H_PUT_TCE_INDIRECT, t, i, vcpu_list_gpa(vcpu), TCE_LIST_MAX))
			die("H_PUT_TCE_INDIRECT failed");
}

static void run_stuff(struct table *t)
{
	if (hcall(H_STUFF_TCE, t, 0, POISON, t->entries))
		die("H_STUFF_TCE failed");
}

static void prepare_write(struct table *t)
{
	attach(t);
}

static void run_write(struct table *t)
{
	u64 *tces = malloc(t->entries * 8);

	need(tces, "memory");
	for (u64 i = 0; i < t->entries; i++)
		tces[i] = GOOD;
	need(pwrite(t->fd, tces, t->entries * 8, 0) == (ssize_t)(t->entries * 8), "write");
	free(tces);
}

static void prepare_punch(struct table *t)
{
	fill(t, POISON, t->entries + 1);
	attach(t);
}

static void run_punch(struct table *t)
{
	need(!fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			(off_t)(t->entries * 8)),
	     "fallocate");
}

static void prepare_replay(struct table *t)
{
	fill(t, GOOD, BAD_EVERY);
}

static void run_replay(struct table *t)
{
	attach(t);
}

/* The last entry has the attaching fail. */
static void prepare_unwind(struct table *t)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPAPR_TCE_FD,
				      .args = { KVM_SPAPR_TCE_FD_REPLAY_STRICT } };

	need(!ioctl(vm->fd, KVM_ENABLE_CAP, &cap), "strict replay");
	fill(t, GOOD, t->entries);
}

static void run_unwind(struct table *t)
{
	if (try_attach(t) >= 0 || errno != EFAULT)
		die("attaching does not fail with EFAULT");
}

/* As many pages as there are entries, of little memory. */
static void prepare_map(struct table *t)
{
	char *mem = mmap(NULL, t->entries * WORK_PAGE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int fd = memfd_create("mem", MFD_CLOEXEC);

	need(mem != MAP_FAILED && fd >= 0 && !ftruncate(fd, WORK_MEM_SIZE), "memory");
	for (u64 at = 0; at < t->entries * WORK_PAGE; at += WORK_MEM_SIZE)
		need(mmap(mem + at, WORK_MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			  fd, 0) == mem + at,
		     "the same memory once more");
	register_memory(mem, t->entries * WORK_PAGE);
	map_mem = mem;
}

static void run_map(struct table *t)
{
	vfio_map(0, map_mem, t->entries * WORK_PAGE);
}

static void prepare_removal(struct table *t)
{
	attach(t);
	run_write(t);
}

static void run_removal(struct table *t)
{
	remove_window();
}

static u64 last_of(const struct table *t, u64 entries)
{
	return ((const volatile u64 *)t->map)[entries - 1];
}

static bool has_stuffed(const struct table *t, u64 entries)
{
	return last_of(t, entries) == POISON;
}

static bool has_written(const struct table *t, u64 entries)
{
	return last_of(t, entries) == GOOD;
}

static bool has_punched(const struct table *t, u64 entries)
{
	return !last_of(t, entries);
}

static bool has_replayed(const struct table *t, u64 entries)
{
	return table_info(t, "tce-replay-skipped") >= (long)(entries / BAD_EVERY);
}

/* The hardware table is no longer one that updates reach: it was for most of the time. */
static bool unwinds(const struct table *t)
{
	static bool had_one;

	if (table_info(t, "tce-hw-tables"))
		had_one = true;
	else if (had_one)
		return !(had_one = false);
	return false;
}

const struct work works[] = {
	{
		.name = "H_STUFF_TCE",
		.prepare = prepare_stuff,
		.run = run_stuff,
		.has_done = has_stuffed,
		.slots = true,
	},
	{
		.name = "write",
		.prepare = prepare_write,
		.run = run_write,
		.has_done = has_written,
		.slots = true,
	},
	{
		.name = "punch",
		.prepare = prepare_punch,
		.run = run_punch,
		.has_done = has_punched,
		.slots = true,
	},
	{
		.name = "replay",
		.prepare = prepare_replay,
		.run = run_replay,
		.has_done = has_replayed,
		.slots = true,
	},
	{
		.name = "unwind",
		.prepare = prepare_unwind,
		.run = run_unwind,
		.begun = unwinds,
		.slots = true,
		.unmaps = true,
	},
	{
		.name = "VFIO-map",
		.prepare = prepare_map,
		.run = run_map,
	},
	{
		.name = "window-removal",
		.prepare = prepare_removal,
		.run = run_removal,
		.whole = true,
	},
	{ NULL },
};

const struct work *const work_write = &works[1];
