// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * For a target that libFuzzer drives: files and folders in memory. A system call takes as long as
 * all the rest of most inputs. Names are whole paths. What was not made here is not there, but for
 * "/", /tmp, three devices, and what lies in a folder of seeds. What is written a page at a time
 * leaves holes, as in a memfd.
 *
 * The targets of driver.c have the same calls go to the system.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "files.h"

struct node nodes[NODES_MAX] = {
	{ .mode = S_IFDIR | 0755, .name = "/" },
	{ .mode = S_IFCHR | 0666, .name = "/dev/null" },
	{ .mode = S_IFCHR | 0666, .name = DEVICE_FULL },
	{ .mode = S_IFCHR | 0666, .name = "/dev/zero" },
	{ .mode = S_IFDIR | 0755, .name = "/tmp" },
};
static struct opened opened_files[OPENED_MAX];
static struct opened *fds[FDS_MAX];
/* Standard input and output, where they were replaced. */
static struct opened *standard[2];

int fail(int error)
{
	errno = error;
	return -1;
}

struct opened *of_fd(int fd)
{
	if (fd >= 0 && fd < 2 && standard[fd])
		return standard[fd];
	return fd >= FIRST_FD && fd < FIRST_FD + FDS_MAX ? fds[fd - FIRST_FD] : NULL;
}

bool is_ours(int fd)
{
	return fd >= FIRST_FD || (fd >= 0 && fd < 2 && standard[fd]);
}

/* ---- nodes ---- */

struct node *find_node(const char *path)
{
	struct opened *file;
	struct node *node;

	if (!strncmp(path, PROC_FD, strlen(PROC_FD))) {
		file = of_fd(atoi(path + strlen(PROC_FD)));
		return file ? file->node : NULL;
	}
	if (!strcmp(path, "/tmp/"))
		path = "/tmp";
	for (node = nodes; node < nodes + NODES_MAX; node++) {
		if (node->mode && !strcmp(node->name, path))
			return node;
	}
	return NULL;
}

struct node *new_node(const char *path, mode_t mode)
{
	struct node *node;

	for (node = nodes; node < nodes + NODES_MAX; node++) {
		if (!node->mode) {
			node->mode = mode;
			node->size = 0;
			memset(node->written, 0, sizeof(node->written));
			snprintf(node->name, sizeof(node->name), "%s", path);
			return node;
		}
	}
	errno = ENFILE;
	return NULL;
}

/* It is free when nobody has it open and it has no name. Its memory stays, for the next one. */
static void let_go(struct node *node)
{
	if (!node->users && !node->name[0])
		node->mode = 0;
}

int unlink_node(const char *path)
{
	struct node *node = find_node(path);

	if (!node || !node->name[0])
		return fail(ENOENT);
	node->name[0] = '\0';
	let_go(node);
	return 0;
}

static bool set_size(struct node *node, uint64_t size)
{
	if (size > FILE_SIZE_MAX)
		return false;
	if (size > node->room) {
		node->room = (size_t)size * 2;
		node->data = __real_realloc(node->data, node->room);
	}
	if (size > node->size)
		memset(node->data + node->size, 0, size - node->size);
	node->size = size;
	return true;
}

static void mark(struct node *node, size_t first, size_t end, bool written)
{
	for (; first < end && first < MAP_PAGES; first++) {
		if (written)
			node->written[first / 64] |= 1ULL << first % 64;
		else
			node->written[first / 64] &= ~(1ULL << first % 64);
	}
}

static size_t pages_of(size_t size)
{
	return (size + PAGE - 1) / PAGE;
}

static bool is_written(const struct node *node, size_t page)
{
	return page >= MAP_PAGES || node->written[page / 64] >> page % 64 & 1;
}

/* ---- fds ---- */

static int new_fd(struct opened *file)
{
	int i;

	for (i = 0; i < FDS_MAX; i++) {
		if (!fds[i]) {
			fds[i] = file;
			file->fds++;
			return FIRST_FD + i;
		}
	}
	return fail(EMFILE);
}

int open_node(struct node *node, int flags)
{
	struct opened *file;

	if (!node)
		return -1;
	for (file = opened_files; file < opened_files + OPENED_MAX; file++) {
		if (!file->fds) {
			*file = (struct opened){ .node = node, .flags = flags };
			node->users++;
			return new_fd(file);
		}
	}
	return fail(ENFILE);
}

static void drop_opened(struct opened *file)
{
	if (--file->fds)
		return;
	file->node->users--;
	let_go(file->node);
}

