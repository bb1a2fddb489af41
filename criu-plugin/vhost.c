// SPDX-License-Identifier: GPL-2.0-only
/*
 * vhost-net: queues of a network card that the kernel serves.
 *
 * What it was told (rings, eventfds, guest memory) can't be read back. But a VMM tells it all of
 * that again each time its guest goes on, and none of it holds while the guest is paused. So an fd
 * is saved while nobody owns it, as one that was just opened, and its owner has it again at the end
 * of the restore. kvm-criu(8) pauses the guest, and takes the fds from their owner for the time of
 * the dump (command/hold.c).
 */
#include <errno.h>
#include <linux/vhost.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kvm-plugin.h"

static int refuse_vhost(const struct kvm_process *process, int fd)
{
	pr_err("Process %d, fd %d: vhost-net can't be saved while it is in use: `kvm-criu dump "
	       "--qmp SOCKET' pauses the guest and takes it from the VMM (or give the device's "
	       "backend vhost=off)\n",
	       process->pid, fd);
	return -1;
}

int check_vhosts(const struct kvm_process *process)
{
	int ret = process->nr_vhosts ? has_user_workers(process->pid) : 0;

	return ret > 0 ? refuse_vhost(process, process->vhosts[0]) : ret;
}

int check_vhost_sharers(const struct kvm_process *process, const struct kvm_process *other)
{
	size_t i, k;
	int same;

	for (i = 0; i < process->nr_vhosts; i++) {
		for (k = 0; k < other->nr_vhosts; k++) {
			same = is_same_file(process->pid, process->vhosts[i], other->pid,
					    other->vhosts[k]);
			if (!same)
				continue;
			if (same > 0)
				pr_err("Process %d, fd %d: vhost-net can't be saved: process %d, "
				       "which uses KVM, has it open, too, and it has one owner\n",
				       process->pid, process->vhosts[i], other->pid);
			return -1;
		}
	}
	return 0;
}

/*
 * A ring without descriptors is refused in any case (VHOST_SET_VRING_NUM): with EPERM to all but
 * the owner, and before it is looked at.
 */
static int check_owner(const struct kvm_process *process, struct task *task, int fd)
{
	uint64_t remote;
	int call;

	reset_task(task);
	task_buffer(task, sizeof(struct vhost_vring_state), &remote);
	call = task_ioctl(task, true, fd, VHOST_SET_VRING_NUM, remote);
	if (run_task(task))
		return -1;
	return task_result(task, call) == -EPERM ? 0 : refuse_vhost(process, fd);
}

/* One fd of each open file is enough. */
static int is_noted(const struct kvm_process *process, int fd, const KvmCriu__Task *image)
{
	int same = 0;
	size_t i;

	for (i = 0; i < image->n_vhost_net && !same; i++)
		same = is_same_file(process->pid, fd, process->pid, image->vhost_net[i]);
	return same;
}

int save_vhosts(const struct kvm_process *process, struct task *task, KvmCriu__Task *image)
{
	size_t i;
	int noted;

	if (!process->nr_vhosts)
		return 0;
	image->vhost_net = calloc(process->nr_vhosts, sizeof(*image->vhost_net));
	if (!image->vhost_net) {
		pr_err("Out of memory\n");
		return -1;
	}
	for (i = 0; i < process->nr_vhosts; i++) {
		int fd = process->vhosts[i];

		noted = is_noted(process, fd, image);
		if (noted < 0 || check_owner(process, task, fd))
			return -1;
		if (!noted)
			image->vhost_net[image->n_vhost_net++] = fd;
	}
	return 0;
}

int own_vhosts(struct task *task, const KvmCriu__Task *saved)
{
	static const char failed[] = "vhost-net can't be obtained";
	size_t i;

	reset_task(task);
	for (i = 0; i < saved->n_vhost_net; i++) {
		if (make_room(task, 1, 0, failed))
			return -1;
		task_ioctl(task, false, saved->vhost_net[i], VHOST_SET_OWNER, 0);
	}
	return run_calls(task, failed);
}
