// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sinks and sources on file descriptors, and files that are replaced whole or not at all.
 */
#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tce-private.h"

/* Symbolic links that a name may lead through, as many as the kernel takes. */
#define LINKS_MAX 40

/**
 * struct tce_file - a file that is being replaced
 * @fd: what is written to.
 * @dir: the folder, or -1 when the file is written in place (a device or a pipe).
 * @name: name in the folder.
 * @temp: temporary name in the folder, or empty while the new file has none.
 */
struct tce_file {
	int fd;
	int dir;
	char name[NAME_MAX + 1];
	char temp[24];
};

/* After EAGAIN: wait until an fd that does not block can go on. False after another error. */
static bool wait_for(int fd, short events)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	const int sys_errno = errno;

	if (sys_errno != EAGAIN)
		return false;
	if (poll(&poll_fd, 1, -1) >= 0 || errno == EINTR)
		return true;
	errno = sys_errno;
	return false;
}

static int fd_write(void *ctx, const void *buf, size_t len)
{
	int fd = (int)(intptr_t)ctx;
	const uint8_t *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0) {
			if (errno == EINTR || wait_for(fd, POLLOUT))
				continue;
			return -errno;
		}
		/* Some file systems in user space say so when they are full: no end to it. */
		if (!n)
			return -ENOSPC;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static ssize_t fd_read(void *ctx, void *buf, size_t len)
{
	int fd = (int)(intptr_t)ctx;
	ssize_t n;

	do {
		n = read(fd, buf, len);
	} while (n < 0 && (errno == EINTR || wait_for(fd, POLLIN)));
	return n < 0 ? -errno : n;
}

static int fd_seek(void *ctx, int64_t distance)
{
	return lseek((int)(intptr_t)ctx, distance, SEEK_CUR) < 0 ? -errno : 0;
}

struct tce_sink tce_fd_sink(int fd)
{
	return (struct tce_sink){ .write = fd_write, .ctx = (void *)(intptr_t)fd };
}

struct tce_source tce_fd_source(int fd)
{
	return (struct tce_source){
		.read = fd_read,
		.ctx = (void *)(intptr_t)fd,
		.seek = fd_seek,
	};
}

/*
 * Read @len bytes; fewer only at the input's end.
 *
 * Return: 0 with the number of bytes in @got, or a negative errno.
 */
int tce_read_fully(const struct tce_source *source, void *buf, size_t len, size_t *got)
{
	uint8_t *p = buf;

	*got = 0;
	while (*got < len) {
		ssize_t n = source->read(source->ctx, p + *got, len - *got);

		if (n < 0)
			return (int)n;
		if ((size_t)n > len - *got)
			return -EOVERFLOW;
		if (!n)
			break;
		*got += (size_t)n;
	}
	return 0;
}

static int choose_temp_name(struct tce_file *file)
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	snprintf(file->temp, sizeof(file->temp), ".tce-%016" PRIx64, number);
	return 0;
}

/*
 * Open the new file. Without a name if the file system can do that: then nothing is left lying
 * about when the process is killed.
 */
