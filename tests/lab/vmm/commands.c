// SPDX-License-Identifier: GPL-2.0-or-later
/* The commands of tce-vmm, one function each, and the table that names them. */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/platform/ppc.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "guest-entry.h"
#include "tce-kvm.h"

#define IOEVENTFDS 0x9000000000ULL /* guest addresses of those that are of no use */

int command_error(struct session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->error, sizeof(s->error), fmt, ap);
	va_end(ap);
	return -1;
}

static int parse(struct session *s, const char *arg, u64 *value)
{
	char *end;

	errno = 0;
	*value = strtoul(arg, &end, 0);
	return errno || end == arg || *end ? command_error(s, "%s is not a number", arg) : 0;
}

/* Arguments 1 to n as numbers. */
static int parse_all(struct session *s, char **argv, int n, u64 *value)
{
	int ret = 0;

	for (int i = 0; i < n && !ret; i++)
		ret = parse(s, argv[i + 1], &value[i]);
	return ret;
}

static struct table *find(struct session *s, const char *arg)
{
	struct table *t = NULL;
	u64 liobn;

	if (!parse(s, arg, &liobn)) {
		t = table_find(s->vm, liobn);
		if (!t)
			command_error(s, "no table with LIOBN %#lx", liobn);
	}
	return t;
}

/*
 * Issue hcalls, and have the model do them too. Whatever the kernel answered differently (return
 * code, any register, left to user space or not) is an error.
 */
int run_ops(struct session *s, struct guest_op *ops, u64 n)
{
	struct guest_op *model;
	int ret = 0;

	model = malloc(n * sizeof(*model));
	if (!model)
		return command_error(s, "out of memory");
	memcpy(model, ops, n * sizeof(*ops));
	if (!vcpu_run_ops(s->vcpu, ops, n)) {
		ret = command_error(s, "%s", s->vm->failed[0] ? s->vm->failed : "interrupted");
		goto out;
	}
	for (u64 i = 0; i < n && !ret; i++) {
		const struct guest_op *op = &ops[i];

		model_hcall(s->vm, &model[i]);
		if (memcmp(op, &model[i], sizeof(*op)))
			ret = command_error(
				s,
				"hcall %lu: %#lx(%#lx, %#lx, %#lx, %#lx) gave r3 %#lx r4 %#lx "
				"exit %lu clobbered %#lx, the model r3 %#lx r4 %#lx exit %lu",
				i, op->in[0], op->in[1], op->in[2], op->in[3], op->in[4],
				op->out[0], op->out[1], op->exited, op->clobbered, model[i].out[0],
				model[i].out[1], model[i].exited);
	}
	s->last = ops[n - 1];
out:
	free(model);
	return ret;
}

struct guest_op make_op(u64 nr, u64 a, u64 b, u64 c, u64 d)
{
	struct guest_op op = { .in = { nr, a, b, c, d } };

	for (int i = 5; i < 10; i++)
		op.in[i] = 0x5eed000000000000UL + (u64)i;
	return op;
}

static int one_op(struct session *s, u64 nr, const u64 *a, int nargs)
{
	struct guest_op op = make_op(nr, a[0], a[1], nargs > 2 ? a[2] : 0, nargs > 3 ? a[3] : 0);
	int ret = run_ops(s, &op, 1);

	if (!ret && s->last.out[0] != H_SUCCESS)
		fprintf(s->out, "rc %ld\n", (long)s->last.out[0]);
	return ret;
}

static int cmd_create(struct session *s, int argc, char **argv)
{
	u64 a[4];
	int ret = parse_all(s, argv, 4, a);

	if (ret)
		return ret;
	ret = table_create(s->vm, a[0], a[1], a[2], a[3]);
	if (ret)
		return command_error(s, "KVM_CREATE_SPAPR_TCE_64(LIOBN %#lx): %s", a[0],
				     strerror(-ret));
	fprintf(s->out, "table %#lx fd %d\n", a[0], table_find(s->vm, a[0])->fd);
	return 0;
}

