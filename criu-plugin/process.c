// SPDX-License-Identifier: GPL-2.0-only
/*
 * What can be had of another process without its help: its memory and its files.
 */
#include <dirent.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kvm-plugin.h"

bool has_vm(pid_t pid)
{
	char path[PATH_LEN], link[sizeof(VM_LINK)];
	struct dirent *entry;
	bool found = false;
	ssize_t len;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		len = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link));
		found = len == strlen(VM_LINK) && !memcmp(link, VM_LINK, len);
	}
	if (dir)
		closedir(dir);
	return found;
}

int get_fd(pid_t pid, int fd)
{
	int pidfd = pidfd_open(pid, 0), local = -1;

	if (pidfd >= 0) {
		local = pidfd_getfd(pidfd, fd, 0);
		close(pidfd);
	}
	if (local < 0)
		pr_perror("Can't get fd %d of process %d", fd, pid);
	return local;
}

int is_same_file(pid_t pid1, int fd1, pid_t pid2, int fd2)
{
	long ret = syscall(SYS_kcmp, pid1, pid2, KCMP_FILE, fd1, fd2);

	if (ret < 0)
		pr_perror("Can't compare files of processes %d and %d", pid1, pid2);
	return ret < 0 ? -1 : !ret;
}

int copy_memory(pid_t pid, bool to_task, uint64_t remote, void *local, size_t len)
{
	struct iovec here = { .iov_base = local, .iov_len = len };
	struct iovec there = { .iov_base = (void *)remote, .iov_len = len };
	ssize_t done;

	if (!len)
		return 0;
	done = to_task ? process_vm_writev(pid, &here, 1, &there, 1, 0) :
			 process_vm_readv(pid, &here, 1, &there, 1, 0);
	if (done == (ssize_t)len)
		return 0;
	pr_perror("Can't %s %zu bytes at %#" PRIx64 " of process %d", to_task ? "write" : "read",
		  len, remote, pid);
	return -1;
}

/* Writing a byte back makes its page a changed one. */
static void touch_page(pid_t pid, uint64_t hva)
{
	char byte;
	struct iovec here = { .iov_base = &byte, .iov_len = sizeof(byte) };
	struct iovec there = { .iov_base = (void *)hva, .iov_len = sizeof(byte) };

	if (process_vm_readv(pid, &here, 1, &there, 1, 0) == sizeof(byte) &&
	    process_vm_writev(pid, &here, 1, &there, 1, 0) == sizeof(byte))
		pr_info("page %#" PRIx64 " counts as changed\n", hva);
}

void touch_guest_memory(pid_t pid, const KvmCriu__Vm *vm, uint64_t gpa, uint64_t len)
{
	uint64_t page = getpagesize(), at = gpa & ~(page - 1);
	size_t i;

	for (; gpa && at < gpa + len; at += page)
		for (i = 0; i < vm->n_slot; i++)
			if (at >= vm->slot[i]->gpa && at - vm->slot[i]->gpa < vm->slot[i]->size)
				touch_page(pid, vm->slot[i]->hva + (at - vm->slot[i]->gpa));
}
