// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is left when the whole process is there: its mappings of KVM's objects, ioeventfds, irqfds,
 * what XIVE keeps in guest memory, and the guest's clock.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "kvm-abi.h"
#include "vm-images.h"

static int add_ioeventfds(struct task *task, const struct vm *vm, int vm_fd)
{
	static const char failed[] = "KVM refuses ioeventfds";
	size_t i;

	reset_task(task);
	for (i = 0; i < vm->image->n_ioeventfd; i++) {
		const KvmCriu__Ioeventfd *saved = vm->image->ioeventfd[i];
		struct kvm_ioeventfd *args;
		uint64_t remote;

		if (make_room(task, 1, sizeof(*args), failed))
			return -1;
		args = task_buffer(task, sizeof(*args), &remote);
		args->addr = saved->addr;
		args->len = saved->len;
		args->fd = saved->fd;
		args->datamatch = saved->datamatch;
		if (saved->has_datamatch)
			args->flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
		task_ioctl(task, false, vm_fd, KVM_IOEVENTFD, remote);
	}
	return run_calls(task, failed);
}

/* With the interrupt controller as it was: an eventfd that is signalled already interrupts. */
static int add_irqfds(struct task *task, const struct vm *vm, int vm_fd)
{
	static const char failed[] = "KVM refuses irqfds";
	size_t i;

	reset_task(task);
	for (i = 0; i < vm->image->n_irqfd; i++) {
		const KvmCriu__Irqfd *saved = vm->image->irqfd[i];
		struct kvm_irqfd *args;
		uint64_t remote;

		if (make_room(task, 1, sizeof(*args), failed))
			return -1;
		args = task_buffer(task, sizeof(*args), &remote);
		args->fd = saved->fd;
		args->gsi = saved->gsi;
		if (saved->has_resample_fd) {
			args->flags = KVM_IRQFD_FLAG_RESAMPLE;
			args->resamplefd = saved->resample_fd;
		}
		task_ioctl(task, false, vm_fd, KVM_IRQFD, remote);
	}
	return run_calls(task, failed);
}

static int add_mappings(struct task *task, const KvmCriu__Task *saved)
{
	static const char failed[] = "KVM's mappings can't be put in place";
	size_t i;

	reset_task(task);
	for (i = 0; i < saved->n_mapping; i++) {
		const KvmCriu__Mapping *map = saved->mapping[i];

		if (make_room(task, 2, 0, failed))
			return -1;
		task_call(task, false, __NR_mmap, map->start, map->size, map->prot,
			  map->flags | MAP_FIXED, map->fd, map->offset);
		if (map->dontfork)
			task_call(task, false, __NR_madvise, map->start, map->size, MADV_DONTFORK,
				  0, 0, 0);
	}
	return run_calls(task, failed);
}

static int finish_vm(pid_t pid, struct task *task, const KvmCriu__OwnedVm *owned)
{
	/* check_fds() has looked for it */
	const struct vm *vm = find_vm(owned->number);

	return add_ioeventfds(task, vm, owned->fd) || finish_irqchip(pid, task, vm->image) ||
			       add_irqfds(task, vm, owned->fd) ||
			       start_clock(pid, task, vm->image) ?
		       -1 :
		       0;
}

/* While the process was dumped it had a handler of the plugin's, which is in CRIU's image. */
static int reset_handler(struct task *task, const KvmCriu__Task *saved)
{
	static const char failed[] = "the handler of SIGTRAP can't be taken out";
	struct {
		uint64_t handler, flags, restorer, mask;
	} *action;
	uint64_t remote;

	if (!saved->has_sigtrap_handler)
		return 0;
	if (saved->sigtrap_handler != (uintptr_t)SIG_DFL &&
	    saved->sigtrap_handler != (uintptr_t)SIG_IGN) {
		pr_err("The image of a process has an unknown handler of SIGTRAP\n");
		return -1;
	}
	reset_task(task);
	action = task_buffer(task, sizeof(*action), &remote);
	action->handler = saved->sigtrap_handler;
	task_call(task, false, __NR_rt_sigaction, SIGTRAP, remote, 0, sizeof(action->mask), 0, 0);
	return run_calls(task, failed);
}

