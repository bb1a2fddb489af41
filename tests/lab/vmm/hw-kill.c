// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-hw-kill [WORK]...: a process is killed in the middle of long work on a hardware table. It is
 * gone long before the work would be done, leaves nothing pinned, and another has the group at
 * once. Meanwhile, memory slots can change. How long a work takes is measured before, and so is how
 * long a process takes to end that does nothing. With -icount, the machine's load is in no time.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "hw-work.h"

#define PARTS	  8UL	  /* of the work */
#define LAST_PART 3UL	  /* that a process is killed after, so that most is left to be done */
#define TICK	  500000L /* nanoseconds */
#define PATIENCE  4000	  /* ticks until what was pinned is given back */
#define SLOT	  2
#define SLOT_GPA  (1UL << 41)

enum stage { SETTING_UP, READY, WORKING, DONE, IDLE };

/* What the process that works tells the one that kills it, in memory of both. */
struct told {
	enum stage stage;
	int table_fd;
	u64 longest; /* change of memory slots, in nanoseconds */
};

/* One run of a work: the process, its table, which is open here, too, and when it began. */
struct run {
	pid_t pid;
	struct table t;
	u64 begun;
};

static struct told *told;
static long pinned_before;
static cpu_set_t all_cpus;

static u64 now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000UL + (u64)ts.tv_nsec;
}

static void tick(void)
{
	const struct timespec ts = { .tv_nsec = TICK };

	nanosleep(&ts, NULL);
}

static enum stage stage(void)
{
	return __atomic_load_n(&told->stage, __ATOMIC_SEQ_CST);
}

static void set_stage(enum stage stage)
{
	__atomic_store_n(&told->stage, stage, __ATOMIC_SEQ_CST);
}

/*
 * The thread that works has a CPU, and all others have another: a kernel that lets nobody in on a
 * CPU is not to keep away the one that kills.
 */
static void use_cpu(int n)
{
	cpu_set_t one;
	int cpu = 0;

	while (cpu < CPU_SETSIZE && (!CPU_ISSET(cpu, &all_cpus) || n--))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	need(!sched_setaffinity(0, sizeof(one), &one), "a CPU of its own");
}

/* Adds and removes a memory slot all the time. */
static void *change_slots(void *arg)
{
	use_cpu(1);
	while (stage() < DONE) {
		u64 start = now();

		need(!vm_set_slot(vm, SLOT, SLOT_GPA, 1 << 16), "adding a memory slot");
		need(!vm_set_slot(vm, SLOT, 0, 0), "removing a memory slot");
		if (stage() >= WORKING && now() - start > told->longest)
			told->longest = now() - start;
	}
	return NULL;
}

/* A VMM with the group, whose window is as large as the table. */
static struct table *start_vmm(u64 entries)
{
	struct vm_options opt = { .mem_size = WORK_MEM_SIZE, .nvcpus = 1 };
	u64 start;

	vm = vm_create(&opt);
	open_group_file();
	open_container();
	register_memory(vm->slot[0].mem, vm->mem_size);
	remove_window();
	need(!try_window(WORK_SHIFT, entries * WORK_PAGE, &start), "VFIO_IOMMU_SPAPR_TCE_CREATE");
	need(!table_create(vm, LIOBN, WORK_SHIFT, 0, entries), "KVM_CREATE_SPAPR_TCE_64");
	return table_find(vm, LIOBN);
}

/*
 * The process that is killed: it waits for that when it is done. It does not open the device, which
 * the host would reset then: that takes seconds.
 */
static void work_on(const struct work *work)
{
	struct table *t;
	pthread_t thread;

	use_cpu(0);
	t = start_vmm(WORK_ENTRIES);
	work->prepare(t);
	told->table_fd = t->fd;
	if (work->slots)
		need(!pthread_create(&thread, NULL, change_slots, NULL), "a thread");
	set_stage(READY);
	while (stage() == READY)
		tick();
	work->run(t);
	set_stage(DONE);
	if (work->slots)
		pthread_join(thread, NULL);
	set_stage(IDLE);
	for (;;)
		pause();
}

