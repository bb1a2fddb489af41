// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block devices of a VMM: its guest's disks on a logical volume, a partition, a LUN. CRIU has no
 * part in them. An open one is known by its path, and is opened again where the VM is restored;
 * what is in it is the admin's to carry. The path alone may lead to another disk after a reboot, so
 * what sysfs knows the device by has to be the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
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

#define SYSFS	    "/sys/dev/block"
#define DM_NAME	    "dm/name"
#define DM_UUID	    "dm/uuid"
#define MULTIPATH   "mpath-"
#define OTHER_DISKS "KVM_CRIU_OTHER_DISKS"

/* Read one of @device's files in sysfs. @disk: "", or "../" for the disk of a partition. */
static bool read_attribute(dev_t device, const char *disk, const char *name, char *text,
			   size_t size)
{
	char path[PATH_LEN];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), SYSFS "/%u:%u/%s%s", major(device), minor(device), disk, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, text, size - 1);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return text[0];
}

/* A volume has its name from an admin, but one of several paths from the host that it is on. */
static bool has_uuid_for_name(dev_t device, char *value, size_t size)
{
	return read_attribute(device, "", DM_UUID, value, size) && strstr(value, MULTIPATH);
}

/* Put what tells the device from others into @identity, or an empty string if nothing does. */
static void identify(dev_t device, char identity[BLOCK_IDENTITY_LEN])
{
	static const char *const attributes[] = { DM_NAME, "loop/backing_file", "wwid",
						  "device/wwid", "serial" };
	char value[BLOCK_IDENTITY_LEN - PATH_LEN], partition[PATH_LEN / 4];
	const char *disk = "";
	size_t i;

	identity[0] = '\0';
	if (has_uuid_for_name(device, value, sizeof(value))) {
		snprintf(identity, BLOCK_IDENTITY_LEN, DM_UUID " %s", value);
		return;
	}
	if (read_attribute(device, "", "partition", partition, sizeof(partition)))
		disk = "../";
	for (i = 0; i < ARRAY_LEN(attributes) && !identity[0]; i++)
		if (read_attribute(device, disk, attributes[i], value, sizeof(value)))
			snprintf(identity, BLOCK_IDENTITY_LEN, "%s %s%s%s", attributes[i], value,
				 disk[0] ? " partition " : "", disk[0] ? partition : "");
}

int save_block(int fd, struct block_names *names, KvmCriu__File *image)
{
	struct stat st;

	if (read_path(SELF, fd, names->path, sizeof(names->path)) || fstat(fd, &st) ||
	    ioctl(fd, BLKGETSIZE64, &image->size)) {
		pr_perror("A block device can't be saved");
		return -1;
	}
	identify(st.st_rdev, names->identity);
	image->path = names->path;
	image->has_size = true;
	image->identity = names->identity[0] ? names->identity : NULL;
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

/* In CRIU's environment: it may be a copy, which an admin knows. */
static bool may_be_others(void)
{
	const char *what = secure_getenv(OTHER_DISKS);

	return what && !strcmp(what, "yes");
}

static int check_identity(dev_t device, const KvmCriu__File *image)
{
	char here[BLOCK_IDENTITY_LEN];

	if (!image->identity)
		return 0;
	if (access(SYSFS, F_OK)) {
		pr_warn("Without sysfs, only the size tells that %s is %s\n", image->path,
			image->identity);
		return 0;
	}
	identify(device, here);
	if (!strcmp(here, image->identity))
		return 0;
	if (may_be_others()) {
		pr_warn("The block device %s is another one here, as was said: %s; it was %s\n",
			image->path, here[0] ? here : "unknown", image->identity);
		return 0;
	}
	pr_err("The block device %s is another one here: %s; it was %s. If it is a copy, use "
	       "kvm-criu --other-disks, or " OTHER_DISKS "=yes in CRIU's environment\n",
	       image->path, here[0] ? here : "unknown", image->identity);
	return -1;
}

/* The number of a volume may be another one's here, so its name comes first. */
static const char *find_path(const KvmCriu__File *image, char named[BLOCK_PATH_LEN])
{
	static const struct {
		const char *identity, *folder;
	} names[] = {
		{ DM_NAME " ", "/dev/mapper/" },
		{ DM_UUID " ", "/dev/disk/by-id/dm-uuid-" },
	};
	struct stat st;
	size_t i, len;

	for (i = 0; image->identity && i < ARRAY_LEN(names); i++) {
		len = strlen(names[i].identity);
		if (strncmp(image->identity, names[i].identity, len))
			continue;
		snprintf(named, BLOCK_PATH_LEN, "%s%s", names[i].folder, image->identity + len);
		if (!stat(named, &st) && S_ISBLK(st.st_mode))
			return named;
	}
	return image->path;
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
	return check_size(fd, image) ? -1 : check_identity(st.st_rdev, image);
}

/* Is there a block device by that name? */
static int check_here(const char *path, struct stat *st)
{
	if (path && !stat(path, st) && S_ISBLK(st->st_mode))
		return 0;
	pr_err("The block device %s is not here\n", path ? path : "");
	return -1;
}

int look_at_block(const KvmCriu__File *image)
{
	char named[BLOCK_PATH_LEN];
	struct stat st;

	return check_here(find_path(image, named), &st) || check_identity(st.st_rdev, image) ? -1 :
											       0;
}

int open_block(const KvmCriu__File *image)
{
	char named[BLOCK_PATH_LEN];
	const char *path = find_path(image, named);
	struct stat st;
	int fd;

	if (check_here(path, &st))
		return -1;
	/* It may be something else by now, which would have us wait. */
	fd = open(path, (image->flags & KEPT_FLAGS) | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		pr_perror("Can't open the block device %s", path);
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
