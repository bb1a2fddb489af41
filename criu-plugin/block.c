// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block devices of a VMM: its guest's disks on a logical volume, a partition, a LUN. CRIU has no
 * part in them. An open one is known by its path, and is opened again where the VM is restored;
 * what is in it is the admin's to carry.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#include "kvm-plugin.h"

/* Of the flags of open(2), those that stay with an open file. */
#define KEPT_FLAGS (O_ACCMODE | O_DIRECT | O_DSYNC | O_SYNC | O_NOATIME | O_NONBLOCK)

/* To what is open, with a zero behind it. Returns 0, or -1 with errno. */
static int read_path(pid_t pid, int fd, char *path, size_t size)
{
	char link[PATH_LEN];
	ssize_t len;

	proc_path(link, pid, "fd", fd);
	len = readlink(link, path, size - 1);
	if (len < 0)
		return -1;
	if ((size_t)len == size - 1) {
		errno = ENAMETOOLONG;
		return -1;
	}
	path[len] = '\0';
	return 0;
}

static bool is_device(const char *path, dev_t device)
{
	struct stat st;

	return !stat(path, &st) && S_ISBLK(st.st_mode) && st.st_rdev == device;
}

/* Are its mounts those of the calling process? */
static bool has_our_mounts(pid_t pid)
{
	struct stat ours, its;
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	return !stat("/proc/self/ns/mnt", &ours) && !stat(path, &its) &&
	       ours.st_dev == its.st_dev && ours.st_ino == its.st_ino;
}

/* Is that device found by that name? */
static bool is_named(pid_t pid, const char *path, dev_t device)
{
	char *there;
	bool same;

	/* The path begins at our root then, even if the process has another. */
	if (has_our_mounts(pid))
		return is_device(path, device);
	if (asprintf(&there, "/proc/%d/root%s", pid, path) < 0)
		return false;
	same = is_device(there, device);
	free(there);
	return same;
}

int check_block(pid_t pid, int fd)
{
	char link[PATH_LEN], path[BLOCK_PATH_LEN];
	struct stat st;

	proc_path(link, pid, "fd", fd);
	/* One that still runs may have closed it. */
	if (stat(link, &st) || read_path(pid, fd, path, sizeof(path))) {
		if (errno == ENOENT)
			return 0;
		pr_perror("Can't look at fd %d of process %d", fd, pid);
		return -1;
	}
	/* It may also have opened another file in its place. */
	if (!S_ISBLK(st.st_mode))
		return 0;
	if (is_named(pid, path, st.st_rdev))
		return 0;
	pr_err("Process %d, fd %d: the block device %s can't be saved: the process has no such "
	       "device by that name\n",
	       pid, fd, path);
	return -1;
}

int save_block(int fd, char path[BLOCK_PATH_LEN], KvmCriu__File *image)
{
	if (read_path(SELF, fd, path, BLOCK_PATH_LEN) || ioctl(fd, BLKGETSIZE64, &image->size)) {
		pr_perror("A block device can't be saved");
		return -1;
	}
	image->path = path;
	image->has_size = true;
	return 0;
}

static int check_size(int fd, const KvmCriu__File *image)
{
	uint64_t size = 0;

	if (ioctl(fd, BLKGETSIZE64, &size)) {
		pr_perror("The block device %s does not tell its size", image->path);
		return -1;
	}
	if (size == image->size)
		return 0;
	pr_err("The block device %s has %" PRIu64 " bytes here, and had %" PRIu64 "\n", image->path,
	       size, image->size);
	return -1;
}

/* As it was open, and not as it had to be opened. Refuses what is no block device. */
static int check_opened(int fd, const KvmCriu__File *image)
{
	struct stat st;
	int flags;

	if (fstat(fd, &st) || !S_ISBLK(st.st_mode)) {
		pr_err("The block device %s is not here any more\n", image->path);
		return -1;
	}
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 ||
	    (!(image->flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK))) {
		pr_perror("Can't set the flags of the block device %s", image->path);
		return -1;
	}
	return check_size(fd, image);
}

int open_block(const KvmCriu__File *image)
{
	struct stat st;
	int fd;

	if (!image->path || stat(image->path, &st) || !S_ISBLK(st.st_mode)) {
		pr_err("The block device %s is not here\n", image->path ? image->path : "");
		return -1;
	}
	/* It may be something else by now, which would have us wait. */
	fd = open(image->path, (image->flags & KEPT_FLAGS) | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		pr_perror("Can't open the block device %s", image->path);
		return -1;
	}
	if (check_opened(fd, image))
		goto err;
	if (lseek(fd, image->pos, SEEK_SET) >= 0)
		return fd;
	pr_perror("The block device %s has no position %" PRIu64, image->path, image->pos);
err:
	close(fd);
	return -1;
}