/* An image may name any file of the process; only KVM's are what it says. */
static int check_fd(pid_t pid, int fd, KvmCriu__Object object, uint64_t vm)
{
	struct kvm_fd found;

	if (identify_fd(pid, fd, &found) == 1 && found.object == object)
		return 0;
	pr_err("The image of process %d, VM %" PRIu64 ": fd %d is another file than it says\n", pid,
	       vm, fd);
	return -1;
}

static int check_vm_fds(pid_t pid, int vm_fd, const KvmCriu__Vm *vm)
{
	size_t i;

	if (check_fd(pid, vm_fd, KVM_CRIU__OBJECT__VM, vm->number) ||
	    (vm->irq_controller &&
	     check_fd(pid, vm->irq_controller->fd, KVM_CRIU__OBJECT__DEVICE, vm->number)))
		return -1;
	for (i = 0; i < vm->n_vcpu; i++)
		if (check_fd(pid, vm->vcpu[i]->fd, KVM_CRIU__OBJECT__VCPU, vm->number))
			return -1;
	return 0;
}

static int check_fds(pid_t pid, const KvmCriu__Task *saved)
{
	const struct vm *vm;
	struct kvm_fd found;
	size_t i;

	for (i = 0; i < saved->n_mapping; i++) {
		if (identify_fd(pid, saved->mapping[i]->fd, &found) == 1 && found.inode)
			continue;
		pr_err("The image of process %d maps fd %u, which is no object of KVM's\n", pid,
		       saved->mapping[i]->fd);
		return -1;
	}
	for (i = 0; i < saved->n_vm; i++) {
		vm = find_vm(saved->vm[i]->number);
		if (!vm) {
			pr_err("The image of process %d names VM %" PRIu64 ", which has no image\n",
			       pid, saved->vm[i]->number);
			return -1;
		}
		if (check_vm_fds(pid, saved->vm[i]->fd, vm->image))
			return -1;
	}
	for (i = 0; i < saved->n_vhost_net; i++) {
		if (identify_fd(pid, saved->vhost_net[i], &found) == 1 &&
		    found.object == KVM_CRIU__OBJECT__VHOST_NET)
			continue;
		pr_err("The image of process %d: fd %u is not vhost-net, as it says\n", pid,
		       saved->vhost_net[i]);
		return -1;
	}
	return 0;
}

static int finish_vms(pid_t pid, struct task *task, const KvmCriu__Task *saved)
{
	size_t i;

	if (check_fds(pid, saved) || reset_handler(task, saved) || add_mappings(task, saved) ||
	    own_vhosts(task, saved))
		return -1;
	for (i = 0; i < saved->n_vm; i++)
		if (finish_vm(pid, task, saved->vm[i]))
			return -1;
	return 0;
}

int finish_process(pid_t pid)
{
	unsigned int vpid = read_vpid(pid);
	KvmCriu__Task *saved;
	struct task *task;
	int failed, ret = -1;
	char name[IMAGE_NAME_LEN];

	if (!vpid)
		return -1;
	snprintf(name, sizeof(name), "kvm-task-%u.img", vpid);
	/* load_vms() has looked at it */
	if (!is_listed(name))
		return -ENOTSUP;
	saved = load_message(name, &kvm_criu__task__descriptor, false, &failed);
	if (!saved)
		return -1;
	if (restore_stack(pid, saved))
		goto out;
	task = open_task(pid);
	if (!task)
		goto out;
	restore_threads(pid, saved);
	ret = finish_vms(pid, task, saved);
	if (close_task(task))
		ret = -1;
out:
	free_message(saved);
	return ret;
}
