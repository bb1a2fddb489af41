// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Races: while vCPUs change their parts of some tables, threads of the host read, write and punch
 * the tables, follow the dirty log, add and delete memory slots, move the guest's memory, and make
 * and close other tables that a vCPU is writing to. Afterwards every part must be what its only
 * writer made of it, and the copy that followed the dirty log must be the table.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "guest-entry.h"
#include "tce-kvm.h"

#define VICTIM_LIOBN 0xf0000000UL /* the table that comes and goes */
#define ROUNDS	     300UL	  /* each host thread does its work so often at least */
#define BLOCK	     1024UL	  /* entries that a host thread reads or writes at once, at most */

enum worker_kind { READER, WRITER, MAPPER, FOLLOWER, SLOTS, CREATOR, FORKER, WORKERS };

static const char *const worker_names[WORKERS] = {
	"reads",	"writes and punches", "mappings", "dirty log fetches",
	"slot changes", "creations",	      "forks",
};

struct race;

struct worker {
	struct race *race;
	enum worker_kind kind;
	pthread_t thread;
	u64 state; /* of its random numbers */
	u64 done;
	char failed[256];
};

/*
 * One table: the host's part of it, what the host wrote there, and the copy kept by the dirty log.
 */
struct raced {
	struct table *t;
	u64 first, count;
	u64 *written;
	u64 *copy;
};

struct race {
	struct vm *vm;
	struct raced table[GUEST_MAX_TABLES];
	int n;
	bool stop;
	struct worker worker[WORKERS];
};

static bool __attribute__((format(printf, 2, 3))) complain(struct worker *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->failed, sizeof(w->failed), fmt, ap);
	va_end(ap);
	return false;
}

static struct raced *any_table(struct worker *w)
{
	return &w->race->table[random_next(&w->state) % (u64)w->race->n];
}

static bool read_something(struct worker *w)
{
	const struct table *t = any_table(w)->t;
	u64 buf[BLOCK], first = random_next(&w->state) % t->entries;
	u64 n = 1 + random_next(&w->state) % BLOCK;
	char path[64], line[128];
	FILE *f;

	if (pread(t->fd, buf, n * 8, (off_t)(first * 8)) <= 0)
		return complain(w, "pread of %lu entries at %lu: %s", n, first, strerror(errno));
	if (lseek(t->fd, (off_t)(first * 8), SEEK_DATA) < 0 && errno != ENXIO)
		return complain(w, "SEEK_DATA at %lu: %s", first, strerror(errno));
	if (lseek(t->fd, (off_t)(first * 8), SEEK_HOLE) < 0)
		return complain(w, "SEEK_HOLE at %lu: %s", first, strerror(errno));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", t->fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		;
	if (f)
		fclose(f);
	return true;
}

/* Only this thread writes the host's parts, so it knows what is in them. */
static bool write_something(struct worker *w)
{
	struct raced *r = any_table(w);
	u64 buf[BLOCK], n = 1 + random_next(&w->state) % BLOCK;
	u64 at = random_next(&w->state) % r->count;

	if (n > r->count - at)
		n = r->count - at;
	if (random_next(&w->state) % 4 == 0) {
		if (random_next(&w->state) % 16 == 0) {
			at = 0; /* whole pages go, so that they have to be found gone elsewhere */
			n = r->count;
		}
		if (fallocate(r->t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)((r->first + at) * 8), (off_t)(n * 8)))
			return complain(w, "punching a hole: %s", strerror(errno));
		memset(&r->written[at], 0, n * 8);
		return true;
	}
	for (u64 i = 0; i < n; i++)
		r->written[at + i] = buf[i] = random_next(&w->state) & ~3UL;
	if (pwrite(r->t->fd, buf, n * 8, (off_t)((r->first + at) * 8)) != (ssize_t)(n * 8))
		return complain(w, "pwrite: %s", strerror(errno));
	if (pread(r->t->fd, buf, n * 8, (off_t)((r->first + at) * 8)) != (ssize_t)(n * 8) ||
	    memcmp(buf, &r->written[at], n * 8))
		return complain(w, "what was written at %lu is not there", r->first + at);
	return true;
}

