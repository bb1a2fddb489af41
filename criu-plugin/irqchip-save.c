// SPDX-License-Identifier: GPL-2.0-only
/*
 * Saving an interrupt controller in KVM, with the process stopped.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "irqchip.h"

static int list_sources(KvmCriu__IrqController *controller, const struct fdinfo *info)
{
	const char *line = NULL;
	uint32_t first, last;

	while ((line = next_fdinfo(info, "kvm-irq-sources", line))) {
		if (sscanf(line, "%" SCNx32 "-%" SCNx32, &first, &last) != 2 || first > last ||
		    last >= IRQ_SOURCES_MAX) {
			pr_err("The kernel does not show interrupt sources in a known form\n");
			return -1;
		}
		for (; first <= last; first++) {
			KvmCriu__IrqSource *source = add_element(&controller->n_source,
								 &controller->source,
								 &kvm_criu__irq_source__descriptor);

			if (!source)
				return -1;
			source->irq = first;
		}
	}
	return 0;
}

static int read_sources(struct task *task, KvmCriu__IrqController *controller)
{
	bool xive = is_xive(controller);
	uint64_t *state[IRQ_BATCH], *config[IRQ_BATCH];
	size_t i, n, at;

	for (at = 0; at < controller->n_source; at += n) {
		n = controller->n_source - at < IRQ_BATCH ? controller->n_source - at : IRQ_BATCH;
		reset_task(task);
		for (i = 0; i < n; i++) {
			uint32_t irq = controller->source[at + i]->irq;

			state[i] = add_attr(task, controller->fd, KVM_GET_DEVICE_ATTR,
					    xive ? KVM_DEV_XIVE_GRP_SOURCE :
						   KVM_DEV_XICS_GRP_SOURCES,
					    irq, sizeof(uint64_t));
			if (xive)
				config[i] = add_attr(task, controller->fd, KVM_GET_DEVICE_ATTR,
						     KVM_DEV_XIVE_GRP_SOURCE_CONFIG, irq,
						     sizeof(uint64_t));
		}
		if (run_calls(task, "KVM does not tell the state of interrupt sources"))
			return -1;
		for (i = 0; i < n; i++) {
			KvmCriu__IrqSource *source = controller->source[at + i];

			source->state = *state[i];
			source->has_config = xive;
			if (xive)
				source->config = *config[i];
		}
	}
	return 0;
}

static int read_esbs(pid_t pid, KvmCriu__IrqController *controller)
{
	size_t size, i;
	void *esbs = map_esbs(pid, controller, &size);

	if (esbs == MAP_FAILED)
		return -1;
	for (i = 0; i < controller->n_source; i++) {
		KvmCriu__IrqSource *source = controller->source[i];

		source->has_pq = true;
		source->pq = load_esb(esbs, source->irq, ESB_GET) & 3;
	}
	munmap(esbs, size);
	return 0;
}

/* The queues of XIVE are guest memory, which the hardware writes; where they are is kept by KVM. */
static int save_queues(const struct kvm_process *process, struct task *task, const KvmCriu__Vm *vm,
		       KvmCriu__IrqController *controller)
{
	struct kvm_ppc_xive_eq *config[PRIORITIES];
	unsigned int priority;
	size_t i;

	reset_task(task);
	add_attr(task, controller->fd, KVM_SET_DEVICE_ATTR, KVM_DEV_XIVE_GRP_CTRL,
		 KVM_DEV_XIVE_EQ_SYNC, 0);
	if (run_calls(task, "KVM does not bring the queues of interrupts up to date"))
		return -1;
	for (i = 0; i < vm->n_vcpu; i++) {
		uint64_t id = (uint64_t)vm->vcpu[i]->irq_server << KVM_XIVE_EQ_SERVER_SHIFT;

		if (!vm->vcpu[i]->has_irq_server)
			continue;
		reset_task(task);
		for (priority = 0; priority < PRIORITIES; priority++)
			config[priority] = add_attr(task, controller->fd, KVM_GET_DEVICE_ATTR,
						    KVM_DEV_XIVE_GRP_EQ_CONFIG, id | priority,
						    sizeof(*config[0]));
		if (run_calls(task, "KVM does not tell the queues of interrupts"))
			return -1;
		for (priority = 0; priority < PRIORITIES; priority++) {
			KvmCriu__EventQueue *queue;

			/* It is not in use. */
			if (!config[priority]->qshift)
				continue;
			queue = add_element(&controller->n_queue, &controller->queue,
					    &kvm_criu__event_queue__descriptor);
			if (!queue)
				return -1;
			queue->id = id | priority;
			if (set_bytes(&queue->config, config[priority], sizeof(*config[0])))
				return -1;
			touch_guest_memory(process->pid, vm, config[priority]->qaddr,
					   1UL << config[priority]->qshift);
		}
	}
	return 0;
}

