// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * For a target that libFuzzer drives: what is asked of files in memory by their names, folders, and
 * streams of stdio on them.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "files.h"

static int tell(const struct node *node, struct stat *st)
{
	if (!node)
		return fail(ENOENT);
	*st = (struct stat){
		.st_mode = node->mode,
		.st_size = (off_t)node->size,
		.st_ino = 1 + (ino_t)(node - nodes),
		.st_nlink = node->name[0] != '\0',
		.st_blksize = PAGE,
	};
	return 0;
}

int __wrap_stat64(const char *path, struct stat *st);
int __wrap_stat64(const char *path, struct stat *st)
{
	return tell(find_node(path), st);
}

int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st)
{
	struct opened *file = of_fd(fd);

	if (!is_ours(fd))
		return __real_fstat64(fd, st);
	return file ? tell(file->node, st) : fail(EBADF);
}

int __wrap_fstatat64(int folder, const char *name, struct stat *st, int flags);
int __wrap_fstatat64(int folder, const char *name, struct stat *st, int flags)
{
	char path[NAME_SIZE];

	return tell(find_node(join(path, folder, name)), st);
}

int __wrap_faccessat(int folder, const char *name, int mode, int flags);
int __wrap_faccessat(int folder, const char *name, int mode, int flags)
{
	char path[NAME_SIZE];

	return find_node(join(path, folder, name)) ? 0 : fail(ENOENT);
}

/* There are no links but those of fds. */
ssize_t __wrap_readlink(const char *path, char *link, size_t size);
ssize_t __wrap_readlink(const char *path, char *link, size_t size)
{
	const struct node *node = find_node(path);
	char text[NAME_SIZE];

	if (!node || strncmp(path, PROC_FD, strlen(PROC_FD)))
		return fail(node ? EINVAL : ENOENT);
	snprintf(text, sizeof(text), "%s", node->name[0] ? node->name : "/memfd:file (deleted)");
	if (size > strlen(text))
		size = strlen(text);
	memcpy(link, text, size);
	return (ssize_t)size;
}

int __wrap_unlinkat(int folder, const char *name, int flags);
int __wrap_unlinkat(int folder, const char *name, int flags)
{
	char path[NAME_SIZE];

	return unlink_node(join(path, folder, name));
}

/* The fuzzer's own files are real ones. */
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
	return find_node(path) ? unlink_node(path) : __real_unlink(path);
}

int __wrap_rmdir(const char *path);
int __wrap_rmdir(const char *path)
{
	return unlink_node(path);
}

char *__wrap_mkdtemp(char *path);
char *__wrap_mkdtemp(char *path)
{
	return new_node(path, S_IFDIR | 0700) ? path : NULL;
}

int __wrap_linkat(int from, const char *path, int folder, const char *name, int flags);
int __wrap_linkat(int from, const char *path, int folder, const char *name, int flags)
{
	struct node *node = find_node(path);
	char there[NAME_SIZE];

	if (!node)
		return fail(ENOENT);
	snprintf(node->name, sizeof(node->name), "%s", join(there, folder, name));
	return 0;
}

/* What is committed has been seen: nothing of it stays. */
int __wrap_renameat(int from, const char *name, int to, const char *other);
int __wrap_renameat(int from, const char *name, int to, const char *other)
{
	char path[NAME_SIZE];

	return unlink_node(join(path, from, name));
}

int __real_isatty(int fd);
int __wrap_isatty(int fd);
int __wrap_isatty(int fd)
{
	return is_ours(fd) ? 0 : __real_isatty(fd);
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	return of_fd(fd) ? 0 : fail(EBADF);
}

/* ---- folders ---- */

#define FOLDERS_MAX 8

/* What a DIR points to, for a folder in memory. That of the process's fds has a path of its own. */
struct folder {
	bool open;
	int fd;
	char path[NAME_SIZE];
	size_t next;
	struct dirent entry;
};

static struct folder folders[FOLDERS_MAX];

