// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-hcall-test: what the fast path of TCE hcalls may not do though every answer would be right:
 * read a list that the VMM keeps from itself, change what the guest has in registers that no hcall
 * is about, or keep the host's CPU for itself. One line a check, for the lab's scenarios.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "guest-entry.h"
#include "vm.h"

#define LIOBN	    0x80000000UL
#define ENTRIES	    1024UL
#define MAPPED(gpa) ((u64)(gpa) | 3)
#define LIST_COUNT  8UL
#define PMU_ROUNDS  100UL
/* The others may have met an interrupt of the host, which is a full exit. */
#define PMU_KEPT 90UL
/* More than the guest can make while the host sleeps this often, for a tenth of a second. */
#define ENDLESS	      (1UL << 40)
#define HOST_NAPS     20
#define ENDLESS_LEAST 1000UL

/* H_RPT_INVALIDATE: for all of the partition, the TLB's entries, of pages of 64 KiB */
#define H_RPT_INVALIDATE 0x448
#define RPTI_TARGET_CMMU 1
#define RPTI_TYPE_TLB	 2
#define RPTI_PAGE_64K	 2

/* An HPTE of 16 MiB, valid and bolted, is cache-inhibited: the guest has no memory there. */
#define H_EXACT (1UL << (63 - 24))
#define HPTE_V	((0x1234UL << 12) | 0x10 | 4 | 1)
#define HPTE_R	(GUEST_MMIO | 0x28 | 2)

static struct vm *vm;
static struct table *table;

static u64 fast_count(void)
{
	FILE *f = fopen("/sys/kernel/debug/kvm/tce_fast", "re");
	u64 count = 0;

	if (!f || fscanf(f, "%lu", &count) != 1)
		die("KVM's count of fast TCE hcalls can't be read");
	fclose(f);
	return count;
}

static void fill_list(u64 first)
{
	for (u64 i = 0; i < LIST_COUNT; i++)
		vcpu_list(&vm->vcpu[0])[i] = htobe64(MAPPED((first + i) << 12));
}

/* An H_PUT_TCE_INDIRECT of the list; true if KVM did not leave it to the VMM and it was well. */
static bool put_list(void)
{
	struct guest_op op = { .in = { H_PUT_TCE_INDIRECT, LIOBN, 0, vcpu_list_gpa(&vm->vcpu[0]),
				       LIST_COUNT } };

	if (!vcpu_run_ops(&vm->vcpu[0], &op, 1))
		die("the guest failed: %s", vm->failed);
	return !op.exited && op.out[0] == H_SUCCESS;
}

static u64 entry(u64 index)
{
	u64 tce = 0;

	return table_read(table, index, 1, &tce) ? ~0UL : tce;
}

static void protect(int prot, const char *what)
{
	u64 *list = vcpu_list(&vm->vcpu[0]);

	if (mprotect(list, GUEST_LIST_SIZE, prot))
		die("mprotect(%s): %s", what, strerror(errno));
}

/*
 * The list is where the guest wants it, but the VMM may not read it at the moment: that is a list
 * that can't be read, and nothing of it may come into the table.
 */
static void test_unreadable_list(void)
{
	u64 before, got;
	bool fast;

	fill_list(1);
	put_list(); /* KVM may have to map the page first */
	before = fast_count();
	check(put_list() && entry(0) == MAPPED(1UL << 12), "list: one that can be read is stored",
	      "entry 0 is %#lx", entry(0));
	fast = fast_count() > before;
	check(fast, "list: ... by the fast path", "it was another");

	fill_list(100);
	protect(PROT_NONE, "none");
	before = fast_count();
	check(!put_list(), "list: one that the VMM has made PROT_NONE is left to the VMM",
	      "KVM has answered it");
	got = entry(0);
	check(got == MAPPED(1UL << 12), "list: ... and nothing of it is stored", "entry 0 is %#lx",
	      got);
	check(fast_count() == before, "list: ... and the fast path did not answer it", "it did");

	protect(PROT_READ, "read");
	check(put_list() && entry(0) == MAPPED(100UL << 12),
	      "list: one that is PROT_READ is stored", "entry 0 is %#lx", entry(0));
	protect(PROT_READ | PROT_WRITE, "all");
	fill_list(200);
	check(put_list() && entry(LIST_COUNT - 1) == MAPPED((200UL + LIST_COUNT - 1) << 12),
	      "list: it can be read again", "the last entry is %#lx", entry(LIST_COUNT - 1));
}

