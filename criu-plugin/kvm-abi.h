/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM's interface as the plugin uses it: the kernel's header, and what this project's patches add
 * to it, for builds against headers without them.
 */
#ifndef KVM_ABI_H
#define KVM_ABI_H

#include <stdint.h>

#include <linux/kvm.h>

#include "tce-kvm.h"

#ifndef __KVM_HAVE_VCPU_EVENTS
#define KVM_CAP_VCPU_EVENTS 41
/* arch/powerpc/include/uapi/asm/kvm.h */
struct kvm_vcpu_events {
	__u64 pending_exceptions;
	__u8 external_oneshot;
	__u8 prodded;
	__u8 completion;
	__u8 mmio_flags;
	__u16 mmio_reg;
	__u8 mmio_copy_type;
	__u8 mmio_vsx_copies;
	__u8 mmio_vsx_offset;
	__u8 mmio_vmx_copies;
	__u8 mmio_vmx_offset;
	__u8 reserved1[5];
	__u64 mmio_paddr;
	__u64 mmio_vaddr;
	__u64 mmio_nested_gpr;
	__u64 reserved2[3];
};
#endif

#ifndef KVM_CAP_PPC_DIRTY_LOG_FULL
#define KVM_CAP_PPC_DIRTY_LOG_FULL 0x7cf
#endif

/* arch/powerpc/kvm/book3s_xics.h: the source numbers of XICS, and of XIVE from 0 on */
#define IRQ_SOURCES_MAX (1 << 20)

/* Kinds of in-kernel interrupt controllers that a vCPU has, kvm-irq-type of its fdinfo. */
#define IRQ_TYPE_NONE 0
#define IRQ_TYPE_XICS 2
#define IRQ_TYPE_XIVE 3

/* LPCR bit of the partition's right to issue tlbie: arch/powerpc/include/asm/reg.h. */
#define LPCR_GTSE 0x400

/* The bit of a process table entry that says radix: arch/powerpc/include/asm/mmu.h's PATB_GR. */
#define PATB_GR (1ULL << 63)

#ifdef __powerpc64__
static inline uint32_t read_pvr(void)
{
	unsigned long pvr;

	/* The kernel emulates this for user space. */
	asm("mfspr %0, 287" : "=r"(pvr));
	return pvr;
}

static inline uint64_t read_timebase(void)
{
	uint64_t tb;

	asm volatile("mftb %0" : "=r"(tb));
	return tb;
}
#else
/* What reads images is also built elsewhere, to be tested. */
static inline uint32_t read_pvr(void)
{
	return 0;
}

static inline uint64_t read_timebase(void)
{
	return 0;
}
#endif

#endif /* KVM_ABI_H */