static DIR *open_folder(const struct node *node, int fd)
{
	struct folder *folder = folders;

	if (!node || !S_ISDIR(node->mode)) {
		errno = node ? ENOTDIR : ENOENT;
		return NULL;
	}
	while (folder->open)
		folder++;
	if (folder == folders + FOLDERS_MAX)
		abort();
	folder->open = true;
	folder->fd = fd;
	folder->next = 0;
	snprintf(folder->path, sizeof(folder->path), "%.*s/", NAME_SIZE - 2, node->name);
	return (DIR *)folder;
}

static struct folder *of_dir(DIR *dir)
{
	struct folder *folder = (struct folder *)dir;

	return folder >= folders && folder < folders + FOLDERS_MAX ? folder : NULL;
}

/* Folders of /proc: of fds, and of threads, where only the process itself is. */
static const struct node fds_node = { .mode = S_IFDIR, .name = "/proc/self/fd" };
static const struct node threads_node = { .mode = S_IFDIR, .name = "/proc/self/task" };

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
	const struct node *node = find_node(path);

	if (!strcmp(path, fds_node.name))
		node = &fds_node;
	else if (!strncmp(path, "/proc/", 6) && strstr(path, "/task"))
		node = &threads_node;

	return node ? open_folder(node, -1) : __real_opendir(path);
}

DIR *__wrap_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd)
{
	struct opened *file = of_fd(fd);

	return open_folder(file ? file->node : NULL, fd);
}

static struct dirent *next_number(struct folder *folder, bool threads)
{
	size_t number = threads ? (size_t)getpid() : FIRST_FD + folder->next;

	while (!threads && number < FIRST_FD + FDS_MAX && !of_fd((int)number))
		number++;
	if (threads ? folder->next : number >= FIRST_FD + FDS_MAX)
		return NULL;
	folder->next = threads ? 1 : number + 1 - FIRST_FD;
	snprintf(folder->entry.d_name, sizeof(folder->entry.d_name), "%zu", number);
	return &folder->entry;
}

struct dirent *__real_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir)
{
	struct folder *folder = of_dir(dir);
	size_t len;

	if (!folder)
		return __real_readdir64(dir);
	if (!strncmp(folder->path, "/proc/", 6))
		return next_number(folder, strstr(folder->path, "/task"));
	for (len = strlen(folder->path); folder->next < NODES_MAX;) {
		const struct node *node = &nodes[folder->next++];

		if (!node->mode || strncmp(node->name, folder->path, len) || !node->name[len])
			continue;
		snprintf(folder->entry.d_name, sizeof(folder->entry.d_name), "%s",
			 node->name + len);
		return &folder->entry;
	}
	return NULL;
}

int __real_closedir(DIR *dir);
int __wrap_closedir(DIR *dir);
int __wrap_closedir(DIR *dir)
{
	struct folder *folder = of_dir(dir);

	if (!folder)
		return __real_closedir(dir);
	folder->open = false;
	return folder->fd >= 0 ? __wrap_close(folder->fd) : 0;
}

/* ---- streams ---- */

static ssize_t cookie_read(void *cookie, char *buf, size_t len)
{
	return system_read((int)(intptr_t)cookie, buf, len);
}

static ssize_t cookie_write(void *cookie, const char *buf, size_t len)
{
	const ssize_t put = system_write((int)(intptr_t)cookie, buf, len);

	return put < 0 ? 0 : put;
}

static int cookie_seek(void *cookie, off_t *at, int whence)
{
	*at = system_lseek((int)(intptr_t)cookie, *at, whence);
	return *at < 0 ? -1 : 0;
}

static int cookie_close(void *cookie)
{
	return __wrap_close((int)(intptr_t)cookie);
}

FILE *__real_fdopen(int fd, const char *mode);
FILE *__wrap_fdopen(int fd, const char *mode);
FILE *__wrap_fdopen(int fd, const char *mode)
{
	static const cookie_io_functions_t calls = {
		cookie_read,
		cookie_write,
		cookie_seek,
		cookie_close,
	};

	return is_ours(fd) ? fopencookie((void *)(intptr_t)fd, mode, calls) :
			     __real_fdopen(fd, mode);
}
