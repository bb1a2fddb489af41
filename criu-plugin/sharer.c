// SPDX-License-Identifier: GPL-2.0-only
/*
 * What several processes of a dump have open: a VM and what belongs to it, vhost-net. Each is made
 * in one process at a restore, which the others can get it from, or can't.
 */
#include <inttypes.h>

#include "kvm-plugin.h"

static bool has_part_of(const struct kvm_process *process, uint64_t vm)
{
	size_t i;

	for (i = 0; i < process->nr_fds; i++)
		if (process->fds[i].vm == vm)
			return true;
	return false;
}

/* The first process that has something of it, which is to be the one that has made it. */
static const struct kvm_process *owner_of(const struct kvm_process *process, uint64_t vm)
{
	const struct kvm_process *owner = process;

	for (; process; process = process->earlier)
		if (has_part_of(process, vm))
			owner = process;
	return owner;
}

/*
 * CRIU has a file that several processes share opened by the one with the lowest process ID, and
 * only the VM's own process can make a VM and what belongs to it.
 */
static int check_file(const struct kvm_process *process, const struct kvm_fd *fd)
{
	const struct kvm_process *owner = owner_of(process, fd->vm);
	const char *why = "has a higher process ID";
	int same = process == owner;
	size_t i;

	if (process->vpid > owner->vpid) {
		why = "does not have it open";
		for (i = 0; i < owner->nr_fds && !same; i++)
			same = is_same_object(owner->pid, &owner->fds[i], process->pid, fd);
	}
	if (!same)
		pr_err("Process %d, fd %d: belongs to VM %" PRIu64
		       " of process %d, which %s, so it can't be saved\n",
		       process->pid, fd->fd, fd->vm, owner->pid, why);
	return same > 0 ? 0 : -1;
}

int check_sharers(const struct kvm_process *process)
{
	const struct kvm_process *other;
	int ret = 0;
	size_t i;

	for (i = 0; i < process->nr_fds; i++)
		if (process->fds[i].vm && check_file(process, &process->fds[i]))
			ret = -1;
	for (other = process->earlier; other; other = other->earlier)
		if (check_vhost_sharers(process, other))
			ret = -1;
	return ret;
}