/* The guest's performance monitor: with KVM's, it could tell what the host does. */
static void test_pmu(void)
{
	struct vcpu *vcpu = &vm->vcpu[0];
	struct guest_op *op = vm_ram(vm, vcpu->guest->ops);
	u64 before;

	*op = (struct guest_op){ .in = { H_PUT_TCE, LIOBN, 0, MAPPED(0x5000) } };
	vcpu->guest->loop_count = PMU_ROUNDS;
	before = fast_count();
	vcpu_start(vcpu, guest_use_pmu);
	if (!vcpu_wait(vcpu))
		die("the guest failed: %s", vm->failed);
	check(fast_count() - before >= PMU_KEPT, "monitor: H_PUT_TCE is answered by the fast path",
	      "%lu of %lu", fast_count() - before, PMU_ROUNDS);
	check(vcpu->guest->pmu_kept >= PMU_KEPT,
	      "monitor: after it, the guest has the MMCR0 that it had", "in %lu of %lu rounds",
	      vcpu->guest->pmu_kept, PMU_ROUNDS);
}

/* How many instructions the guest's monitor sees of a list of `count` entries. */
static u64 count_list(u64 count)
{
	struct vcpu *vcpu = &vm->vcpu[0];
	struct guest_op *op = vm_ram(vm, vcpu->guest->ops);

	for (u64 i = 0; i < count; i++)
		vcpu_list(vcpu)[i] = htobe64(MAPPED(i << 12));
	*op = (struct guest_op){ .in = { H_PUT_TCE_INDIRECT, LIOBN, 0, vcpu_list_gpa(vcpu),
					 count } };
	vcpu->guest->loop_count = PMU_ROUNDS;
	vcpu_start(vcpu, guest_count_op);
	if (!vcpu_wait(vcpu))
		die("the guest failed: %s", vm->failed);
	return vcpu->guest->pmu_count;
}

/*
 * What the host does for an entry is not for the guest to see: a longer list takes it longer. On
 * POWER8, the monitor stays the guest's in all of KVM's real mode, stock or not.
 */
static void test_pmu_counts(void)
{
	u64 few, many;

	if (ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_PPC_MMU_RADIX) <= 0 &&
	    ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_PPC_MMU_HASH_V3) <= 0)
		return;
	few = count_list(1);
	many = count_list(TCE_LIST_MAX);
	check(many < few + TCE_LIST_MAX,
	      "monitor: the guest does not see what the host does for it",
	      "%lu instructions of a list, %lu of an entry", many, few);
}

/*
 * A guest that makes nothing but TCE hcalls, each of them for the fast path, which goes back to the
 * guest: the host's only CPU has to come back to its other threads all the same.
 */
static void test_host_goes_on(void)
{
	struct vcpu *vcpu = &vm->vcpu[0];
	struct guest_op *op = vm_ram(vm, vcpu->guest->ops);
	u64 before, made;

	*op = (struct guest_op){ .in = { H_PUT_TCE, LIOBN, 0, MAPPED(0x5000) } };
	vcpu->guest->loop_count = ENDLESS;
	vcpu->guest->loop_stride = 0x1000;
	vcpu->guest->loop_mask = (ENTRIES - 1) << 12;
	before = fast_count();
	vcpu_start(vcpu, guest_timed_loop);
	for (int i = 0; i < HOST_NAPS; i++)
		usleep(100000);
	made = fast_count() - before;
	check(made >= ENDLESS_LEAST, "host: it goes on while a guest makes nothing but TCE hcalls",
	      "the fast path has answered %lu only", made);
}

/* KVM_PPC_RESIZE_HPT_COMMIT or _PREPARE of a table twice as large */
static int resize_hpt(unsigned long request)
{
	struct kvm_ppc_resize_hpt larger = { .shift = HPT_ORDER + 1 };

	return ioctl(vm->fd, request, &larger);
}

