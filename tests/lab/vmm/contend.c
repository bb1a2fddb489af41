// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-contend: several vCPUs update TCE tables at once, each its own entries of one table, or a
 * table of its own; in software, or with the hardware table of a device behind it. Prints for each
 * case the nanoseconds for an hcall of all vCPUs together: with -icount, where the host's CPUs take
 * turns, these are the instructions of all of them, waiting for each other included. The vCPUs take
 * the time: while all CPUs are idle, before and after, it goes on to the next timer without any
 * instruction.
 *
 * tce-contend software|hardware hpt|radix [MOST-VCPUS]
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/platform/ppc.h>

#include "guest-entry.h"
#include "hw-test.h"

#define PAGE_SHIFT 12UL
#define REGION	   (WINDOW / GUEST_MAX_CPUS) /* of the bus, a vCPU's own part */
#define PART_MASK  (REGION / 2 - 1)	     /* what the loop goes round in: no carry comes out */
#define TARGET	   0x1000003UL		     /* an entry that is good */
#define TRIES	   5

struct load {
	const char *name;
	u64 nr;
	u64 entries; /* updated by each call */
	u64 count;   /* calls of each vCPU */
};

/*
 * So many that what two runs differ by anyway is little for each. The host's ticks are in all
 * figures. Those of fewer vCPUs than the host has CPUs have something else in them, too: one vCPU's
 * H_PUT_TCE on POWER8 took some 3,000 instructions more here, stock or not, than it takes alone.
 */
static const struct load loads[] = {
	{ "H_PUT_TCE", H_PUT_TCE, 1, 10000 },
	{ "H_PUT_TCE_INDIRECT-512", H_PUT_TCE_INDIRECT, TCE_LIST_MAX, 100 },
};

/* What this vCPU does all the time: round and round in its part of the bus. */
static void set_up(int cpu, const struct load *load, u64 liobn)
{
	struct vcpu *vcpu = &vm->vcpu[cpu];
	struct guest_op *op = vm_ram(vm, vcpu->guest->ops);
	u64 base = (u64)cpu * REGION;
	bool list = load->entries > 1;

	memset(op, 0, sizeof(*op));
	op->in[0] = load->nr;
	op->in[1] = liobn;
	op->in[2] = base;
	op->in[3] = list ? vcpu_list_gpa(vcpu) : TARGET;
	op->in[4] = load->entries;
	vcpu->guest->loop_stride = load->entries << PAGE_SHIFT;
	vcpu->guest->loop_mask = base | PART_MASK;
	for (u64 i = 0; list && i < TCE_LIST_MAX; i++)
		vcpu_list(vcpu)[i] = htobe64(TARGET + (i << PAGE_SHIFT));
}

/* Ticks of the timebase in which the first `ncpus` vCPUs do `count` calls each. */
static double run(int ncpus, u64 count)
{
	u64 start = ~0UL, end = 0;

	for (int i = 0; i < ncpus; i++) {
		vm->vcpu[i].guest->loop_count = count;
		vcpu_start(&vm->vcpu[i], guest_timed_loop);
	}
	for (int i = 0; i < ncpus; i++) {
		const struct guest_cpu *guest = vm->vcpu[i].guest;

		if (!vcpu_wait(&vm->vcpu[i]))
			die("the guest: %s", vm->failed);
		if (guest->loop_start < start)
			start = guest->loop_start;
		if (guest->loop_start + guest->loop_ticks > end)
			end = guest->loop_start + guest->loop_ticks;
	}
	return (double)(end - start);
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Nanoseconds for an hcall: twice as many less the half, starting up left out, the usual try. */
static double measure(int ncpus, u64 count)
{
	double ticks[TRIES];

	for (int i = 0; i < TRIES; i++) {
		double half = run(ncpus, count);

		ticks[i] = (run(ncpus, 2 * count) - half) / (double)count / ncpus;
	}
	qsort(ticks, TRIES, sizeof(ticks[0]), compare);
	return ticks[TRIES / 2] * 1e9 / (double)__ppc_get_timebase_freq();
}

static void check_entries(const struct load *load, u64 liobn, int cpu)
{
	u64 tce = 0;

	if (table_read(table_find(vm, liobn), (u64)cpu * REGION >> PAGE_SHIFT, 1, &tce) ||
	    tce != TARGET)
		die("%s by vCPU %d: its first entry is %#lx", load->name, cpu, tce);
}

static int most_cpus = GUEST_MAX_CPUS;

static void measure_all(const char *kind, const char *tables, bool each)
{
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		for (int ncpus = 1; ncpus <= most_cpus; ncpus *= 2) {
			for (int cpu = 0; cpu < ncpus; cpu++)
				set_up(cpu, &loads[i], LIOBN + (each ? (u64)cpu : 0));
			printf("contend %s/%s/%s/%d %.0f\n", kind, loads[i].name, tables, ncpus,
			       measure(ncpus, loads[i].count));
			for (int cpu = 0; cpu < ncpus; cpu++)
				check_entries(&loads[i], LIOBN + (each ? (u64)cpu : 0), cpu);
		}
	}
}

int main(int argc, char **argv)
{
	struct vm_options opt = { .mem_size = 64UL << 20, .nvcpus = GUEST_MAX_CPUS };
	bool hw = argc > 1 && !strcmp(argv[1], "hardware");
	int kvm_vfio = -1;

	if (argc > 2)
		opt.mmu = strcmp(argv[2], "hpt") ? MMU_RADIX : MMU_HPT;
	if (argc > 3)
		most_cpus = atoi(argv[3]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	vm = vm_create(&opt);
	for (u64 i = 0; i < GUEST_MAX_CPUS; i++)
		if (table_create(vm, LIOBN + i, PAGE_SHIFT, 0, WINDOW >> PAGE_SHIFT))
			die("table %lu can't be made", i);
	if (hw) {
		open_group();
		register_memory(vm->slot[0].mem, vm->mem_size);
		create_window(PAGE_SHIFT);
		kvm_vfio = attach(table_find(vm, LIOBN));
	}
	measure_all(hw ? "hardware" : "software", "one", false);
	for (u64 i = 1; hw && i < GUEST_MAX_CPUS; i++)
		need(!attach_also(kvm_vfio, table_find(vm, LIOBN + i)), "attaching a table");
	measure_all(hw ? "hardware" : "software", "each", true);
	if (hw)
		detach(kvm_vfio);
	vm_destroy(vm);
	return 0;
}