/* The path of a name in a folder. */
const char *join(char path[NAME_SIZE], int folder, const char *name)
{
	struct opened *file = of_fd(folder);

	if (name[0] == '/' || !file)
		return name;
	if (!strcmp(name, "."))
		return file->node->name;
	snprintf(path, NAME_SIZE, "%.*s/%s", NAME_SIZE / 2, file->node->name, name);
	return path;
}

/* What a seed names: a file beside it, of which this is a copy. */
static struct node *load_seed(const char *path)
{
	static uint8_t data[64 << 10];
	struct node *node;
	ssize_t got;
	int fd;

	if (!strstr(path, "/seeds/") || strlen(path) >= NAME_SIZE)
		return NULL;
	fd = __real_open64(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	got = fd < 0 ? -1 : __real_read(fd, data, sizeof(data));
	if (fd >= 0)
		__real_close(fd);
	node = got < 0 ? NULL : new_node(path, S_IFREG | 0600);
	if (node && set_size(node, (uint64_t)got)) {
		memcpy(node->data, data, (size_t)got);
		mark(node, 0, pages_of((size_t)got), true);
	}
	return node;
}

static int open_path(const char *path, int flags)
{
	struct node *node = find_node(path);

	if (!node)
		node = load_seed(path);
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return open_node(new_node("", S_IFREG | 0600), flags);
	if (!node && flags & O_CREAT)
		node = new_node(path, S_IFREG | 0600);
	if (!node)
		return fail(strlen(path) < NAME_SIZE ? ENOENT : ENAMETOOLONG);
	if (S_ISDIR(node->mode) && (flags & O_ACCMODE) != O_RDONLY)
		return fail(EISDIR);
	if (!S_ISDIR(node->mode) && flags & O_DIRECTORY)
		return fail(ENOTDIR);
	if (flags & O_TRUNC && S_ISREG(node->mode)) {
		node->size = 0;
		memset(node->written, 0, sizeof(node->written));
	}
	return open_node(node, flags);
}

/* A new file gets no mode: nobody asks for it. */
int system_open(const char *path, int flags, mode_t mode)
{
	return open_path(path, flags);
}

int __wrap_openat64(int folder, const char *name, int flags, ...);
int __wrap_openat64(int folder, const char *name, int flags, ...)
{
	char path[NAME_SIZE];

	return open_path(join(path, folder, name), flags);
}

int __wrap_memfd_create(const char *name, unsigned int flags);
int __wrap_memfd_create(const char *name, unsigned int flags)
{
	return open_node(new_node("", S_IFREG | 0777), O_RDWR);
}

int __wrap_close(int fd)
{
	struct opened *file = of_fd(fd);

	if (!is_ours(fd))
		return fd < 0 ? fail(EBADF) : __real_close(fd);
	if (!file)
		return fail(EBADF);
	if (fd < FIRST_FD) /* closed, which the system's is not */
		standard[fd] = NULL;
	else
		fds[fd - FIRST_FD] = NULL;
	drop_opened(file);
	return 0;
}

/* Of standard input and output only, which the system's own are again when they are put back. */
int __wrap_dup2(int fd, int to);
int __wrap_dup2(int fd, int to)
{
	struct opened *file = of_fd(fd);

	if (to > 1)
		abort();
	if (file)
		file->fds++;
	if (standard[to])
		drop_opened(standard[to]);
	standard[to] = file;
	return to;
}

int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...)
{
	struct opened *file = of_fd(fd);
	va_list args;
	long arg;

	va_start(args, command);
	arg = va_arg(args, long);
	va_end(args);
	if (!is_ours(fd))
		return __real_fcntl64(fd, command, arg);
	if (!file)
		return fail(EBADF);
	switch (command) {
	case F_GETFL:
		return file->flags & ~(O_CLOEXEC | O_CREAT | O_TRUNC);
	case F_GETFD:
		return FD_CLOEXEC;
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return new_fd(file);
	default:
		return 0;
	}
}

/* ---- reading and writing ---- */

static ssize_t read_at(struct opened *file, void *buf, size_t len, off_t at)
{
	struct node *node;

	if (!file || file->flags & O_PATH || (file->flags & O_ACCMODE) == O_WRONLY)
		return fail(EBADF);
	node = file->node;
	if (S_ISDIR(node->mode))
		return fail(EISDIR);
	if (at < 0)
		return fail(EINVAL);
	if ((uint64_t)at >= node->size)
		return 0;
	if (len > node->size - (size_t)at)
		len = node->size - (size_t)at;
	memcpy(buf, node->data + at, len);
	return (ssize_t)len;
}