static int cmd_close(struct session *s, int argc, char **argv)
{
	struct table *t = find(s, argv[1]);

	if (!t)
		return -1;
	table_close(t);
	return 0;
}

static int cmd_map(struct session *s, int argc, char **argv)
{
	struct table *t = find(s, argv[1]);
	int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED, ret;
	u64 range[2] = { 0 };

	if (!t)
		return -1;
	if (!strcmp(argv[2], "private"))
		flags = MAP_PRIVATE;
	else if (!strcmp(argv[2], "ro"))
		prot = PROT_READ;
	else if (strcmp(argv[2], "shared"))
		return command_error(s, "shared, private or ro, not %s", argv[2]);
	if (argc > 3 && (argc != 5 || parse(s, argv[3], &range[0]) || parse(s, argv[4], &range[1])))
		return command_error(s, "the range is FIRST-PAGE PAGES");
	ret = table_map(t, prot, flags, range[0], range[1]);
	if (ret)
		return command_error(s, "mmap of table %#lx: %s", t->liobn, strerror(-ret));
	fprintf(s->out, "mapped %#lx at %p, %zu bytes\n", t->liobn, t->map, t->map_size);
	return 0;
}

static int cmd_memslot(struct session *s, int argc, char **argv)
{
	u64 a[3];
	int ret = parse_all(s, argv, 3, a);

	if (ret)
		return ret;
	if (!a[0] || a[0] >= MAX_SLOTS)
		return command_error(s, "slots 1 to %d", MAX_SLOTS - 1);
	ret = vm_set_slot(s->vm, (unsigned int)a[0], a[1], a[2]);
	return ret ? command_error(s, "slot %lu: %s", a[0], strerror(-ret)) : 0;
}

/* The first page of a table, many times; in no order that would make one mapping of them. */
static int cmd_maps(struct session *s, int argc, char **argv)
{
	struct table *t = find(s, argv[1]);
	u64 count;

	if (!t || parse(s, argv[2], &count))
		return -1;
	for (; count; count--)
		if (mmap(NULL, getpagesize(), PROT_READ, MAP_SHARED, t->fd, 0) == MAP_FAILED)
			return command_error(s, "mmap: %m");
	return 0;
}

/* Many, at addresses of their own, of one eventfd. */
static int cmd_ioeventfds(struct session *s, int argc, char **argv)
{
	struct kvm_ioeventfd args = { .addr = IOEVENTFDS, .len = 4, .fd = eventfd(0, EFD_CLOEXEC) };
	u64 count;

	if (parse(s, argv[1], &count))
		return -1;
	if (args.fd < 0)
		return command_error(s, "eventfd: %m");
	for (; count; count--, args.addr += args.len)
		if (ioctl(s->vm->fd, KVM_IOEVENTFD, &args))
			return command_error(s, "ioeventfd at %#" PRIx64 ": %m",
					     (uint64_t)args.addr);
	return 0;
}

static int cmd_caps(struct session *s, int argc, char **argv)
{
	fprintf(s->out, "caps %#x\n",
		(unsigned int)ioctl(s->vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SPAPR_TCE_FD));
	return 0;
}

static int cmd_cpu(struct session *s, int argc, char **argv)
{
	u64 n;

	if (parse(s, argv[1], &n))
		return -1;
	if (n >= (u64)s->vm->nvcpus)
		return command_error(s, "there are %d vCPUs", s->vm->nvcpus);
	s->vcpu = &s->vm->vcpu[n];
	return 0;
}

static int cmd_put(struct session *s, int argc, char **argv)
{
	u64 a[3];

	return parse_all(s, argv, 3, a) ?: one_op(s, H_PUT_TCE, a, 3);
}

static int cmd_get(struct session *s, int argc, char **argv)
{
	u64 a[2];
	int ret = parse_all(s, argv, 2, a) ?: one_op(s, H_GET_TCE, a, 2);

	if (!ret && s->last.out[0] == H_SUCCESS)
		fprintf(s->out, "tce %#lx\n", s->last.out[1]);
	return ret;
}

