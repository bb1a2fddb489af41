// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is left when the whole process is there: its mappings of KVM's objects, ioeventfds, irqfds,
 * what XIVE keeps in guest memory, and the guest's clock.
 */
#include <errno.h>
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
			task_call(task, false, __NR_madvise, map->start, map->size,
				  MADV_DONTFORK, 0, 0, 0);
	}
	return run_calls(task, failed);
}

static int finish_vm(pid_t pid, struct task *task, const KvmCriu__OwnedVm *owned)
{
	const struct vm *vm = find_vm(owned->number);

	if (!vm) {
		pr_err("The image of process %d names a VM without an image\n", pid);
		return -1;
	}
	return add_ioeventfds(task, vm, owned->fd) || finish_irqchip(pid, task, vm->image) ||
	       add_irqfds(task, vm, owned->fd) || start_clock(pid, task, vm->image) ? -1 : 0;
}

static int finish_vms(pid_t pid, struct task *task, const KvmCriu__Task *saved)
{
	size_t i;

	if (add_mappings(task, saved))
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
	char name[64];

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
	ret = finish_vms(pid, task, saved);
	if (close_task(task))
		ret = -1;
out:
	free_message(saved);
	return ret;
}
