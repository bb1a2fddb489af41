// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * File descriptors of the library's own. None is ever 0, 1 or 2: where a program was started with
 * one of these closed, what it prints would otherwise go into a table.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tce-private.h"

#define FIRST_FD (STDERR_FILENO + 1)

int tce_duplicate_fd(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);
}

int tce_keep_fd(int fd)
{
	int moved, sys_errno;

	if (fd < 0 || fd >= FIRST_FD)
		return fd;
	moved = tce_duplicate_fd(fd);
	sys_errno = errno;
	close(fd);
	errno = sys_errno;
	return moved;
}

int tce_open_at(int folder, const char *path, int flags, mode_t mode)
{
	return tce_keep_fd(openat(folder, path, flags | O_CLOEXEC, mode));
}