static int cmd_stuff(struct session *s, int argc, char **argv)
{
	u64 a[4];

	return parse_all(s, argv, 4, a) ?: one_op(s, H_STUFF_TCE, a, 4);
}

static int cmd_indirect(struct session *s, int argc, char **argv)
{
	u64 a[5];
	u64 *list = vcpu_list(s->vcpu);
	int ret = parse_all(s, argv, 5, a);

	if (ret)
		return ret;
	for (u64 i = 0; i < TCE_LIST_MAX; i++)
		list[i] = htobe64(a[2] + i * a[3]);
	return one_op(s, H_PUT_TCE_INDIRECT, (u64[]){ a[0], a[1], vcpu_list_gpa(s->vcpu), a[4] },
		      4);
}

static int cmd_expect(struct session *s, int argc, char **argv)
{
	static const struct {
		const char *name;
		long value;
	} names[] = {
		{ "H_SUCCESS", H_SUCCESS },
		{ "H_PARAMETER", H_PARAMETER },
		{ "H_FUNCTION", H_FUNCTION },
		{ "H_RESOURCE", H_RESOURCE },
	};
	u64 want = 0;
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(argv[1], names[i].name))
			break;
	if (i < sizeof(names) / sizeof(names[0]))
		want = (u64)names[i].value;
	else if (parse(s, argv[1], &want))
		return -1;
	if (s->last.out[0] != want)
		return command_error(s, "the last hcall returned %#lx, not %s", s->last.out[0],
				     argv[1]);
	if (argc > 2) {
		if (parse(s, argv[2], &want))
			return -1;
		if (s->last.out[1] != want)
			return command_error(s, "the last hcall's r4 is %#lx, not %s",
					     s->last.out[1], argv[2]);
	}
	return 0;
}

static u64 fill_value(const struct table *t, const char *pattern, u64 index, u64 *state)
{
	u64 pages = t->vm->mem_size >> t->page_shift;
	u64 gpa = pages ? index % pages << t->page_shift : 0;

	if (!strcmp(pattern, "linear"))
		return gpa | 3;
	if (!strcmp(pattern, "alternating"))
		return index & 1 ? 0 : gpa | 3;
	if (!strcmp(pattern, "poison"))
		return (index + 1) << 2;
	if (!strcmp(pattern, "perms"))
		return gpa | (index & 3);
	/* random: a third holes, a third poison, a third mapped */
	switch (random_next(state) % 3) {
	case 0:
		return 0;
	case 1:
		return random_next(state) & ~3UL;
	default:
		return (pages ? random_next(state) % pages << t->page_shift : 0) |
		       (1 + random_next(state) % 3);
	}
}

static int cmd_fill(struct session *s, int argc, char **argv)
{
	static const char *const patterns[] = { "linear", "alternating", "poison", "perms",
						"random" };
	struct table *t = find(s, argv[1]);
	u64 range[2] = { 0, 0 }, seed = 1, i;
	struct guest_op *ops;
	int ret;

	if (!t)
		return -1;
	for (i = 0; i < 5 && strcmp(argv[2], patterns[i]); i++)
		;
	if (i == 5)
		return command_error(s, "no pattern %s", argv[2]);
	range[1] = t->entries;
	if (argc > 4 && parse_all(s, argv + 2, 2, range))
		return -1;
	if (argc == 4 || argc > 6)
		return command_error(s, "LIOBN PATTERN [INDEX COUNT [SEED]]");
	if (argc > 5 && parse(s, argv[5], &seed))
		return -1;
	if (range[0] > t->entries || range[1] > t->entries - range[0] || !range[1])
		return command_error(s, "the table has %lu entries", t->entries);
	ops = malloc(range[1] * sizeof(*ops));
	if (!ops)
		return command_error(s, "out of memory");
	for (i = 0; i < range[1]; i++)
		ops[i] = make_op(H_PUT_TCE, t->liobn, (t->offset + range[0] + i) << t->page_shift,
				 fill_value(t, argv[2], range[0] + i, &seed), 0);
	ret = run_ops(s, ops, range[1]);
	free(ops);
	return ret;
}

