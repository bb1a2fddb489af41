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
/* Return: the register with the state of a vCPU's presenter, and the size of its value. */
uint64_t irq_state_reg(const KvmCriu__IrqController *controller);
size_t irq_state_size(const KvmCriu__IrqController *controller);
/*
 * Map the sources: two pages for each, one after the other. Any process may map them. Return:
 * MAP_FAILED after a message.
 */
void *map_esbs(pid_t pid, const KvmCriu__IrqController *controller, size_t *size);
/* Load from a source, in the device's byte order. Some offsets change the source. */
uint8_t load_esb(const void *esbs, uint32_t irq, unsigned int offset);
/* Add a call for an attribute to @task. Return: where its value is, in the calling process. */
void *add_attr(struct task *task, int fd, unsigned long cmd, uint32_t group, uint64_t number,
	       size_t size);

#endif /* IRQCHIP_H */