static ssize_t write_at(struct opened *file, const void *buf, size_t len, off_t at)
{
	struct node *node;

	if (!file || file->flags & O_PATH || (file->flags & O_ACCMODE) == O_RDONLY)
		return fail(EBADF);
	node = file->node;
	if (S_ISCHR(node->mode))
		return !strcmp(node->name, DEVICE_FULL) ? fail(ENOSPC) : (ssize_t)len;
	if (file->flags & O_APPEND)
		at = (off_t)node->size;
	if (at < 0)
		return fail(EINVAL);
	if (len > FILE_SIZE_MAX ||
	    ((uint64_t)at + len > node->size && !set_size(node, (uint64_t)at + len)))
		return fail(ENOSPC);
	if (len) {
		memcpy(node->data + at, buf, len);
		mark(node, (size_t)at / PAGE, ((size_t)at + len - 1) / PAGE + 1, true);
	}
	return (ssize_t)len;
}

ssize_t system_read(int fd, void *buf, size_t len)
{
	struct opened *file = of_fd(fd);
	ssize_t got;

	if (!is_ours(fd))
		return __real_read(fd, buf, len);
	got = read_at(file, buf, len, file ? file->position : 0);
	if (got > 0)
		file->position += got;
	return got;
}

ssize_t system_write(int fd, const void *buf, size_t len)
{
	struct opened *file = of_fd(fd);
	ssize_t put;

	if (!is_ours(fd))
		return __real_write(fd, buf, len);
	put = write_at(file, buf, len, file ? file->position : 0);
	if (put > 0)
		file->position = file->flags & O_APPEND ? (off_t)file->node->size :
							  file->position + put;
	return put;
}

ssize_t system_pread(int fd, void *buf, size_t len, off_t at)
{
	return is_ours(fd) ? read_at(of_fd(fd), buf, len, at) : __real_pread64(fd, buf, len, at);
}

ssize_t system_pwrite(int fd, const void *buf, size_t len, off_t at)
{
	return is_ours(fd) ? write_at(of_fd(fd), buf, len, at) : __real_pwrite64(fd, buf, len, at);
}

static off_t seek_page(const struct node *node, off_t at, bool written)
{
	const size_t end = pages_of(node->size);
	size_t page = (size_t)at / PAGE;

	if (at < 0 || (uint64_t)at >= node->size)
		return fail(ENXIO);
	while (page < end && is_written(node, page) != written)
		page++;
	if (page == end)
		return written ? fail(ENXIO) : (off_t)node->size;
	return page * PAGE > (size_t)at ? (off_t)(page * PAGE) : at;
}

off_t system_lseek(int fd, off_t at, int whence)
{
	struct opened *file = of_fd(fd);

	if (!is_ours(fd))
		return __real_lseek64(fd, at, whence);
	if (!file || file->flags & O_PATH)
		return fail(EBADF);
	if (whence == SEEK_DATA || whence == SEEK_HOLE)
		at = seek_page(file->node, at, whence == SEEK_DATA);
	else if (whence != SEEK_SET &&
		 __builtin_add_overflow(
			 whence == SEEK_CUR ? file->position : (off_t)file->node->size, at, &at))
		return fail(EOVERFLOW);
	else if (at < 0)
		return fail(EINVAL);
	if (at >= 0)
		file->position = at;
	return at;
}

int system_fallocate(int fd, int mode, off_t at, off_t len)
{
	struct opened *file = of_fd(fd);
	uint64_t end;

	if (!is_ours(fd))
		return __real_fallocate64(fd, mode, at, len);
	if (!file || file->flags & O_PATH || (file->flags & O_ACCMODE) == O_RDONLY)
		return fail(EBADF);
	if (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) || at < 0 || len <= 0)
		return fail(EINVAL);
	end = (uint64_t)at + (uint64_t)len;
	if (end > file->node->size)
		end = file->node->size;
	if ((uint64_t)at < end) {
		memset(file->node->data + at, 0, end - (uint64_t)at);
		mark(file->node, pages_of((size_t)at), end / PAGE, false);
	}
	return 0;
}

int __real_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size)
{
	struct opened *file = of_fd(fd);
	size_t pages;

	if (!is_ours(fd))
		return __real_ftruncate64(fd, size);
	if (!file)
		return fail(EBADF);
	pages = pages_of(file->node->size);
	if (size < 0 || !set_size(file->node, (uint64_t)size))
		return fail(EFBIG);
	mark(file->node, pages_of((size_t)size), pages, false);
	return 0;
}