/* Waits a little; the process has to be there. */
static void wait_for_process(const struct run *run)
{
	int status;

	if (waitpid(run->pid, &status, WNOHANG))
		die("the process that works has ended: %#x", status);
	tick();
}

/* What is in the table shows how far the work has come, also when the process has gone. */
static void take_table(struct run *run)
{
	int pidfd = (int)syscall(SYS_pidfd_open, run->pid, 0);

	need(pidfd >= 0, "pidfd_open");
	run->t = (struct table){ .entries = WORK_ENTRIES };
	run->t.fd = (int)syscall(SYS_pidfd_getfd, pidfd, told->table_fd, 0);
	need(run->t.fd >= 0, "pidfd_getfd");
	close(pidfd);
	run->t.map = map_table(&run->t);
}

static void drop_table(struct run *run)
{
	munmap(run->t.map, WORK_ENTRIES * 8);
	close(run->t.fd);
}

static struct run start(const struct work *work)
{
	struct run run = { 0 };

	memset(told, 0, sizeof(*told));
	run.pid = fork();
	need(run.pid >= 0, "fork");
	if (!run.pid)
		work_on(work);
	while (stage() < READY)
		wait_for_process(&run);
	take_table(&run);
	set_stage(WORKING);
	while (work->begun && !work->begun(&run.t) && stage() < DONE)
		wait_for_process(&run);
	run.begun = now();
	return run;
}

/* Kills the process: nanoseconds until it is gone. */
static u64 end(struct run *run)
{
	u64 start = now();
	int status;

	need(!kill(run->pid, SIGKILL), "kill");
	need(waitpid(run->pid, &status, 0) == run->pid, "waitpid");
	if (!WIFSIGNALED(status))
		die("the process has ended by itself: %#x", status);
	return now() - start;
}

/* Pages that are pinned in the host, by any process. */
static long pinned(void)
{
	int fd = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);
	long acquired = -1, released = 0;
	char line[128];
	FILE *f;

	/* What each CPU counts for itself is not in it otherwise. */
	need(fd >= 0 && write(fd, "1", 1) == 1, "stat_refresh");
	close(fd);
	f = fopen("/proc/vmstat", "re");
	need(f, "/proc/vmstat");
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "nr_foll_pin_acquired %ld", &acquired);
		sscanf(line, "nr_foll_pin_released %ld", &released);
	}
	fclose(f);
	if (acquired < 0)
		die("/proc/vmstat does not count pinned pages");
	return acquired - released;
}

/* Memory is unpinned once RCU readers have ended. */
static bool is_unpinned(void)
{
	for (int i = 0; i < PATIENCE && pinned() != pinned_before; i++)
		tick();
	return pinned() == pinned_before;
}

/* Another process: the device moves data through an entry, and through no other. */
static int use_group(void)
{
	const u64 home = GUEST_RAM_MIN, page = GUEST_RAM_MIN + WORK_PAGE;
	struct table *t = start_vmm(WINDOW / WORK_PAGE);

	open_device(open_in_container());
	attach(t);
	if (hcall(H_PUT_TCE, t, 1, home | PERM_BITS, 0) ||
	    hcall(H_PUT_TCE, t, 2, page | PERM_BITS, 0))
		return 3;
	if (!reads_through(2 * WORK_PAGE, page, WORK_PAGE, home))
		return 4;
	return reads_through(3 * WORK_PAGE, page, WORK_PAGE, home) ? 5 : 0;
}

static int status_of_other(void)
{
	pid_t pid = fork();
	int status;

	need(pid >= 0, "fork");
	if (!pid)
		_exit(use_group());
	need(waitpid(pid, &status, 0) == pid, "waitpid");
	return status;
}

static const char *named(const struct work *work, u64 part, const char *what)
{
	static char name[128];

	if (part < PARTS)
		snprintf(name, sizeof(name), "%s, killed at %lu/%lu: %s", work->name, part, PARTS,
			 what);
	else
		snprintf(name, sizeof(name), "%s, done: %s", work->name, what);
	return name;
}

