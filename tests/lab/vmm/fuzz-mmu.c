// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel fuzzer's calls on what a VM's memory is translated by: it comes and goes. */
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fuzz.h"

#define ORDER_MIN 18U
#define ORDERS	  6U

static __u32 any_order(struct fuzz *f)
{
	return fuzz_one_in(f, 20) ? (__u32)fuzz_number(f) :
				    ORDER_MIN + (__u32)fuzz_below(f, ORDERS);
}

void fuzz_set_mmu(struct fuzz *f, int vm, unsigned int order)
{
	bool radix = ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_PPC_MMU_RADIX) > 0 && fuzz_one_in(f, 2);
	struct kvm_ppc_mmuv3_cfg cfg = {
		.flags = radix ? KVM_PPC_MMUV3_RADIX | KVM_PPC_MMUV3_GTSE : 0,
		.process_table = radix ? PATB_GR : 0,
	};
	__u32 htab_order = order;

	if (fuzz_one_in(f, 30))
		cfg.flags = fuzz_number(f);
	ioctl(vm, KVM_PPC_CONFIGURE_V3_MMU, &cfg);
	if (!radix)
		ioctl(vm, KVM_PPC_ALLOCATE_HTAB, &htab_order);
}

/* One of another size, mostly, which a guest that runs keeps from coming. */
static long replace_hpt(struct fuzz *f)
{
	__u32 order = any_order(f);

	return ioctl(fuzz_fd(f, FUZZ_VM), KVM_PPC_ALLOCATE_HTAB, &order);
}

static long change_mmu(struct fuzz *f)
{
	fuzz_set_mmu(f, fuzz_fd(f, FUZZ_VM), any_order(f));
	return 0;
}

static long resize_hpt(struct fuzz *f)
{
	struct kvm_ppc_resize_hpt resize = { .shift = any_order(f) };

	if (fuzz_one_in(f, 20))
		resize.flags = fuzz_number(f);
	return ioctl(fuzz_fd(f, FUZZ_VM),
		     fuzz_one_in(f, 2) ? KVM_PPC_RESIZE_HPT_PREPARE : KVM_PPC_RESIZE_HPT_COMMIT,
		     &resize);
}

/* Reads a part of a table, which may go meanwhile, and sometimes writes it back. */
static long read_hpt(struct fuzz *f)
{
	bool writes = fuzz_one_in(f, 4);
	struct kvm_get_htab_fd get = {
		.flags = fuzz_one_in(f, 20) ? fuzz_number(f) :
			 writes		    ? KVM_GET_HTAB_WRITE :
					      0,
		.start_index = fuzz_one_in(f, 2) ? fuzz_below(f, 1UL << 20) : 0,
	};
	int fd = ioctl(fuzz_fd(f, FUZZ_VM), KVM_PPC_GET_HTAB_FD, &get);
	ssize_t done;

	if (fd < 0)
		return -1;
	done = writes ? write(fd, f->buffer, fuzz_below(f, FUZZ_BUFFER)) :
			read(fd, f->buffer, FUZZ_BUFFER);
	close(fd);
	return done;
}

const struct fuzz_call fuzz_mmu_calls[] = {
	{ "replace HPT", 3, replace_hpt },
	{ "change MMU", 1, change_mmu },
	{ "resize HPT", 3, resize_hpt },
	{ "read HPT", 6, read_hpt },
	{ NULL, 0, NULL },
};