static int for_tables(struct session *s, int argc, char **argv,
		      int (*fn)(struct session *, struct table *))
{
	int ret = 0;

	if (argc > 1) {
		struct table *t = find(s, argv[1]);

		return t ? fn(s, t) : -1;
	}
	for (int i = 0; i < s->vm->ntables && !ret; i++)
		if (s->vm->table[i]->fd >= 0)
			ret = fn(s, s->vm->table[i]);
	return ret;
}

static int check_table(struct session *s, struct table *t)
{
	u64 index, want, got;
	long n = table_compare(t, &index, &want, &got);

	if (n < 0)
		return command_error(s, "table %#lx: %s", t->liobn, strerror((int)-n));
	if (n)
		return command_error(s,
				     "table %#lx: %ld entries differ, the first at index %lu: "
				     "want %#lx, got %#lx",
				     t->liobn, n, index, want, got);
	fprintf(s->out, "table %#lx right\n", t->liobn);
	return 0;
}

static int cmd_check(struct session *s, int argc, char **argv)
{
	return for_tables(s, argc, argv, check_table);
}

/* From outside the guest and the model, as another program would. */
static int cmd_poke(struct session *s, int argc, char **argv)
{
	struct table *t = find(s, argv[1]);
	u64 a[2];
	int ret;

	if (!t || parse_all(s, argv + 1, 2, a))
		return -1;
	if (a[0] >= t->entries)
		return command_error(s, "the table has %lu entries", t->entries);
	ret = table_poke(t, a[0], a[1]);
	return ret ? command_error(s, "table %#lx: %s", t->liobn, strerror(-ret)) : 0;
}

static int cmd_dirty(struct session *s, int argc, char **argv)
{
	struct table *t = find(s, argv[1]);
	u64 entries = 0;
	int ret;

	if (!t)
		return -1;
	if (!strcmp(argv[2], "start"))
		ret = table_dirty_start(t);
	else if (!strcmp(argv[2], "stop"))
		ret = table_dirty_stop(t);
	else if (!strcmp(argv[2], "get"))
		ret = table_dirty_get(t, NULL, &entries);
	else
		return command_error(s, "start, get or stop, not %s", argv[2]);
	if (ret)
		return command_error(s, "dirty log of table %#lx: %s", t->liobn, strerror(-ret));
	if (!strcmp(argv[2], "get"))
		fprintf(s->out, "dirty %lu\n", entries);
	return 0;
}

static int load_table(struct session *s, struct table *t)
{
	int ret = table_load(t);

	return ret ? command_error(s, "table %#lx: %s", t->liobn, strerror(-ret)) : 0;
}

static int cmd_load(struct session *s, int argc, char **argv)
{
	return for_tables(s, argc, argv, load_table);
}

static int cmd_period(struct session *s, int argc, char **argv)
{
	u64 ticks;

	if (parse(s, argv[1], &ticks))
		return -1;
	for (int c = 0; c < s->vm->nvcpus; c++)
		s->vm->vcpu[c].guest->period = ticks;
	return 0;
}

static int cmd_mmio(struct session *s, int argc, char **argv)
{
	if (s->vm->pr)
		return command_error(s, "not with KVM PR");
	for (int c = 0; c < s->vm->nvcpus; c++)
		s->vm->vcpu[c].guest->mmio = s->vm->vcpu[c].mmio_loads + 1;
	return 0;
}

static int cmd_random(struct session *s, int argc, char **argv)
{
	struct table *tables[MAX_ARGS];
	u64 a[2];
	int n;

	if (parse_all(s, argv, 2, a))
		return -1;
	if (strcmp(argv[3], "keep") && strcmp(argv[3], "punch"))
		return command_error(s, "keep or punch, not %s", argv[3]);
	if (!s->vm->slot[1].size)
		return command_error(s, "memory slot 1 is needed");
	for (n = 0; n + 4 < argc; n++) {
		tables[n] = find(s, argv[n + 4]);
		if (!tables[n])
			return -1;
	}
	return random_hcalls(s, a[0], a[1], argv[3][0] == 'p', tables, n);
}

