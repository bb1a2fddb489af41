/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Live tables as the command line names them.
 */
#ifndef TCE_TOOLS_VMM_H
#define TCE_TOOLS_VMM_H

#include "message.h"

/**
 * find_vmm_fd() - the table that is a certain fd of a VMM
 * @vmm: the VMM.
 * @pid: its process ID.
 * @fd: the fd's number in it.
 * @table: receives the table. Belongs to @vmm.
 * @err: what failed.
 *
 * Return: 0, or %TCE_ERR_NO_TABLE.
 */
int find_vmm_fd(const struct tce_vmm *vmm, pid_t pid, int fd, struct tce_table **table,
		struct tce_error *err);

/**
 * check_fd_number() - whether this can be the number of an inherited table
 * @fd: what --fd says.
 *
 * Standard output and standard error can't be tables, because messages go there. Call this before
 * any file is opened.
 *
 * Return: %CLI_GO, or an exit code after a message.
 */
int check_fd_number(int fd);

/**
 * check_own_fd() - can an inherited fd be used as a table?
 * @fd: its number.
 * @write: it will be written.
 * @err: what stands against it.
 *
 * Return: 0, %TCE_ERR_UNSUPPORTED, or %TCE_ERR_IO.
 */
int check_own_fd(int fd, bool write, struct tce_error *err);

#endif /* TCE_TOOLS_VMM_H */