static void check_rest(const struct work *work, u64 part)
{
	int status;

	check(is_unpinned(), named(work, part, "nothing is pinned any more"), "%ld pages are",
	      pinned() - pinned_before);
	status = status_of_other();
	check(!status, named(work, part, "another process has the group at once"), "%#x", status);
}

static u64 count_done(const struct work *work, const struct table *t)
{
	u64 low = 0, high = WORK_ENTRIES;

	while (low < high) {
		u64 middle = (low + high + 1) / 2;

		if (work->has_done(t, middle))
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/* Undisturbed to the end: sets what it takes, and what it takes to end then. */
static void measure(const struct work *work, u64 *took, u64 *rest)
{
	struct run run = start(work);

	while (stage() < DONE)
		wait_for_process(&run);
	*took = now() - run.begun;
	while (stage() < IDLE)
		wait_for_process(&run);
	if (work->has_done)
		check(work->has_done(&run.t, WORK_ENTRIES), named(work, PARTS, "all of it"),
		      "%lu entries", count_done(work, &run.t));
	*rest = end(&run);
	printf("# %s: %.1f ms, then %.1f ms to end; a memory slot took %.1f ms\n", work->name,
	       (double)*took / 1e6, (double)*rest / 1e6, (double)told->longest / 1e6);
	if (work->slots)
		check(told->longest && told->longest < *took / 4,
		      named(work, PARTS, "memory slots could change meanwhile"), "%lu ns of %lu",
		      told->longest, *took);
	drop_table(&run);
	check_rest(work, PARTS);
}

static bool has_come_to(const struct work *work, const struct run *run, u64 part, u64 took)
{
	if (work->has_done)
		return work->has_done(&run->t, WORK_ENTRIES * part / PARTS);
	return now() - run->begun >= took * part / PARTS;
}

static void kill_at(const struct work *work, u64 part, u64 took, u64 rest)
{
	struct run run = start(work);
	u64 gone, done = 0;
	enum stage before;

	while (!has_come_to(work, &run, part, took))
		wait_for_process(&run);
	before = stage();
	gone = end(&run);
	if (work->has_done)
		done = count_done(work, &run.t);
	drop_table(&run);
	printf("# %s: %.1f ms at %lu/%lu\n", work->name, (double)gone / 1e6, part, PARTS);
	check(before == WORKING, named(work, part, "it was in the middle"), "it was done");
	/* It may have come to the next part when it was killed. */
	if (work->has_done)
		check(done < WORK_ENTRIES * (part + 2) / PARTS,
		      named(work, part, "it goes on no further"), "to %lu of %lu", done,
		      WORK_ENTRIES);
	if (work->whole)
		check(gone < rest + took, named(work, part, "it is gone once it is done"),
		      "%lu ns; %lu when done, and the work is %lu", gone, rest, took);
	else
		check(gone < rest + took / 6,
		      named(work, part, "it is gone long before it would be done"),
		      "%lu ns; %lu when done, and the work is %lu", gone, rest, took);
	check_rest(work, part);
}

/* Nanoseconds until a process is gone that does nothing, and has mapped all entries. */
static u64 measure_full_table(void)
{
	struct run run = start(work_write);
	u64 rest;

	while (stage() < IDLE)
		wait_for_process(&run);
	rest = end(&run);
	drop_table(&run);
	return rest;
}

static void test(const struct work *work)
{
	u64 took, rest;

	measure(work, &took, &rest);
	if (work->unmaps)
		rest = measure_full_table();
	for (u64 part = 1; part <= LAST_PART; part++)
		kill_at(work, part, took, rest);
}

static const struct work *find_work(const char *name)
{
	for (const struct work *work = works; work->name; work++)
		if (!strcmp(work->name, name))
			return work;
	die("there is no work %s", name);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(told != MAP_FAILED, "memory");
	need(!sched_getaffinity(0, sizeof(all_cpus), &all_cpus), "CPUs");
	use_cpu(1);
	pinned_before = pinned();
	for (const struct work *work = works; work->name && argc < 2; work++)
		test(work);
	for (int i = 1; i < argc; i++)
		test(find_work(argv[i]));
	return check_failures ? 1 : 0;
}
