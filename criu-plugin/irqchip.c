// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interrupt controller that KVM keeps for a VM: XICS, which KVM emulates whole up to POWER8
 * and on top of the hardware's XIVE from POWER9 on, or the native XIVE. Its sources and queues
 * are attributes of a device, its presenters registers of the vCPUs.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm-abi.h"
#include "kvm-plugin.h"

#define BATCH	       1000 /* sources in one run of system calls */
#define PRIORITIES     7    /* of XIVE, for guests: KVM keeps one for itself */
#define XICS_FIRST_IRQ 16
#define SERVERS_MAX    32768 /* no less than KVM's limit for the ids of vCPUs */

/* arch/powerpc/include/asm/xive-regs.h: loads from the second page of a source's ESB */
#define ESB_GET	       0x800
#define ESB_SET_PQ(pq) (0xc00 + ((pq) << 8))

static bool is_xive(const KvmCriu__IrqController *controller)
{
	return !strcmp(controller->type, "xive");
}

static uint64_t state_reg(const KvmCriu__IrqController *controller)
{
	return is_xive(controller) ? KVM_REG_PPC_VP_STATE : KVM_REG_PPC_ICP_STATE;
}

static size_t state_size(const KvmCriu__IrqController *controller)
{
	return is_xive(controller) ? 16 : 8;
}

/* Two pages for each source, one after the other; any process may map them. */
static void *map_esbs(pid_t pid, const KvmCriu__IrqController *controller, size_t *size)
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

static uint8_t load_esb(const void *esbs, uint32_t irq, unsigned int offset)
{
	size_t at = (irq * 2 + 1) * (size_t)getpagesize() + offset;
	uint64_t value;

	__sync_synchronize();
	value = ((const volatile uint64_t *)esbs)[at / sizeof(value)];
	__sync_synchronize();
	return be64toh(value);
}

/* A call for an attribute of the device, in the process; its value's place here. */
static void *add_attr(struct task *task, int fd, unsigned long cmd, uint32_t group, uint64_t number,
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

/* ---- dump ---- */

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
	uint64_t *state[BATCH], *config[BATCH];
	size_t i, n, at;

	for (at = 0; at < controller->n_source; at += n) {
		n = controller->n_source - at < BATCH ? controller->n_source - at : BATCH;
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

			/* not in use */
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

static int save_presenters(const struct kvm_process *process, struct task *task, uint64_t number,
			   KvmCriu__Vm *vm)
{
	const KvmCriu__IrqController *controller = vm->irq_controller;
	struct kvm_one_reg *one;
	uint64_t remote, at;
	size_t i, k;
	void *value;

	for (i = 0; i < vm->n_vcpu; i++) {
		KvmCriu__Vcpu *vcpu = vm->vcpu[i];

		if (!vcpu->has_irq_server)
			continue;
		for (k = 0; k < process->nr_fds; k++)
			if (process->fds[k].object == KVM_CRIU__OBJECT__VCPU &&
			    process->fds[k].vm == number && process->fds[k].which == vcpu->id)
				break;
		reset_task(task);
		value = task_buffer(task, state_size(controller), &at);
		one = task_buffer(task, sizeof(*one), &remote);
		one->id = state_reg(controller);
		one->addr = at;
		task_ioctl(task, false, process->fds[k].fd, KVM_GET_ONE_REG, remote);
		if (run_calls(task, "KVM does not tell the interrupts of a vCPU"))
			return -1;
		vcpu->has_irq_state = true;
		if (set_bytes(&vcpu->irq_state, value, state_size(controller)))
			return -1;
	}
	return 0;
}

static int read_controller(const struct kvm_process *process, struct task *task, uint64_t number,
			   KvmCriu__Vm *vm, const struct fdinfo *info)
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
	if (list_sources(controller, info) || save_presenters(process, task, number, vm) ||
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
	ret = read_controller(process, task, number, vm, &info);
	free_fdinfo(&info);
	return ret;
}

/* ---- restore ---- */

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
					     vcpu->irq_state.len != state_size(controller)))
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
			.id = state_reg(vm->irq_controller),
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
		/* a new source has no target */
		if (!(source->config & KVM_XIVE_SOURCE_MASKED_MASK)) {
			uint64_t *value = add_attr(task, controller->fd, KVM_SET_DEVICE_ATTR,
						   KVM_DEV_XIVE_GRP_SOURCE_CONFIG, source->irq,
						   sizeof(*value));

			*value = source->config;
			n++;
		}
		if (n && (n == BATCH || i + 1 == controller->n_source)) {
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

	if (!controller || !is_xive(controller) || !controller->n_source)
		return 0;
	/* a target needs its queue, and the state of a source its target */
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
	return set_targets(task, controller) || set_esbs(pid, controller) ? -1 : 0;
}
