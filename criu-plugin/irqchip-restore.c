// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checking the image of an interrupt controller, and making one from it. The queues and sources of
 * XIVE are last: they stand on the process's memory.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "irqchip.h"

#define XICS_FIRST_IRQ 16
#define SERVERS_MAX    32768 /* no less than KVM's limit for the ids of vCPUs */

static int refuse(const KvmCriu__Vm *vm, const char *why)
{
	pr_err("VM %" PRIu64 " can't be restored here: its interrupt controller's image %s\n",
	       vm->number, why);
	return -1;
}

static bool has_server(const KvmCriu__Vm *vm, uint64_t server)
{
	size_t i;

	for (i = 0; i < vm->n_vcpu; i++)
		if (vm->vcpu[i]->has_irq_server && vm->vcpu[i]->irq_server == server)
			return true;
	return false;
}

static int check_sources(const KvmCriu__Vm *vm, const KvmCriu__IrqController *controller)
{
	bool xive = is_xive(controller);
	uint64_t next = xive ? 0 : XICS_FIRST_IRQ;
	size_t i;

	for (i = 0; i < controller->n_source; i++) {
		const KvmCriu__IrqSource *source = controller->source[i];

		if (source->irq < next || source->irq >= IRQ_SOURCES_MAX)
			return refuse(vm, "has a source that is out of range or out of order");
		next = (uint64_t)source->irq + 1;
		if (xive && (!source->has_config || !source->has_pq || source->pq > 3))
			return refuse(vm, "lacks a part of a XIVE source");
	}
	return 0;
}

static int check_queues(const KvmCriu__Vm *vm, const KvmCriu__IrqController *controller)
{
	size_t i;

	if (controller->n_queue > (is_xive(controller) ? vm->n_vcpu * PRIORITIES : 0))
		return refuse(vm, "has too many queues");
	for (i = 0; i < controller->n_queue; i++) {
		const KvmCriu__EventQueue *queue = controller->queue[i];

		if (queue->config.len != sizeof(struct kvm_ppc_xive_eq) ||
		    !has_server(vm, queue->id >> KVM_XIVE_EQ_SERVER_SHIFT))
			return refuse(vm, "has a queue of another size or of no vCPU");
	}
	return 0;
}

int check_irqchip(const KvmCriu__Vm *vm)
{
	const KvmCriu__IrqController *controller = vm->irq_controller;
	size_t i;

	for (i = 0; i < vm->n_vcpu; i++) {
		const KvmCriu__Vcpu *vcpu = vm->vcpu[i];

		if (vcpu->has_irq_server != vcpu->has_irq_state ||
		    (vcpu->has_irq_server && !controller))
			return refuse(vm, "lacks a part of a vCPU");
		if (vcpu->has_irq_server && (vcpu->irq_server >= SERVERS_MAX ||
					     vcpu->irq_state.len != irq_state_size(controller)))
			return refuse(vm, "has a vCPU that is out of range");
	}
	if (!controller)
		return vm->n_irqfd ? refuse(vm, "is missing, but there are irqfds") : 0;
	if (strcmp(controller->type, "xics") && !is_xive(controller))
		return refuse(vm, "is of an unknown type");
	return check_sources(vm, controller) || check_queues(vm, controller) ? -1 : 0;
}

static int set_attr(const KvmCriu__Vm *vm, int fd, uint32_t group, uint64_t number,
		    const void *value, const char *what)
{
	struct kvm_device_attr attr = {
		.group = group,
		.attr = number,
		.addr = (uintptr_t)value,
	};

	if (!ioctl(fd, KVM_SET_DEVICE_ATTR, &attr))
		return 0;
	pr_perror("VM %" PRIu64 ": KVM refuses %s %#" PRIx64 " of its interrupt controller",
		  vm->number, what, number);
	return -1;
}

int make_irqchip(const KvmCriu__Vm *vm, int vm_fd)
{
	const KvmCriu__IrqController *controller = vm->irq_controller;
	struct kvm_create_device create = {
		.type = is_xive(controller) ? KVM_DEV_TYPE_XIVE : KVM_DEV_TYPE_XICS,
	};

	if (!ioctl(vm_fd, KVM_CREATE_DEVICE, &create))
		return create.fd;
	pr_perror("VM %" PRIu64 ": KVM refuses its interrupt controller (%s)", vm->number,
		  controller->type);
	return -1;
}

static int connect_vcpus(const KvmCriu__Vm *vm, int device_fd, const int *vcpu_fds)
{
	struct kvm_enable_cap enable = {
		.cap = is_xive(vm->irq_controller) ? KVM_CAP_PPC_IRQ_XIVE : KVM_CAP_IRQ_XICS,
		.args[0] = device_fd,
	};
	size_t i;

	for (i = 0; i < vm->n_vcpu; i++) {
		if (!vm->vcpu[i]->has_irq_server)
			continue;
		enable.args[1] = vm->vcpu[i]->irq_server;
		if (ioctl(vcpu_fds[i], KVM_ENABLE_CAP, &enable)) {
			pr_perror("vCPU %u: KVM refuses its connection to the interrupt controller",
				  vm->vcpu[i]->id);
			return -1;
		}
	}
	return 0;
}

