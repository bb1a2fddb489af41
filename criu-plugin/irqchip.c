// SPDX-License-Identifier: GPL-2.0-only
/*
 * What saving and restoring an interrupt controller share: its attributes, and the pages of XIVE's
 * sources.
 */
#include <endian.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "irqchip.h"

bool is_xive(const KvmCriu__IrqController *controller)
{
	return !strcmp(controller->type, "xive");
}

uint64_t irq_state_reg(const KvmCriu__IrqController *controller)
{
	return is_xive(controller) ? KVM_REG_PPC_VP_STATE : KVM_REG_PPC_ICP_STATE;
}

size_t irq_state_size(const KvmCriu__IrqController *controller)
{
	return is_xive(controller) ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

void *map_esbs(pid_t pid, const KvmCriu__IrqController *controller, size_t *size)
{
	size_t page = getpagesize();
	uint32_t last = controller->source[controller->n_source - 1]->irq;
	int fd = get_fd(pid, controller->fd);
	void *esbs;

	if (fd < 0)
		return MAP_FAILED;
	*size = (last + 1) * 2 * page;
	esbs = mmap(NULL, *size, PROT_READ, MAP_SHARED, fd, KVM_XIVE_ESB_PAGE_OFFSET * page);
	close(fd);
	if (esbs == MAP_FAILED)
		pr_perror("Can't map the sources of a XIVE device");
	return esbs;
}

uint8_t load_esb(const void *esbs, uint32_t irq, unsigned int offset)
{
	size_t at = (irq * 2 + 1) * (size_t)getpagesize() + offset;
	uint64_t value;

	__sync_synchronize();
	value = ((const volatile uint64_t *)esbs)[at / sizeof(value)];
	__sync_synchronize();
	return be64toh(value);
}

void *add_attr(struct task *task, int fd, unsigned long cmd, uint32_t group, uint64_t number,
	       size_t size)
{
	struct kvm_device_attr *attr;
	uint64_t at, remote;
	void *value;

	value = task_buffer(task, size, &at);
	attr = task_buffer(task, sizeof(*attr), &remote);
	attr->group = group;
	attr->attr = number;
	attr->addr = at;
	task_ioctl(task, false, fd, cmd, remote);
	return value;
}
