// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The TCE tables of a running VMM: found among its open files, taken with pidfd_getfd().
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tce-private.h"

#define VM_LINK "anon_inode:kvm-vm"

/**
 * struct vmm_table - a table and the fd that the VMM has it as
 * @table: the table, through an fd of our own.
 * @fd: lowest fd number in the VMM.
 */
struct vmm_table {
	struct tce_table *table;
	int fd;
};

struct tce_vmm {
	pid_t pid;
	char comm[32];
	struct vmm_table *tables;
	size_t count;
};

static int proc_error(struct tce_error *err, pid_t pid, int sys_errno, const char *what)
{
	if (sys_errno == EACCES || sys_errno == EPERM)
		return tce_set_error(err, TCE_ERR_PERMISSION, 0,
				     "PID %d: not permitted to %s: be root, or have CAP_SYS_PTRACE",
				     (int)pid, what);
	if (sys_errno == ENOENT || sys_errno == ESRCH)
		return tce_set_error(err, TCE_ERR_NO_PROCESS, 0, "PID %d: no such process",
				     (int)pid);
	return tce_set_error(err, TCE_ERR_IO, sys_errno, "PID %d: cannot %s", (int)pid, what);
}

/* The program's name, for people; a process may have put anything there. */
static void read_comm(struct tce_vmm *vmm)
{
	char path[48];
	FILE *file;
	char *p;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)vmm->pid);
	file = tce_open_text(path);
	if (!file)
		return;
	if (!fgets(vmm->comm, sizeof(vmm->comm), file))
		vmm->comm[0] = '\0';
	fclose(file);
	vmm->comm[strcspn(vmm->comm, "\n")] = '\0';
	for (p = vmm->comm; *p; p++) {
		if (!isascii((unsigned char)*p) || !isprint((unsigned char)*p))
			*p = '?';
	}
}

/* Is this the same open file as one of the tables found? A VMM may have duplicated the fd. */
static struct vmm_table *find_same_file(struct tce_vmm *vmm, int fd)
{
	size_t i;

	for (i = 0; i < vmm->count; i++) {
		if (!syscall(SYS_kcmp, vmm->pid, vmm->pid, KCMP_FILE,
			     (unsigned long)vmm->tables[i].fd, (unsigned long)fd))
			return &vmm->tables[i];
	}
	return NULL;
}

static int take_table(struct tce_vmm *vmm, int pidfd, int number, struct tce_error *err)
{
	struct tce_table *table;
	struct vmm_table *same, *grown;
	int fd, ret;

	same = find_same_file(vmm, number);
	if (same) {
		if (number < same->fd)
			same->fd = number;
		return TCE_OK;
	}

	fd = tce_keep_fd((int)syscall(SYS_pidfd_getfd, pidfd, number, 0));
	if (fd < 0) {
		/* Closed since the folder was read: not a table of this VMM any more. */
		if (errno == EBADF)
			return TCE_OK;
		return proc_error(err, vmm->pid, errno, "take its file descriptors");
	}
	ret = tce_open_table(&table, fd, err);
	close(fd);
	if (ret == TCE_ERR_NOT_TABLE)
		return TCE_OK;
	if (ret < 0)
		return ret;

	snprintf(table->geometry.origin, sizeof(table->geometry.origin), "pid %d (%s) fd %d",
		 (int)vmm->pid, vmm->comm, number);
	grown = realloc(vmm->tables, (vmm->count + 1) * sizeof(*grown));
	if (!grown) {
		tce_close_table(table);
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for a list of tables");
	}
	vmm->tables = grown;
	vmm->tables[vmm->count].table = table;
	vmm->tables[vmm->count].fd = number;
	vmm->count++;
	return TCE_OK;
}