static int open_temp(struct tce_file *file)
{
	int ret;

	file->fd = tce_keep_fd(openat(file->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	if (file->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
		return -errno;

	ret = choose_temp_name(file);
	if (ret < 0)
		return ret;
	file->fd = tce_keep_fd(
		openat(file->dir, file->temp, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
	if (file->fd < 0) {
		ret = -errno;
		file->temp[0] = '\0';
	}
	return ret;
}

/* Open the folder of @path and keep the name in it. */
static int open_folder(struct tce_file *file, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char folder[PATH_MAX] = ".";

	if (!*name)
		return -EISDIR;
	if (strlen(name) >= sizeof(file->name) || (size_t)(name - path) >= sizeof(folder))
		return -ENAMETOOLONG;
	strcpy(file->name, name);
	if (slash) {
		memcpy(folder, path, (size_t)(name - path));
		folder[name - path] = '\0';
	}
	file->dir = tce_keep_fd(open(folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC));
	return file->dir < 0 ? -errno : 0;
}

/* Where does a link lead that leads to nothing yet? @path is replaced by that. */
static int follow_links(char path[PATH_MAX])
{
	char target[PATH_MAX], *slash;
	unsigned int links;
	size_t folder;
	ssize_t n;

	for (links = 0; links < LINKS_MAX; links++) {
		n = readlink(path, target, sizeof(target));
		if (n < 0)
			return errno == EINVAL || errno == ENOENT ? 0 : -errno;
		slash = strrchr(path, '/');
		folder = target[0] == '/' || !slash ? 0 : (size_t)(slash + 1 - path);
		if (folder + (size_t)n >= PATH_MAX)
			return -ENAMETOOLONG;
		memcpy(path + folder, target, (size_t)n);
		path[folder + (size_t)n] = '\0';
	}
	return -ELOOP;
}

/*
 * Where a file has an access control list, the group's bits in its mode are the mask of the list:
 * as a mode alone they would let its group do what others may.
 *
 * Return: 1 when there is one, and the new file has it; 0 when there is none; or a negative errno.
 */
static int keep_access_list(const struct tce_file *file, const char *path)
{
	static const char name[] = "system.posix_acl_access";
	void *list = malloc(XATTR_SIZE_MAX);
	ssize_t size;
	int ret = 1;

	if (!list)
		return -ENOMEM;
	size = getxattr(path, name, list, XATTR_SIZE_MAX);
	if (size < 0)
		ret = errno == ENODATA || errno == ENOTSUP ? 0 : -errno;
	else if (fsetxattr(file->fd, name, list, (size_t)size, 0) < 0)
		ret = -errno;
	free(list);
	return ret;
}

/* A file that is replaced keeps its owner, its group and its permissions. */
static int keep_owner(const struct tce_file *file, const char *path, const struct stat *old)
{
	struct stat st;
	int ret;

	if (fstat(file->fd, &st) < 0)
		return -errno;
	if ((st.st_uid != old->st_uid || st.st_gid != old->st_gid) &&
	    fchown(file->fd, old->st_uid, old->st_gid) < 0)
		return -errno;
	ret = keep_access_list(file, path);
	if (ret)
		return ret < 0 ? ret : 0;
	return fchmod(file->fd, old->st_mode & 0777) < 0 ? -errno : 0;
}

/* Return: 0, or a negative errno; then @what is said to have failed. */
static int open_file(struct tce_file *file, const char *path, const char **what)
{
	char real[PATH_MAX];
	struct stat st;
	bool exists;
	int ret;

	*what = "cannot be created";
	exists = stat(path, &st) == 0;
	if (!exists && errno != ENOENT)
		return -errno;
	if (exists && !S_ISREG(st.st_mode)) {
		file->fd = tce_keep_fd(open(path, O_WRONLY | O_CLOEXEC));
		return file->fd < 0 ? -errno : 0;
	}
	/* Replace what a symbolic link leads to, not the link. */
	if (exists) {
		ret = realpath(path, real) ? 0 : -errno;
	} else if (strlen(path) < sizeof(real)) {
		strcpy(real, path);
		ret = follow_links(real);
	} else {
		ret = -ENAMETOOLONG;
	}
	if (!ret)
		ret = open_folder(file, real);
	if (!ret)
		ret = open_temp(file);
	/* An image tells where a guest's memory is: a new one is for its owner only. */
	if (!ret && exists) {
		*what = "cannot be replaced by a file of the same owner and permissions";
		ret = keep_owner(file, real, &st);
	}
	return ret;
}

int tce_create_file(struct tce_file **result, const char *path, struct tce_error *err)
{
	struct tce_file *file = calloc(1, sizeof(*file));
	const char *what;
	int ret;

	if (!file)
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for a file");
	file->fd = -1;
	file->dir = -1;

	ret = open_file(file, path, &what);
	if (ret < 0) {
		tce_close_file(file);
		return tce_set_error(err, TCE_ERR_IO, -ret, "%s", what);
	}
	*result = file;
	return TCE_OK;
}

struct tce_sink tce_file_sink(struct tce_file *file)
{
	return tce_fd_sink(file->fd);
}

/* Give the new file a name beside the old one; rename() needs one. */
static int link_temp(struct tce_file *file)
{
	char link[32];
	int ret;

	ret = choose_temp_name(file);
	if (ret < 0)
		return ret;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", file->fd);
	if (!linkat(AT_FDCWD, link, file->dir, file->temp, AT_SYMLINK_FOLLOW))
		return 0;
	ret = -errno;
	/* Without /proc root can do this, and since Linux 6.10 who opened the file. */
	if (ret == -ENOENT && !linkat(file->fd, "", file->dir, file->temp, AT_EMPTY_PATH))
		return 0;
	file->temp[0] = '\0';
	return ret;
}

/* Return: 0, or a negative errno; then @what is said of the file. */
static int commit_file(struct tce_file *file, const char **what)
{
	int ret;

	*what = "cannot be put in place";
	if (file->dir < 0) {
		/* Pipes and many devices have nothing to flush. */
		if (fsync(file->fd) < 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP)
			return -errno;
		return 0;
	}
	if (fsync(file->fd) < 0)
		return -errno;
	if (!file->temp[0]) {
		ret = link_temp(file);
		if (ret < 0)
			return ret;
	}
	if (renameat(file->dir, file->temp, file->dir, file->name) < 0)
		return -errno;
	file->temp[0] = '\0';
	*what = "is in place, but may not be after a crash: its folder cannot be flushed";
	return fsync(file->dir) < 0 ? -errno : 0;
}

int tce_commit_file(struct tce_file *file, struct tce_error *err)
{
	const char *what;
	int ret = commit_file(file, &what);

	if (ret < 0)
		return tce_set_error(err, TCE_ERR_IO, -ret, "%s", what);
	return TCE_OK;
}

void tce_discard_file(const struct tce_file *file)
{
	if (file->temp[0])
		unlinkat(file->dir, file->temp, 0);
}

void tce_close_file(struct tce_file *file)
{
	if (!file)
		return;
	tce_discard_file(file);
	if (file->fd >= 0)
		close(file->fd);
	if (file->dir >= 0)
		close(file->dir);
	free(file);
}