/*
 * Holes are punched under the mapping; the loads must never fault otherwise than to fill it again.
 */
static bool map_something(struct worker *w)
{
	const struct table *t = any_table(w)->t;
	size_t page = (size_t)sysconf(_SC_PAGESIZE),
	       size = (t->entries * 8 + page - 1) / page * page;
	const volatile u64 *map = mmap(NULL, size, PROT_READ, MAP_SHARED, t->fd, 0);

	if (map == MAP_FAILED)
		return complain(w, "mmap: %s", strerror(errno));
	for (int i = 0; i < 64; i++)
		(void)map[random_next(&w->state) % t->entries];
	munmap((void *)(uintptr_t)map, size);
	return true;
}

static struct raced *raced_table(struct race *race, const struct table *t)
{
	int i;

	for (i = 0; race->table[i].t != t; i++)
		;
	return &race->table[i];
}

static struct race *following; /* for copy_group: there is one race at a time */

static int copy_group(struct table *t, u64 first, u64 n)
{
	return table_read(t, first, n, raced_table(following, t)->copy + first);
}

static bool follow(struct worker *w)
{
	for (int i = 0; i < w->race->n; i++) {
		u64 entries;
		int ret = table_dirty_get(w->race->table[i].t, copy_group, &entries);

		if (ret)
			return complain(w, "dirty log of table %#lx: %s",
					w->race->table[i].t->liobn, strerror(-ret));
	}
	return true;
}

static bool change_slots(struct worker *w)
{
	unsigned int slot = 2 + (unsigned int)(random_next(&w->state) % 4);
	int ret = vm_set_slot(w->race->vm, slot, (u64)slot << 40,
			      w->race->vm->slot[slot].size ? 0 : 1 << 20);

	return !ret || complain(w, "memory slot %u: %s", slot, strerror(-ret));
}

static bool create_and_close(struct worker *w)
{
	u64 n = 1 + random_next(&w->state) % 100000, tce = 0x1234560;
	int ret = table_create(w->race->vm, VICTIM_LIOBN, 12, 0, n);
	struct table *t;

	if (ret)
		return complain(w, "creating a table: %s", strerror(-ret));
	if (table_create(w->race->vm, VICTIM_LIOBN, 12, 0, n) != -EBUSY)
		return complain(w, "a LIOBN could be had twice");
	t = table_find(w->race->vm, VICTIM_LIOBN);
	if (pwrite(t->fd, &tce, 8, (off_t)((n - 1) * 8)) != 8)
		return complain(w, "pwrite to a new table: %s", strerror(errno));
	table_close(t);
	return true;
}

/*
 * All of the guest's memory is shared with a child, and so is no longer where it was when the guest
 * writes its next list; the old page is freed while the host may still be reading it. The fds are
 * not copied, so that a table that is closed meanwhile is closed.
 */
static bool fork_something(struct worker *w)
{
	pid_t child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);

	if (!child)
		_exit(0);
	if (child < 0 || waitpid(child, NULL, 0) != child)
		return complain(w, "fork: %s", strerror(errno));
	return true;
}