/* Look at every open file. @has_vm is set when a virtual machine is among them. */
static int scan_files(struct tce_vmm *vmm, int pidfd, DIR *dir, bool *has_vm, struct tce_error *err)
{
	struct dirent *entry;
	char link[128];
	ssize_t n;
	int ret;

	while (errno = 0, (entry = readdir(dir)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		if (n < 0) {
			if (errno == ENOENT)
				continue;
			return proc_error(err, vmm->pid, errno, "look at its files");
		}
		link[n] = '\0';
		if (!strcmp(link, VM_LINK))
			*has_vm = true;
		if (!tce_is_patched_link(link) && !tce_is_stock_link(link))
			continue;
		ret = take_table(vmm, pidfd, atoi(entry->d_name), err);
		if (ret < 0)
			return ret;
	}
	if (errno)
		return proc_error(err, vmm->pid, errno, "look at its files");
	return TCE_OK;
}

static DIR *open_folder(const char *path)
{
	int fd = tce_open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

static int compare_tables(const void *a, const void *b)
{
	const struct vmm_table *left = a, *right = b;
	const struct tce_geometry *l = &left->table->geometry, *r = &right->table->geometry;
	bool l_known = l->known & TCE_KNOWN_LIOBN, r_known = r->known & TCE_KNOWN_LIOBN;

	if (l_known != r_known)
		return l_known ? -1 : 1;
	if (l_known && l->liobn != r->liobn)
		return l->liobn < r->liobn ? -1 : 1;
	return left->fd - right->fd;
}

int tce_open_vmm(struct tce_vmm **result, pid_t pid, struct tce_error *err)
{
	struct tce_vmm *vmm = NULL;
	bool has_vm = false;
	DIR *dir = NULL;
	char path[48];
	int pidfd, ret;

	if (pid <= 0)
		return tce_set_error(err, TCE_ERR_NO_PROCESS, 0, "PID %d: no such process",
				     (int)pid);
	pidfd = tce_keep_fd((int)syscall(SYS_pidfd_open, pid, 0));
	if (pidfd < 0)
		return proc_error(err, pid, errno == EINVAL ? ESRCH : errno, "open it");

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = open_folder(path);
	if (!dir) {
		ret = proc_error(err, pid, errno, "look at its files");
		goto out_close;
	}
	vmm = calloc(1, sizeof(*vmm));
	if (!vmm) {
		ret = tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for a list of tables");
		goto out_close;
	}
	vmm->pid = pid;
	read_comm(vmm);
	ret = scan_files(vmm, pidfd, dir, &has_vm, err);
	if (!ret && !has_vm && !vmm->count)
		ret = tce_set_error(err, TCE_ERR_NO_KVM, 0,
				    "PID %d (%s) has no KVM virtual machine", (int)pid, vmm->comm);
	if (ret < 0)
		goto out_close;

	if (vmm->count)
		qsort(vmm->tables, vmm->count, sizeof(*vmm->tables), compare_tables);
	*result = vmm;
	vmm = NULL;

out_close:
	tce_close_vmm(vmm);
	if (dir)
		closedir(dir);
	close(pidfd);
	return ret;
}

size_t tce_vmm_count(const struct tce_vmm *vmm)
{
	return vmm->count;
}

struct tce_table *tce_vmm_table(const struct tce_vmm *vmm, size_t number)
{
	return vmm->tables[number].table;
}

int tce_vmm_fd(const struct tce_vmm *vmm, size_t number)
{
	return vmm->tables[number].fd;
}

int tce_find_table(const struct tce_vmm *vmm, uint64_t liobn, struct tce_table **table,
		   struct tce_error *err)
{
	size_t i, found = 0;
	int ret = TCE_OK;

	for (i = 0; i < vmm->count; i++) {
		const struct tce_geometry *geometry = &vmm->tables[i].table->geometry;

		if (geometry->known & TCE_KNOWN_LIOBN && geometry->liobn == liobn) {
			*table = vmm->tables[i].table;
			found++;
		}
	}
	if (!found)
		ret = tce_set_error(err, TCE_ERR_NO_TABLE, 0, "PID %d (%s) has no such table",
				    (int)vmm->pid, vmm->comm);
	else if (found > 1)
		ret = tce_set_error(err, TCE_ERR_UNKNOWN, 0,
				    "PID %d (%s) has %zu tables with this LIOBN, of several VMs",
				    (int)vmm->pid, vmm->comm, found);
	if (ret < 0 && err) {
		err->fields |= TCE_ERROR_LIOBN;
		err->liobn = liobn;
	}
	return ret;
}

void tce_close_vmm(struct tce_vmm *vmm)
{
	size_t i;

	if (!vmm)
		return;
	for (i = 0; i < vmm->count; i++)
		tce_close_table(vmm->tables[i].table);
	free(vmm->tables);
	free(vmm);
}
