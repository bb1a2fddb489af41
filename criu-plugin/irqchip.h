/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interrupt controller that KVM keeps for a VM: XICS, which KVM emulates whole up to POWER8
 * and on top of the hardware's XIVE from POWER9 on, or the native XIVE. Its sources and queues
 * are attributes of a device, its presenters registers of the vCPUs.
 */
#ifndef IRQCHIP_H
#define IRQCHIP_H

#include "kvm-abi.h"
#include "kvm-plugin.h"

#define IRQ_BATCH  1000 /* sources in one run of system calls */
#define PRIORITIES 7	/* of XIVE, for guests: KVM keeps one for itself */

/* arch/powerpc/include/asm/xive-regs.h: loads from the second page of a source's ESB */
#define ESB_GET	       0x800
#define ESB_SET_PQ(pq) (0xc00 + ((pq) << 8))

bool is_xive(const KvmCriu__IrqController *controller);
/* The register with what a vCPU presents, and its bytes. */
uint64_t irq_state_reg(const KvmCriu__IrqController *controller);
size_t irq_state_size(const KvmCriu__IrqController *controller);
/*
 * Two pages for each source, one after the other; any process may map them. MAP_FAILED has a
 * message.
 */
void *map_esbs(pid_t pid, const KvmCriu__IrqController *controller, size_t *size);
/* A load, in the device's byte order; some offsets change the source. */
uint8_t load_esb(const void *esbs, uint32_t irq, unsigned int offset);
/* Add a call for an attribute, in the process. The answer is its value's place here. */
void *add_attr(struct task *task, int fd, unsigned long cmd, uint32_t group, uint64_t number,
	       size_t size);

#endif /* IRQCHIP_H */