static int cmd_churn(struct session *s, int argc, char **argv)
{
	struct table *tables[GUEST_MAX_TABLES];
	bool overwrite = !strcmp(argv[0], "overwrite");
	u64 chunk;
	int n, ret;

	if (parse(s, argv[1], &chunk))
		return -1;
	if (!chunk || chunk > TCE_LIST_MAX)
		return command_error(s, "a chunk is 1 to %d entries", TCE_LIST_MAX);
	for (n = 0; n + 2 < argc; n++) {
		if (n == GUEST_MAX_TABLES)
			return command_error(s, "at most %d tables", GUEST_MAX_TABLES);
		tables[n] = find(s, argv[n + 2]);
		if (!tables[n])
			return -1;
		/* The guest would stop at the first entry, and nobody may look at it after this. */
		ret = overwrite ? 1 : table_is_empty(tables[n]);
		if (ret <= 0)
			return command_error(s, "table %#lx: %s", tables[n]->liobn,
					     ret ? strerror(-ret) : "not empty");
	}
	ret = churn_start(s->vm, tables, n,
			  &(struct churn_options){
				  .chunk = chunk,
				  .check_every = 1,
				  .overwrite = overwrite,
				  .ncpus = s->vm->nvcpus,
				  .parts = s->vm->nvcpus,
			  });
	return ret ? command_error(s, "%s", strerror(-ret)) : 0;
}

static int cmd_race(struct session *s, int argc, char **argv)
{
	struct table *tables[GUEST_MAX_TABLES];
	u64 updates;
	int n;

	if (parse(s, argv[1], &updates))
		return -1;
	for (n = 0; n + 2 < argc; n++) {
		tables[n] = find(s, argv[n + 2]);
		if (!tables[n])
			return -1;
	}
	return race(s, updates, tables, n);
}

static int cmd_leak(struct session *s, int argc, char **argv)
{
	u64 count, held = 0;

	if (parse(s, argv[1], &count) || (argc > 2 && parse(s, argv[2], &held)))
		return -1;
	return leak(s, count, held);
}

static int cmd_pause(struct session *s, int argc, char **argv)
{
	vm_pause(s->vm);
	return 0;
}

static int cmd_resume(struct session *s, int argc, char **argv)
{
	vm_resume(s->vm);
	return 0;
}

static int cmd_stop(struct session *s, int argc, char **argv)
{
	return churn_stop(s->vm) ? command_error(s, "%s", s->vm->failed) : 0;
}

/* While the guests run, they are held for the time of the check. */
static int cmd_verify(struct session *s, int argc, char **argv)
{
	bool paused = s->vm->paused;
	int ret;

	if (!paused)
		vm_pause(s->vm);
	ret = churn_verify(s->vm, s->out);
	if (!paused)
		vm_resume(s->vm);
	return ret ? command_error(s, "the tables are not what the guests wrote") : 0;
}

static int cmd_stats(struct session *s, int argc, char **argv)
{
	churn_stats(s->vm, s->out);
	return 0;
}

/* Timebase ticks of `count` rounds of the first op. */
static int timed_loop(struct session *s, u64 count, int64_t *ticks)
{
	struct guest_cpu *cpu = s->vcpu->guest;

	cpu->loop_count = count;
	vcpu_start(s->vcpu, guest_timed_loop);
	if (!vcpu_wait(s->vcpu))
		return command_error(s, "%s", s->vm->failed[0] ? s->vm->failed : "interrupted");
	*ticks = cpu->loop_ticks;
	return 0;
}

/* The try that most others are as good as equal to: a host interrupt makes them differ more. */
static int64_t usual(const int64_t *tries, int count)
{
	const int64_t good_as_equal = 16;
	int64_t found = tries[0];
	int most = 0;

	for (int i = 0; i < count; i++) {
		int equal = 0;

		for (int k = 0; k < count; k++)
			equal += llabs(tries[i] - tries[k]) <= good_as_equal;
		if (equal > most) {
			most = equal;
			found = tries[i];
		}
	}
	return found;
}