static int save_presenters(struct task *task, KvmCriu__Vm *vm)
{
	const KvmCriu__IrqController *controller = vm->irq_controller;
	struct kvm_one_reg *one;
	uint64_t remote, at;
	size_t i;
	void *value;

	for (i = 0; i < vm->n_vcpu; i++) {
		KvmCriu__Vcpu *vcpu = vm->vcpu[i];

		if (!vcpu->has_irq_server)
			continue;
		reset_task(task);
		value = task_buffer(task, irq_state_size(controller), &at);
		one = task_buffer(task, sizeof(*one), &remote);
		one->id = irq_state_reg(controller);
		one->addr = at;
		task_ioctl(task, false, vcpu->fd, KVM_GET_ONE_REG, remote);
		if (run_calls(task, "KVM does not tell the interrupts of a vCPU"))
			return -1;
		vcpu->has_irq_state = true;
		if (set_bytes(&vcpu->irq_state, value, irq_state_size(controller)))
			return -1;
	}
	return 0;
}

static int read_controller(const struct kvm_process *process, struct task *task, KvmCriu__Vm *vm,
			   const struct fdinfo *info)
{
	KvmCriu__IrqController *controller = vm->irq_controller;
	const char *name = next_fdinfo(info, "kvm-device", NULL);
	uint64_t servers;

	if (!name)
		return -1;
	if (set_string(&controller->type, strncmp(name, "kvm-xive-native\n", 16) ? "xics" : "xive",
		       4))
		return -1;
	controller->has_nr_servers = !fdinfo_u64(info, "kvm-irq-nr-servers", &servers);
	if (controller->has_nr_servers)
		controller->nr_servers = servers;
	if (list_sources(controller, info) || save_presenters(task, vm) ||
	    read_sources(task, controller))
		return -1;
	/*
	 * XICS on XIVE takes a picture of all sources when the first is read and keeps it until
	 * the last one was. If somebody has begun and not ended, what comes first is of his
	 * picture. All that comes in a second round is of now.
	 */
	if (controller->has_nr_servers && !is_xive(controller) && read_sources(task, controller))
		return -1;
	if (!is_xive(controller))
		return 0;
	if (save_queues(process, task, vm, controller))
		return -1;
	return controller->n_source ? read_esbs(process->pid, controller) : 0;
}

int save_irqchip(const struct kvm_process *process, struct task *task, uint64_t number,
		 KvmCriu__Vm *vm)
{
	KvmCriu__IrqController *controller;
	struct fdinfo info;
	size_t i;
	int ret;

	for (i = 0; i < process->nr_fds; i++)
		if (process->fds[i].object == KVM_CRIU__OBJECT__DEVICE &&
		    process->fds[i].vm == number)
			break;
	if (i == process->nr_fds) {
		pr_err("VM %" PRIu64 ": its interrupt controller has no fd in process %d, "
		       "so it can't be saved\n",
		       number, process->pid);
		return -1;
	}
	controller = new_message(&kvm_criu__irq_controller__descriptor);
	if (!controller)
		return -1;
	controller->fd = process->fds[i].fd;
	vm->irq_controller = controller;
	if (read_fdinfo(&info, process->pid, controller->fd))
		return -1;
	ret = read_controller(process, task, vm, &info);
	free_fdinfo(&info);
	return ret;
}
