// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What VFIO is told to map and unmap: nothing outside of the window, and nothing at all. And
 * entries that KVM, for two of its tables, and VFIO change all the time: whoever replaces an entry
 * gives back the use of what it has mapped, not of what somebody else has mapped there since.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "hw-test.h"

#define PAGE	 4096UL
#define ENTRIES	 16UL
#define RUNS	 1500
#define V1_PAGES 100UL /* more than VFIO gathers before it unpins some */
#define OUT	 (V1_PAGES * PAGE)
#define OUT_GPA	 (GUEST_RAM_MIN + (16UL << 20))
#define OTHER	 (GUEST_RAM_MIN + (8UL << 20))

static void *ram_at(u64 gpa)
{
	return vm->slot[0].mem + gpa;
}

/* Memory of the process's own that is not there. */
static void *nowhere(void)
{
	void *mem = mmap(NULL, 1 << 16, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(mem != MAP_FAILED && !munmap(mem, 1 << 16), "memory");
	return mem;
}

/* The hardware would be made to forget entries without end. */
static void test_nothing(void)
{
	gives(try_vfio_map(0, ram_at(GUEST_RAM_MIN), 0), 0, "edges: no pages are mapped");
	gives(try_vfio_unmap(0, 0), 0, "edges: no pages are unmapped");
	fails(try_vfio_map(0, nowhere(), PAGE), EINVAL, "edges: memory that is not there");
}

long locked(void)
{
	char line[128];
	long kb = -1;
	FILE *status = fopen("/proc/self/status", "r");

	need(status, "/proc/self/status");
	while (fgets(line, sizeof(line), status))
		sscanf(line, "VmLck: %ld", &kb);
	fclose(status);
	return kb;
}

static void test_no_window(void)
{
	long before = locked();
	u64 start;

	fails(try_window(128 + 12, WINDOW, &start), EINVAL, "edges: a window of no page size");
	fails(try_window(24, PAGE, &start), EINVAL, "edges: a window of less than a page");
	/* Its table would be 8 GiB, in one piece. */
	fails(try_window(12, 1UL << 42, &start), ENOMEM, "edges: a window that is too large");
	check(locked() == before, "edges: ... is not counted", "%ld KiB, not %ld", locked(),
	      before);
}

void test_edges(void)
{
	void *mem = ram_at(GUEST_RAM_MIN);

	test_nothing();
	test_no_window();
	/* The kernel warned of this. */
	check(!try_register(mem, 0) && errno == EINVAL, "edges: no memory is not registered", "%s",
	      strerror(errno));
	fails(try_vfio_map(WINDOW - PAGE, mem, 2 * PAGE), EINVAL, "edges: a map past the end");
	fails(try_vfio_map(PAGE, mem, -PAGE), EINVAL, "edges: a map that wraps");
	fails(try_vfio_map(PAGE / 2, mem, PAGE), EINVAL, "edges: a map from inside of a page");
	fails(try_vfio_map(WINDOW, mem, PAGE), ENXIO, "edges: a map behind the end");
	fails(try_vfio_unmap(WINDOW - PAGE, 2 * PAGE), EINVAL, "edges: an unmap past the end");
	fails(try_vfio_unmap(PAGE, -PAGE), EINVAL, "edges: an unmap that wraps");
	fails(try_vfio_unmap(PAGE / 2, PAGE), EINVAL, "edges: an unmap from inside of a page");
	gives(try_vfio_map(WINDOW - PAGE, mem, PAGE), 0, "edges: the last page is mapped");
	gives(try_vfio_unmap(0, WINDOW), 0, "edges: all of the window is unmapped");
}

/* The half of slot 0's memory that VFIO knows as a region of its own. */
static void *half(u64 n)
{
	return vm->slot[0].mem + n % 2 * (vm->mem_size / 2);
}

/* Entries that map the two halves in turn, or nothing. */
static void write_entries(const struct table *t, u64 run)
{
	u64 tces[ENTRIES];

	for (u64 i = 0; i < ENTRIES; i++)
		tces[i] = run % 3 ? ((u64)half(run + i) - (u64)vm->slot[0].mem + PERM_BITS) : 0;
	need(pwrite(t->fd, tces, sizeof(tces), 0) == (ssize_t)sizeof(tces), "writing to a table");
}

static void *writes_on(void *arg)
{
	for (u64 run = 0; run < RUNS; run++)
		write_entries(arg, run);
	return NULL;
}

static void contend(struct table *const tables[2])
{
	pthread_t writer[2];

	for (int i = 0; i < 2; i++)
		need(!pthread_create(&writer[i], NULL, writes_on, tables[i]), "a thread");
	for (u64 run = 0; run < RUNS; run++) {
		vfio_map(0, half(run), ENTRIES * PAGE);
		if (run % 3)
			vfio_unmap(0, ENTRIES * PAGE);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(writer[i], NULL);
}

static void register_halves(void)
{
	register_memory(half(0), vm->mem_size / 2);
	register_memory(half(1), vm->mem_size / 2);
}

void test_contended_entries(void)
{
	struct table *tables[2] = { create_table(12) };
	int kvm_vfio = attach(tables[0]);

	need(!table_create(vm, LIOBN + 1, 12, 0, WINDOW >> 12), "another table");
	tables[0] = table_find(vm, LIOBN);
	tables[1] = table_find(vm, LIOBN + 1);
	need(!attach_also(kvm_vfio, tables[1]), "attaching another table");
	need(unregister_memory(vm->slot[0].mem, vm->mem_size), "unregistering all memory");
	register_halves();
	contend(tables);
	vfio_map(0, half(0), ENTRIES * PAGE);
	check(!unregister_memory(half(0), vm->mem_size / 2),
	      "contended entries: what is mapped stays pinned", "it does not");
	check(unregister_memory(half(1), vm->mem_size / 2),
	      "contended entries: what is not mapped any more does not", "%s", strerror(errno));
	vfio_unmap(0, ENTRIES * PAGE);
	check(unregister_memory(half(0), vm->mem_size / 2),
	      "contended entries: nor when the rest is unmapped", "%s", strerror(errno));
	register_memory(vm->slot[0].mem, vm->mem_size);
	detach(kvm_vfio);
	table_close(tables[1]);
	table_close(table_find(vm, LIOBN));
}

void test_v1_container(void)
{
	fails(try_vfio_map(0, nowhere(), PAGE), EFAULT, "v1: memory that is not there");
	gives(try_vfio_map(0, ram_at(GUEST_RAM_MIN), 0), 0, "v1: no pages are mapped");
	gives(try_vfio_unmap(0, 0), 0, "v1: no pages are unmapped");
	vfio_map(OUT, ram_at(OUT_GPA), PAGE);
	vfio_map(0, ram_at(GUEST_RAM_MIN), V1_PAGES * PAGE);
	check(reads_through(0, GUEST_RAM_MIN, OUT, OUT_GPA), "v1: the device sees a page",
	      "it does not");
	vfio_map(0, ram_at(OTHER), V1_PAGES * PAGE);
	check(reads_through((V1_PAGES - 1) * PAGE, OTHER + (V1_PAGES - 1) * PAGE, OUT, OUT_GPA),
	      "v1: the device sees another in its place", "it does not");
	vfio_unmap(0, V1_PAGES * PAGE);
	check(!reads_through((V1_PAGES - 1) * PAGE, OTHER + (V1_PAGES - 1) * PAGE, OUT, OUT_GPA),
	      "v1: the device sees nothing any more", "it does");
	vfio_unmap(OUT, PAGE);
}
