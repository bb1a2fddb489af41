// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each part of making a VM needs: an ioctl of the VM's, and a place where its fds wait.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm-abi.h"
#include "vm-images.h"

/*
 * Move an fd out of the way of those that CRIU puts in place: above everything that is open now.
 * CRIU keeps its own fds above the highest that the process will have.
 */
static int move_up(int fd)
{
	struct dirent *entry;
	int top = 0, moved, failed;
	DIR *dir;

	dir = opendir("/proc/self/fd");
	if (!dir) {
		pr_perror("Can't open /proc/self/fd");
		close(fd);
		return -1;
	}
	for (errno = 0; (entry = readdir(dir)); errno = 0)
		if (atoi(entry->d_name) > top)
			top = atoi(entry->d_name);
	failed = errno;
	closedir(dir);
	if (failed) {
		errno = failed;
		pr_perror("Can't read /proc/self/fd");
		close(fd);
		return -1;
	}
	moved = fcntl(fd, F_DUPFD_CLOEXEC, top + 1);
	if (moved < 0)
		pr_perror("Can't put fd %d above %d", fd, top);
	close(fd);
	return moved;
}

int keep_fd(const struct vm *vm, int fd)
{
	return vm->trial ? fd : move_up(fd);
}

int vm_ioctl(const struct vm *vm, unsigned long cmd, void *arg, const char *what)
{
	int ret = ioctl(vm->fd, cmd, arg);

	if (ret < 0)
		pr_perror("VM %" PRIu64 ": KVM refuses its %s", vm->image->number, what);
	return ret;
}
