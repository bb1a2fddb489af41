// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What VFIO has given up: a window that is removed, and a container that is closed, while the guest
 * goes on. Nothing may stay mapped, or the memory could never be unpinned. And what VFIO and KVM
 * change at once: each mapping counts once, or memory could be unpinned while a device reaches it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "hw-test.h"

#define ROUNDS	    8
#define ATTACHES    300
#define LEAVES	    300
#define COMERS	    150
#define SHARED_RUNS 60
#define BLOCK	    256UL
#define PAGE	    4096UL
#define KEPT	    5UL

static u64 tce_of(u64 n)
{
	return GUEST_RAM_MIN + n % (vm->mem_size / PAGE / 2) * PAGE + PERM_BITS;
}

static void write_block(const struct table *t, u64 first, u64 tce)
{
	u64 block[BLOCK];

	for (u64 i = 0; i < BLOCK; i++)
		block[i] = tce ? tce_of(tce + i) : 0;
	need(pwrite(t->fd, block, sizeof(block), (off_t)(first * 8)) == (ssize_t)sizeof(block),
	     "writing to a table");
}

static bool unregister_ram(void)
{
	return unregister_memory(vm->slot[0].mem, vm->mem_size);
}

static void register_ram(void)
{
	register_memory(vm->slot[0].mem, vm->mem_size);
}

/* The last part of the table is the host's. */
static void start_guests(struct table *t)
{
	if (churn_start(vm, &t, 1,
			&(struct churn_options){ .chunk = TCE_LIST_MAX,
						 .check_every = 16,
						 .overwrite = true,
						 .ncpus = vm->nvcpus,
						 .parts = vm->nvcpus + 1 }))
		die("the guests don't start");
}

static void stop_guests(const char *name)
{
	check(!churn_stop(vm), name, "%s", vm->failed);
	churn_stats(vm, stdout);
}

/* A group that is in no container: its hardware table is the one that the host's drivers use. */
void test_no_container(void)
{
	struct table *t = create_table(16);
	int fd;

	open_group_file();
	fd = try_attach(t);
	check(fd < 0 && errno == EINVAL, "no container: the host's own table is not attached", "%s",
	      fd < 0 ? strerror(errno) : "it is");
	if (fd >= 0)
		detach(fd);
	table_close(t);
}

void test_removed_window(void)
{
	struct table *t = create_table(12);
	int kvm_vfio = attach(t);

	gives(hcall(H_PUT_TCE, t, KEPT, tce_of(0), 0), H_SUCCESS, "removed window: an entry");
	check(!unregister_ram(), "removed window: ... keeps the memory registered", "it does not");
	remove_window();
	gives(hcall(H_PUT_TCE, t, KEPT + 1, tce_of(1), 0), H_SUCCESS,
	      "removed window: H_PUT_TCE goes on");
	gives(put(t, KEPT + 2, tce_of(2)), 8, "removed window: write goes on");
	check(at(t, KEPT + 1) == tce_of(1) && at(t, KEPT + 2) == tce_of(2),
	      "removed window: ... and the table has them", "%#lx %#lx", at(t, KEPT + 1),
	      at(t, KEPT + 2));
	check(unregister_ram(), "removed window: nothing is mapped any more", "%s",
	      strerror(errno));
	gives(hcall(H_STUFF_TCE, t, KEPT, 0, 2), H_SUCCESS, "removed window: H_STUFF_TCE goes on");
	detach(kvm_vfio);
	table_close(t);
	register_ram();
}

/* Windows that go and come while vCPUs fill the table. */
void test_windows_under_load(void)
{
	struct table *t = create_table(12);
	bool unregistered = true;

	start_guests(t);
	for (int round = 0; round < ROUNDS && unregistered; round++) {
		int kvm_vfio;

		create_first_window(12);
		kvm_vfio = attach(t);
		/* The guests may not run for a while. */
		write_block(t, t->entries - BLOCK, 1);
		remove_window();
		unregistered = unregister_ram();
		detach(kvm_vfio);
		if (unregistered)
			register_ram();
	}
	check(unregistered, "removed under load: nothing is mapped any more", "%s",
	      strerror(errno));
	stop_guests("removed under load: the guests go on");
	table_close(t);
}

static void *replace_windows(void *arg)
{
	const bool *stop = arg;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
		create_first_window(12);
		remove_window();
	}
	return NULL;
}

/*
 * A window goes while KVM looks for it: there is one, or there is none. What else could be found is
 * memory that was freed, which only a kernel with KASAN says for sure.
 */