/*
 * What one hcall costs, the guest's loop of 12 instructions included: N rounds less N / 2 rounds,
 * starting up left out.
 */
static int cmd_time(struct session *s, int argc, char **argv)
{
	struct guest_cpu *cpu = s->vcpu->guest;
	struct guest_op *op = vm_ram(s->vm, cpu->ops);
	u64 a[8] = { 0 };
	enum { TRIES = 21 };
	int64_t more[TRIES];
	double ns;

	if (parse_all(s, argv + 1, argc - 2, a))
		return -1;
	if (a[0] < 2)
		return command_error(s, "2 rounds at least");
	cpu->loop_stride = a[1];
	cpu->loop_mask = a[2];
	cpu->nops = 0;
	*op = make_op(a[3], a[4], a[5], a[6], a[7]);
	for (int i = 0; i < TRIES; i++) {
		int64_t ticks, half;

		if (timed_loop(s, a[0], &ticks) || timed_loop(s, a[0] / 2, &half))
			return -1;
		more[i] = ticks - half;
	}
	ns = (double)usual(more, TRIES) * 1e9 / (double)__ppc_get_timebase_freq() /
	     (double)(a[0] - a[0] / 2);
	fprintf(s->out, "time %s %.1f\n", argv[1], ns);
	return 0;
}

static int cmd_list(struct session *s, int argc, char **argv)
{
	u64 a[2], *list = vcpu_list(s->vcpu);

	if (parse_all(s, argv, 2, a))
		return -1;
	for (u64 i = 0; i < TCE_LIST_MAX; i++)
		list[i] = htobe64(a[0] + i * a[1]);
	fprintf(s->out, "list %#lx\n", vcpu_list_gpa(s->vcpu));
	return 0;
}

static int cmd_vpa(struct session *s, int argc, char **argv)
{
	vcpu_register_vpa(s->vcpu);
	return 0;
}

static int cmd_sleep(struct session *s, int argc, char **argv)
{
	struct timespec ts;
	u64 ms;

	if (parse(s, argv[1], &ms))
		return -1;
	ts.tv_sec = (time_t)(ms / 1000);
	ts.tv_nsec = (long)(ms % 1000 * 1000000);
	nanosleep(&ts, NULL);
	return 0;
}

static int cmd_echo(struct session *s, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		fprintf(s->out, "%s%s", argv[i], i + 1 < argc ? " " : "\n");
	return 0;
}

static int cmd_quit(struct session *s, int argc, char **argv)
{
	s->quit = true;
	return 0;
}