static void *worker_thread(void *arg)
{
	static bool (*const work[WORKERS])(struct worker *) = {
		read_something, write_something,  map_something,  follow,
		change_slots,	create_and_close, fork_something,
	};
	const struct timespec pause = { .tv_nsec = 1000000 }; /* leaves the CPUs to the guests */
	struct worker *w = arg;

	while (!__atomic_load_n(&w->race->stop, __ATOMIC_RELAXED) && work[w->kind](w)) {
		w->done++;
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static int compare(struct session *s, const struct raced *r)
{
	u64 *now = malloc(r->t->entries * 8);
	int ret = now ? table_read(r->t, 0, r->t->entries, now) : -ENOMEM;

	if (ret)
		ret = command_error(s, "table %#lx: %s", r->t->liobn, strerror(-ret));
	for (u64 i = 0; i < r->t->entries && !ret; i++) {
		if (now[i] != r->copy[i])
			ret = command_error(s,
					    "table %#lx, index %lu: %#lx, "
					    "but the copy by the dirty log has %#lx",
					    r->t->liobn, i, now[i], r->copy[i]);
		else if (i >= r->first && i < r->first + r->count &&
			 now[i] != r->written[i - r->first])
			ret = command_error(s,
					    "table %#lx, index %lu: %#lx, but the host wrote %#lx",
					    r->t->liobn, i, now[i], r->written[i - r->first]);
	}
	free(now);
	return ret;
}

static int prepare(struct session *s, struct race *race, struct table **tables, int n, int parts)
{
	for (int i = 0; i < n; i++) {
		struct raced *r = &race->table[i];
		int ret;

		r->t = tables[i];
		r->count = tables[i]->entries / (u64)parts;
		r->first = r->count * (u64)(parts - 1);
		r->count = tables[i]->entries - r->first;
		r->written = calloc(r->count, 8);
		r->copy = calloc(tables[i]->entries, 8);
		if (!r->written || !r->copy)
			return command_error(s, "out of memory");
		ret = table_dirty_start(r->t);
		/* What was before this is in the base copy, what comes after it in the log. */
		if (!ret)
			ret = table_read(r->t, 0, r->t->entries, r->copy);
		if (ret)
			return command_error(s, "table %#lx: %s", r->t->liobn, strerror(-ret));
		race->n++;
	}
	return 0;
}

/*
 * The last vCPU, if there are several, writes to the table that comes and goes; whatever it is
 * answered.
 */
static void write_to_victim(struct vcpu *vcpu)
{
	struct guest_cpu *cpu = vcpu->guest;
	struct guest_op *op = vm_ram(vcpu->vm, cpu->ops);

	*op = make_op(H_PUT_TCE, VICTIM_LIOBN, 0, 0x4321000, 0);
	cpu->nops = 0;
	cpu->loop_count = 1000;
	cpu->loop_stride = 0x1000;
	cpu->loop_mask = 0xffffff;
	vcpu_start(vcpu, guest_timed_loop);
}

int race(struct session *s, u64 updates, struct table **tables, int n)
{
	const struct timespec tick = { .tv_nsec = 10000000 };
	struct vm *vm = s->vm;
	struct vcpu *victim = vm->nvcpus > 1 ? &vm->vcpu[vm->nvcpus - 1] : NULL;
	int churners = victim ? vm->nvcpus - 1 : 1, ret;
	struct race *race = calloc(1, sizeof(*race));
	u64 done = 0, fewest = 0;

	if (!race)
		return command_error(s, "out of memory");
	race->vm = vm;
	following = race;
	ret = prepare(s, race, tables, n, churners + 1);
	if (ret)
		goto out;
	ret = churn_start(vm, tables, n,
			  &(struct churn_options){
				  .chunk = TCE_LIST_MAX,
				  .check_every = 16,
				  .ncpus = churners,
				  .parts = churners + 1,
			  });
	if (ret) {
		command_error(s, "%s", strerror(-ret));
		goto out;
	}
	for (int i = 0; i < WORKERS; i++) {
		race->worker[i] = (struct worker){ .race = race,
						   .kind = (enum worker_kind)i,
						   .state = (u64)i + 1 };
		if (pthread_create(&race->worker[i].thread, NULL, worker_thread, &race->worker[i]))
			die("pthread_create failed");
	}
	while ((done < updates || fewest < ROUNDS) && !vm->failed[0] && !ret) {
		if (victim && !victim->busy)
			write_to_victim(victim);
		nanosleep(&tick, NULL);
		done = 0;
		for (int c = 0; c < churners; c++)
			done += churn_updates(vm->vcpu[c].guest);
		fewest = ROUNDS;
		for (int i = 0; i < WORKERS; i++) {
			u64 rounds = __atomic_load_n(&race->worker[i].done, __ATOMIC_RELAXED);

			fewest = rounds < fewest ? rounds : fewest;
			ret |= race->worker[i].failed[0];
		}
	}
	__atomic_store_n(&race->stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(race->worker[i].thread, NULL);
	ret = churn_stop(vm) ? command_error(s, "%s", vm->failed) : 0;
	if (victim && !vcpu_wait(victim) && !ret)
		ret = command_error(s, "%s", vm->failed);
	for (int i = 0; i < WORKERS; i++) {
		const struct worker *w = &race->worker[i];

		if (w->failed[0])
			ret = command_error(s, "%s: %s", worker_names[i], w->failed);
		fprintf(s->out, "%s %lu\n", worker_names[i], w->done);
	}
	fprintf(s->out, "updates %lu\n", done);
	if (!ret && !follow(&race->worker[FOLLOWER]))
		ret = command_error(s, "%s", race->worker[FOLLOWER].failed);
	if (!ret && churn_verify(vm, s->out))
		ret = command_error(s, "the tables are not what the guests wrote");
	for (int i = 0; i < n && !ret; i++)
		ret = compare(s, &race->table[i]);
out:
	for (int i = 0; i < race->n; i++)
		table_dirty_stop(race->table[i].t);
	for (int i = 0; i < n; i++) {
		free(race->table[i].written);
		free(race->table[i].copy);
	}
	free(race);
	return ret;
}

/* A number from /proc: the one after `key`, in KiB. */
static u64 proc_number(const char *path, const char *key)
{
	char line[256];
	u64 value = 0;
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			value = strtoul(line + strlen(key), NULL, 10);
	if (f)
		fclose(f);
	return value;
}

/*
 * One page used of a table of 512: what a leak of the struct, of its pages or of the accounting
 * would cost shows.
 */
static int use_table(struct vm *vm, u64 page)
{
	u64 tce = 0x1234560, entries = 512 * page / 8;
	int ret = table_create(vm, VICTIM_LIOBN, 12, 0, entries);
	struct table *t = ret ? NULL : table_find(vm, VICTIM_LIOBN);

	if (ret)
		return ret;
	if (pwrite(t->fd, &tce, 8, (off_t)(entries * 8 - 8)) != 8)
		return -errno;
	ret = table_map(t, PROT_READ, MAP_SHARED, 511, 1);
	if (!ret && ((volatile u64 *)t->map)[page / 8 - 1] != tce)
		ret = -EILSEQ;
	table_close(t);
	return ret;
}

int leak(struct session *s, u64 count, u64 held)
{
	u64 page = (u64)sysconf(_SC_PAGESIZE), locked = 0, free_before = 0, free_after,
	    locked_after;
	const struct timespec settle = { .tv_sec = 1 };
	int ret;

	for (u64 i = 0; i < count + 100; i++) {
		if (i == 100) { /* what is allocated once and kept is there by now */
			nanosleep(&settle, NULL);
			locked = proc_number("/proc/self/status", "VmLck:");
			free_before = proc_number("/proc/meminfo", "MemFree:");
		}
		ret = use_table(s->vm, page);
		if (ret)
			return command_error(s, "table %lu: %s", i, strerror(-ret));
	}
	nanosleep(&settle, NULL); /* what RCU frees is freed */
	locked_after = proc_number("/proc/self/status", "VmLck:");
	free_after = proc_number("/proc/meminfo", "MemFree:");
	fprintf(s->out, "%lu tables: locked %lu KiB, then %lu; free %lu KiB, then %lu\n", count,
		locked, locked_after, free_before, free_after);
	if (locked != locked_after)
		return command_error(s, "locked memory went from %lu to %lu KiB", locked,
				     locked_after);
	/* A page, or the array of 4 KiB, lost with each table would be this much and more. */
	if (free_after + held + count * 2 < free_before)
		return command_error(s, "free memory went from %lu to %lu KiB", free_before,
				     free_after);
	return 0;
}