/*
 * Two entries of one virtual address, at places that a guest may choose: of pages of 16 MiB, where
 * no memory is. A larger table has one place for them, and the host was lost.
 */
static void test_hpt_grows(void)
{
	struct guest_op ops[] = {
		{ .in = { H_ENTER, H_EXACT, 8UL << 3, HPTE_V, HPTE_R } },
		{ .in = { H_ENTER, H_EXACT, 9UL << 3, HPTE_V, HPTE_R } },
	};
	int ret;

	if (!vcpu_run_ops(&vm->vcpu[0], ops, 2))
		die("the guest failed: %s", vm->failed);
	check(ops[0].out[0] == H_SUCCESS && ops[1].out[0] == H_SUCCESS,
	      "hpt: a guest has two entries of one address", "%#lx and %#lx", ops[0].out[0],
	      ops[1].out[0]);
	for (int i = 0; (ret = resize_hpt(KVM_PPC_RESIZE_HPT_PREPARE)) > 0 && i < HOST_NAPS; i++)
		usleep(100000);
	gives(ret, 0, "hpt: a larger table is prepared");
	fails(resize_hpt(KVM_PPC_RESIZE_HPT_COMMIT), ENOSPC, "hpt: ... in which they collide");
	check(put_list(), "hpt: ... and the guest goes on", "it does not");
}

/*
 * Who counts the pages of a range up to the last of all never comes to an end, and takes a CPU of
 * the host with it.
 */
static void test_end_of_all(void)
{
	struct kvm_enable_cap enable = { .cap = KVM_CAP_PPC_ENABLE_HCALL,
					 .args = { H_RPT_INVALIDATE, 1 } };
	struct guest_op ops[] = {
		{ .in = { H_RPT_INVALIDATE, 0, RPTI_TARGET_CMMU, RPTI_TYPE_TLB, RPTI_PAGE_64K,
			  ~0xffffUL, ~0UL } },
		{ .in = { H_RPT_INVALIDATE, 0, RPTI_TARGET_CMMU, RPTI_TYPE_TLB, RPTI_PAGE_64K,
			  0x10000, 0x30000 } },
	};

	/* In an LPAR, it is for the host's host to answer. */
	if (access("/sys/firmware/opal", F_OK))
		return;
	if (ioctl(vm->fd, KVM_ENABLE_CAP, &enable))
		die("H_RPT_INVALIDATE: %s", strerror(errno));
	if (!vcpu_run_ops(&vm->vcpu[0], ops, 2))
		die("the guest failed: %s", vm->failed);
	check(!ops[0].exited && ops[0].out[0] == H_SUCCESS,
	      "radix: what is invalidated up to the last page comes to an end", "%#lx",
	      ops[0].out[0]);
	check(!ops[1].exited && ops[1].out[0] == H_SUCCESS, "radix: ... and so is another range",
	      "%#lx", ops[1].out[0]);
}

int main(int argc, char **argv)
{
	struct vm_options opt = { .mem_size = 64UL << 20, .nvcpus = 1 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 2 || (strcmp(argv[1], "hpt") && strcmp(argv[1], "radix")))
		die("usage: tce-hcall-test hpt|radix");
	opt.mmu = argv[1][0] == 'h' ? MMU_HPT : MMU_RADIX;
	vm = vm_create(&opt);
	if (table_create(vm, LIOBN, 12, 0, ENTRIES))
		die("no table");
	table = table_find(vm, LIOBN);
	/* The kernel warned of this: nothing of it is there before a vCPU has run. */
	if (opt.mmu == MMU_HPT)
		fails(resize_hpt(KVM_PPC_RESIZE_HPT_COMMIT), EIO,
		      "hpt: none is resized that is not in use");
	test_unreadable_list();
	test_pmu();
	test_pmu_counts();
	if (opt.mmu == MMU_RADIX)
		test_end_of_all();
	else
		test_hpt_grows();
	test_host_goes_on(); /* leaves the guest running */
	vm_destroy(vm);
	return check_failures ? 1 : 0;
}