static const struct {
	const char *name;
	int min_args, max_args; /* without the name */
	int (*fn)(struct session *s, int argc, char **argv);
	const char *help;
} commands[] = {
	{ "create", 4, 4, cmd_create,
	  "LIOBN SHIFT OFFSET ENTRIES   make a table (OFFSET in I/O pages)" },
	{ "close", 1, 1, cmd_close, "LIOBN   close its fd" },
	{ "map", 2, 4, cmd_map,
	  "LIOBN shared|private|ro [PAGE PAGES]   mmap it, in whole or in part" },
	{ "memslot", 3, 3, cmd_memslot, "SLOT GPA SIZE   memory beside slot 0 (SIZE 0: remove)" },
	{ "maps", 2, 2, cmd_maps, "LIOBN N   map its first page N times, and never use that" },
	{ "ioeventfds", 1, 1, cmd_ioeventfds, "N   so many of one eventfd, where no memory is" },
	{ "caps", 0, 0, cmd_caps, "  print what KVM_CAP_SPAPR_TCE_FD says" },
	{ "cpu", 1, 1, cmd_cpu, "N   the vCPU that issues what follows" },
	{ "put", 3, 3, cmd_put, "LIOBN IOBA TCE   H_PUT_TCE" },
	{ "get", 2, 2, cmd_get, "LIOBN IOBA   H_GET_TCE, prints the entry" },
	{ "stuff", 4, 4, cmd_stuff, "LIOBN IOBA TCE COUNT   H_STUFF_TCE" },
	{ "indirect", 5, 5, cmd_indirect,
	  "LIOBN IOBA TCE STRIDE COUNT   H_PUT_TCE_INDIRECT of TCE, TCE + STRIDE, ..." },
	{ "expect", 1, 2, cmd_expect, "RC [R4]   what the last hcall returned" },
	{ "fill", 2, 5, cmd_fill,
	  "LIOBN linear|alternating|poison|perms|random [INDEX COUNT [SEED]]   by H_PUT_TCE" },
	{ "check", 0, 1, cmd_check, "[LIOBN]   the kernel's table is as the model of it" },
	{ "poke", 3, 3, cmd_poke,
	  "LIOBN INDEX TCE   write an entry behind the guest's and the model's back" },
	{ "dirty", 2, 2, cmd_dirty,
	  "LIOBN start|get|stop   its dirty log; get prints how many entries are in dirty groups" },
	{ "load", 0, 1, cmd_load,
	  "[LIOBN]   take what is in the kernel's table as right from now on" },
	{ "random", 4, MAX_ARGS - 1, cmd_random,
	  "SEED COUNT keep|punch LIOBN...   hcalls with good and bad arguments, each checked" },
	{ "period", 1, 1, cmd_period,
	  "TICKS   decrementer interrupts in what is started next (0: none)" },
	{ "mmio", 0, 0, cmd_mmio, "  the endless pattern also does MMIO loads and stores (HV)" },
	{ "churn", 2, 1 + GUEST_MAX_TABLES, cmd_churn,
	  "CHUNK LIOBN...   all vCPUs change these empty tables for ever, and check them" },
	{ "overwrite", 2, 1 + GUEST_MAX_TABLES, cmd_churn,
	  "CHUNK LIOBN...   the same, whatever the tables hold: "
	  "their first lap is not compared with that" },
	{ "race", 2, 1 + GUEST_MAX_TABLES, cmd_race,
	  "UPDATES LIOBN...   so many updates by the guests, "
	  "while the host does all it can to empty tables" },
	{ "leak", 1, 2, cmd_leak,
	  "COUNT [HELD]   create, use and close so many tables; memory must be as before, "
	  "but for HELD KiB that the kernel holds back of what was freed" },
	{ "pause", 0, 0, cmd_pause, "  hold all vCPUs where they are" },
	{ "resume", 0, 0, cmd_resume, "  let them run on" },
	{ "stop", 0, 0, cmd_stop, "  end the endless pattern" },
	{ "verify", 0, 0, cmd_verify, "  no update of the endless pattern was lost or done twice" },
	{ "stats", 0, 0, cmd_stats, "  what each vCPU did so far" },
	{ "list", 2, 2, cmd_list,
	  "TCE STRIDE   fill the vCPU's TCE list, print its guest address" },
	{ "time", 5, 9, cmd_time,
	  "NAME N STRIDE MASK HCALL [R4 R5 R6 R7]   nanoseconds of that hcall, "
	  "with r5 = (r5 + STRIDE) & MASK" },
	{ "vpa", 0, 0, cmd_vpa,
	  "  give the vCPU a VPA, which says that the guest does not use its monitor" },
	{ "sleep", 1, 1, cmd_sleep, "MS" },
	{ "echo", 0, MAX_ARGS - 1, cmd_echo, "TEXT..." },
	{ "quit", 0, 0, cmd_quit, "  end the VMM" },
};

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

int command_run(struct session *s, int argc, char **argv)
{
	for (unsigned int i = 0; i < NCOMMANDS; i++) {
		if (strcmp(argv[0], commands[i].name))
			continue;
		if (argc - 1 < commands[i].min_args || argc - 1 > commands[i].max_args)
			return command_error(s, "usage: %s %s", argv[0], commands[i].help);
		return commands[i].fn(s, argc, argv);
	}
	return command_error(s, "no such command");
}

void command_help(FILE *out)
{
	for (unsigned int i = 0; i < NCOMMANDS; i++)
		fprintf(out, "  %s %s\n", commands[i].name, commands[i].help);
}
