// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Live tables as the command line names them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli.h"
#include "vmm.h"

/* A table that a VMM has duplicated is known by its lowest number. */
static bool is_same_file(pid_t pid, int one, int other)
{
	return one == other ||
	       !syscall(SYS_kcmp, pid, pid, KCMP_FILE, (unsigned long)one, (unsigned long)other);
}

int find_vmm_fd(const struct tce_vmm *vmm, pid_t pid, int fd, struct tce_table **table,
		struct tce_error *err)
{
	size_t i;

	for (i = 0; i < tce_vmm_count(vmm); i++) {
		if (is_same_file(pid, tce_vmm_fd(vmm, i), fd)) {
			*table = tce_vmm_table(vmm, i);
			return TCE_OK;
		}
	}
	return tce_set_error(err, TCE_ERR_NO_TABLE, 0, "PID %d has no TCE table as fd %d", (int)pid,
			     fd);
}

int check_fd_number(int fd)
{
	if (fd == STDOUT_FILENO || fd == STDERR_FILENO)
		return misuse("--fd: %d is standard %s", fd,
			      fd == STDOUT_FILENO ? "output" : "error");
	/* Before a file is opened that gets this number. */
	if (fcntl(fd, F_GETFD) < 0) {
		print_warning("fd %d: file descriptor %d: %s", fd, fd, strerror(errno));
		return EXIT_FAILED;
	}
	return CLI_GO;
}

/* What is printed would land in the table. */
static bool prints_into(const struct stat *table, int fd)
{
	struct stat st;

	return S_ISREG(table->st_mode) && !fstat(fd, &st) && st.st_dev == table->st_dev &&
	       st.st_ino == table->st_ino;
}

int check_own_fd(int fd, bool write, struct tce_error *err)
{
	const int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(fd, &st) < 0)
		return tce_set_error(err, TCE_ERR_IO, errno, "file descriptor %d", fd);
	if (prints_into(&st, STDOUT_FILENO) || prints_into(&st, STDERR_FILENO))
		return tce_set_error(err, TCE_ERR_UNSUPPORTED, 0,
				     "standard output or standard error is this file, too");
	if ((flags & O_ACCMODE) == O_WRONLY)
		return tce_set_error(err, TCE_ERR_UNSUPPORTED, 0, "it is open for writing only");
	if (!write)
		return TCE_OK;
	if ((flags & O_ACCMODE) == O_RDONLY)
		return tce_set_error(err, TCE_ERR_UNSUPPORTED, 0, "it is open for reading only");
	if (flags & O_APPEND)
		return tce_set_error(err, TCE_ERR_UNSUPPORTED, 0,
				     "it is open for appending: words could only go to its end");
	return TCE_OK;
}
