/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this project's kernel patches add to KVM's user interface, for builds against headers of a
 * stock kernel. Where the kernel's headers have it, they are taken. The reference is
 * Documentation/virt/kvm/api.rst of the patched kernel.
 */
#ifndef TCE_KVM_H
#define TCE_KVM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#ifndef KVMIO
#define KVMIO 0xAE
#endif

/* KVM_CHECK_EXTENSION, on /dev/kvm or a VM: a mask of these bits; 0 on a stock kernel. */
#ifndef KVM_CAP_SPAPR_TCE_FD
#define KVM_CAP_SPAPR_TCE_FD 0x7ce

/* The table fd is a file: fdinfo, read, write, lseek, punch hole. */
#define KVM_SPAPR_TCE_FD_FILE (1 << 0)
/* The ioctls below. */
#define KVM_SPAPR_TCE_FD_DIRTY_LOG (1 << 1)
/* Attaching an IOMMU group maps the entries that the table already has, as far as it can. */
#define KVM_SPAPR_TCE_FD_REPLAY (1 << 2)
/* KVM_ENABLE_CAP on a VM with this in args[0]: attaching fails if one of them can't be mapped. */
#define KVM_SPAPR_TCE_FD_REPLAY_STRICT (1 << 3)
#endif

#ifndef KVM_SPAPR_TCE_START_DIRTY_LOG

/* One bit of the log stands for 1 << KVM_SPAPR_TCE_DIRTY_SHIFT entries. */
#define KVM_SPAPR_TCE_DIRTY_SHIFT 9

/**
 * struct kvm_spapr_tce_dirty_log - for KVM_SPAPR_TCE_GET_DIRTY_LOG
 * @first: first entry, a multiple of 32768.
 * @count: entries; they end at a multiple of 32768 too, or at the table's end.
 * @bitmap: user address, 8-byte aligned, of whole u64s. Bit n is bit n % 8 of byte n / 8, and
 *	stands for the entries from @first + (n << KVM_SPAPR_TCE_DIRTY_SHIFT) on.
 * @flags: 0.
 * @pad: 0.
 */
struct kvm_spapr_tce_dirty_log {
	__u64 first;
	__u64 count;
	__u64 bitmap;
	__u32 flags;
	__u32 pad;
};

/* On the table fd. Stores through mmap are logged by host pages. */
#define KVM_SPAPR_TCE_START_DIRTY_LOG _IO(KVMIO, 0xf0)
#define KVM_SPAPR_TCE_GET_DIRTY_LOG   _IOW(KVMIO, 0xf1, struct kvm_spapr_tce_dirty_log)
#define KVM_SPAPR_TCE_STOP_DIRTY_LOG  _IO(KVMIO, 0xf2)
#endif

#ifndef KVM_SPAPR_TCE_OPEN_VIEW
/* KVM_CAP_SPAPR_TCE_FD has this bit if there is the ioctl below. */
#define KVM_SPAPR_TCE_FD_VIEW (1 << 4)

/**
 * struct kvm_spapr_tce_view - for KVM_SPAPR_TCE_OPEN_VIEW
 * @liobn: of the table.
 * @vm_fd: of its VM, in the calling process.
 * @flags: 0.
 */
struct kvm_spapr_tce_view {
	__u64 liobn;
	__s32 vm_fd;
	__u32 flags;
};

/*
 * On /dev/kvm. The answer is an fd that reads like the table's own and has a dirty log of its own,
 * but does not keep the table: its VMM does not notice it.
 */
#define KVM_SPAPR_TCE_OPEN_VIEW _IOW(KVMIO, 0xf3, struct kvm_spapr_tce_view)
#endif

#endif /* TCE_KVM_H */