void test_windows_while_attaching(void)
{
	struct table *t = create_table(12);
	bool stop = false;
	pthread_t thread;
	int other = 0;

	need(!pthread_create(&thread, NULL, replace_windows, &stop), "a thread");
	for (int i = 0; i < ATTACHES && !other; i++) {
		int kvm_vfio = try_attach(t);

		if (kvm_vfio >= 0)
			detach(kvm_vfio);
		else if (errno != EINVAL)
			other = errno;
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	check(!other, "removed while attaching: it is attached, or there is none", "%s",
	      strerror(other));
	table_close(t);
}

/* Windows that are replaced under a table: what the host has of the old ones is given back. */
void test_replaced_windows(void)
{
	struct table *t = create_table(12);
	int kvm_vfio;

	create_first_window(12);
	kvm_vfio = attach(t);
	for (int round = 0; round < ROUNDS; round++) {
		create_window(12);
		need(!attach_also(kvm_vfio, t), "attaching the new window");
	}
	check(table_info(t, "tce-hw-tables") == 1, "replaced windows: the table has the last one",
	      "it has %ld", table_info(t, "tce-hw-tables"));
	remove_window();
	detach(kvm_vfio);
	check(table_info(t, "tce-hw-tables") == 0, "replaced windows: ... and then none",
	      "it has %ld", table_info(t, "tce-hw-tables"));
	table_close(t);
}

/*
 * The same entries, of one hardware table, are changed by vCPUs through a table, by the host
 * through another one that the group is attached to, and by VFIO.
 */
void test_shared_entries(void)
{
	struct table *t = create_table(12), *other;
	u64 last = t->entries - 1;
	int kvm_vfio = attach(t);

	need(!table_create(vm, LIOBN + 1, 12, 0, t->entries), "another table");
	other = table_find(vm, LIOBN + 1);
	t = table_find(vm, LIOBN);
	need(!attach_also(kvm_vfio, other), "attaching another table");
	/* No vCPU writes the last entry. */
	need(put(t, last, tce_of(0)) == 8, "the entry that stays");
	start_guests(t);
	for (u64 run = 0; run < SHARED_RUNS; run++) {
		u64 first = run * 97 % (last - BLOCK);

		write_block(other, first, run);
		vfio_map(first * PAGE, vm->slot[0].mem + GUEST_RAM_MIN, BLOCK * PAGE);
		write_block(other, first, 0);
		vfio_unmap(first * PAGE, BLOCK * PAGE);
	}
	stop_guests("shared entries: the guests go on");
	need(!fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)(last * 8)),
	     "punching all but the last entry");
	check(!unregister_ram(), "shared entries: none was given back twice", "one was");
	need(put(t, last, 0) == 8, "clearing the last entry");
	check(unregister_ram(), "shared entries: none was forgotten", "%s", strerror(errno));
	register_ram();
	detach(kvm_vfio);
	table_close(other);
	table_close(table_find(vm, LIOBN));
}

/* The VMM closes the container while KVM has its window, and opens another one. */
void test_closed_container(void)
{
	struct table *t = create_table(12);
	int kvm_vfio;

	create_first_window(12);
	kvm_vfio = attach(t);
	start_guests(t);
	write_block(t, t->entries - BLOCK, 1);
	close_container();
	write_block(t, t->entries - BLOCK, 2);
	stop_guests("closed container: the guests go on");
	open_container();
	check(try_register(vm->slot[0].mem, vm->mem_size),
	      "closed container: its memory was unregistered", "%s", strerror(errno));
	detach(kvm_vfio);
	table_close(t);
	check(unregister_ram(), "closed container: nothing of it is mapped", "%s", strerror(errno));
}

static void *use_container(void *arg)
{
	const bool *stop = arg;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED))
		if (try_register(vm->slot[0].mem, vm->mem_size))
			unregister_ram();
	return NULL;
}

/*
 * The group leaves the container, which then has nothing any more, in the middle of what a thread
 * asks of it. What the thread may go on with is memory that was freed, which only a kernel with
 * KASAN says for sure.
 */
void test_left_container(void)
{
	bool stop = false;
	pthread_t thread;

	need(!pthread_create(&thread, NULL, use_container, &stop), "a thread");
	for (int i = 0; i < LEAVES; i++) {
		leave_container();
		join_container();
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	unregister_ram();
	check(try_register(vm->slot[0].mem, vm->mem_size) && unregister_ram(),
	      "left container: it works afterwards", "%s", strerror(errno));
}

/* Registers `mem` once both processes are here. */
static bool register_at_once(int *arrived, void *mem)
{
	__atomic_add_fetch(arrived, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(arrived, __ATOMIC_SEQ_CST) < 2)
		;
	return try_register(mem, 1 << 16);
}

/* A container belongs to the process that comes first, also if two come first at once. */
void test_first_comers(void)
{
	int *arrived = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			    0);
	void *mem = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int both = 0, none = 0, status;

	need(arrived != MAP_FAILED && mem != MAP_FAILED, "memory");
	for (int i = 0; i < COMERS; i++) {
		bool first;
		pid_t pid;

		leave_container();
		join_container();
		*arrived = 0;
		pid = fork();
		need(pid >= 0, "fork");
		if (!pid)
			_exit(register_at_once(arrived, mem));
		first = register_at_once(arrived, mem);
		need(waitpid(pid, &status, 0) == pid, "waitpid");
		both += first && status;
		none += !first && !status;
	}
	check(!both && !none, "first comers: one of two processes gets the container",
	      "both did %d times, none %d times, of %d", both, none, COMERS);
	leave_container();
	join_container();
	munmap(arrived, 1 << 16);
	munmap(mem, 1 << 16);
}

/* The other container is closed while this one has mapped what that one has registered. */
static void map_what_is_left(void *mem, u64 size)
{
	open_other_container(mem, size);
	create_window(12);
	vfio_map(0, mem, PAGE);
	close_other_container();
}

/*
 * A process with two containers has memory mapped in one that it has registered in the other. That
 * is closed, and the memory stays until it is not mapped any more, and no longer. The kernel
 * warned of it.
 */
void test_other_container(void)
{
	u64 size = 2UL << 16;
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(mem != MAP_FAILED, "memory");
	/* A container maps nothing before something is registered in it. */
	register_ram();
	map_what_is_left(mem, size);
	check(!try_register(mem, size / 2), "other container: what it leaves stays while mapped",
	      "it does not");
	vfio_unmap(0, PAGE);
	check(try_register(mem, size / 2) && unregister_memory(mem, size / 2),
	      "other container: ... and no longer", "%s", strerror(errno));
	map_what_is_left(mem, size);
	leave_container();
	check(!locked(), "other container: nothing is left of the last one", "%ld KiB are locked",
	      locked());
	join_container();
	munmap(mem, size);
}