static int set_presenters(const KvmCriu__Vm *vm, const int *vcpu_fds)
{
	size_t i;

	for (i = 0; i < vm->n_vcpu; i++) {
		const KvmCriu__Vcpu *vcpu = vm->vcpu[i];
		struct kvm_one_reg one = {
			.id = irq_state_reg(vm->irq_controller),
			.addr = (uintptr_t)vcpu->irq_state.data,
		};

		if (vcpu->has_irq_server && ioctl(vcpu_fds[i], KVM_SET_ONE_REG, &one)) {
			pr_perror("vCPU %u: KVM refuses the state of its interrupts", vcpu->id);
			return -1;
		}
	}
	return 0;
}

static int set_sources(const KvmCriu__Vm *vm, int device_fd, bool masked)
{
	const KvmCriu__IrqController *controller = vm->irq_controller;
	const uint64_t off = KVM_XICS_MASKED | 0xffULL << KVM_XICS_PRIORITY_SHIFT;
	uint32_t group = is_xive(controller) ? KVM_DEV_XIVE_GRP_SOURCE : KVM_DEV_XICS_GRP_SOURCES;
	size_t i;

	for (i = 0; i < controller->n_source; i++)
		if (set_attr(vm, device_fd, group, controller->source[i]->irq,
			     masked ? &off : &controller->source[i]->state, "source"))
			return -1;
	return 0;
}

int load_irqchip(const KvmCriu__Vm *vm, int device_fd, const int *vcpu_fds)
{
	const KvmCriu__IrqController *controller = vm->irq_controller;
	bool xive = is_xive(controller);

	if (controller->has_nr_servers &&
	    set_attr(vm, device_fd, xive ? KVM_DEV_XIVE_GRP_CTRL : KVM_DEV_XICS_GRP_CTRL,
		     xive ? KVM_DEV_XIVE_NR_SERVERS : KVM_DEV_XICS_NR_SERVERS,
		     &controller->nr_servers, "number of servers, attribute"))
		return -1;
	if (connect_vcpus(vm, device_fd, vcpu_fds))
		return -1;
	/*
	 * A pending interrupt is delivered when its source is set, to a presenter that has to be
	 * there as it was; and KVM's own XICS takes a presenter's state only if the source that
	 * it presents is there. XICS on XIVE keeps that in mind until the source comes.
	 */
	if (!xive && !controller->has_nr_servers && set_sources(vm, device_fd, true))
		return -1;
	return set_presenters(vm, vcpu_fds) || set_sources(vm, device_fd, false) ? -1 : 0;
}

static int set_targets(struct task *task, const KvmCriu__IrqController *controller)
{
	size_t i, n = 0;

	for (i = 0; i < controller->n_source; i++) {
		const KvmCriu__IrqSource *source = controller->source[i];

		if (!n)
			reset_task(task);
		/* A new source has no target. */
		if (!(source->config & KVM_XIVE_SOURCE_MASKED_MASK)) {
			uint64_t *value = add_attr(task, controller->fd, KVM_SET_DEVICE_ATTR,
						   KVM_DEV_XIVE_GRP_SOURCE_CONFIG, source->irq,
						   sizeof(*value));

			*value = source->config;
			n++;
		}
		if (n && (n == IRQ_BATCH || i + 1 == controller->n_source)) {
			if (run_calls(task, "KVM refuses the target of an interrupt source"))
				return -1;
			n = 0;
		}
	}
	return 0;
}

static int set_esbs(pid_t pid, const KvmCriu__IrqController *controller)
{
	size_t size, i;
	void *esbs = map_esbs(pid, controller, &size);

	if (esbs == MAP_FAILED)
		return -1;
	for (i = 0; i < controller->n_source; i++)
		load_esb(esbs, controller->source[i]->irq, ESB_SET_PQ(controller->source[i]->pq));
	munmap(esbs, size);
	return 0;
}

int finish_irqchip(pid_t pid, struct task *task, const KvmCriu__Vm *vm)
{
	const KvmCriu__IrqController *controller = vm->irq_controller;
	size_t i;

	if (!controller || !is_xive(controller))
		return 0;
	/* A target needs its queue, and the state of a source its target. */
	for (i = 0; i < controller->n_queue; i++) {
		const KvmCriu__EventQueue *queue = controller->queue[i];
		void *value;

		reset_task(task);
		value = add_attr(task, controller->fd, KVM_SET_DEVICE_ATTR,
				 KVM_DEV_XIVE_GRP_EQ_CONFIG, queue->id, queue->config.len);
		memcpy(value, queue->config.data, queue->config.len);
		if (run_calls(task, "KVM refuses a queue of interrupts"))
			return -1;
	}
	if (set_targets(task, controller))
		return -1;
	return controller->n_source ? set_esbs(pid, controller) : 0;
}
