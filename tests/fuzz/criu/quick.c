// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where libFuzzer drives the target for the plugin's images: files, mappings, sockets and what
 * /proc tells of a process are in memory, for nearly all of the time would go into system calls.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "../files.h"

/* What is mapped to be read is zero. */
#define ZEROS_SIZE (4 << 20)

static const uint8_t zeros[ZEROS_SIZE];

void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return system_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *data, size_t size);
void *__wrap_realloc(void *data, size_t size)
{
	return system_realloc(data, size);
}

ZSTD_CCtx *__wrap_ZSTD_createCCtx(void);
ZSTD_CCtx *__wrap_ZSTD_createCCtx(void)
{
	return system_create_compressor();
}

ZSTD_DCtx *__wrap_ZSTD_createDCtx(void);
ZSTD_DCtx *__wrap_ZSTD_createDCtx(void)
{
	return system_create_unpacker();
}

XXH3_state_t *__real_XXH3_createState(void);
XXH3_state_t *__wrap_XXH3_createState(void);
XXH3_state_t *__wrap_XXH3_createState(void)
{
	return __real_XXH3_createState();
}

ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __wrap_read(int fd, void *buf, size_t len)
{
	return system_read(fd, buf, len);
}

ssize_t __wrap_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	return system_write(fd, buf, len);
}

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t at);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t at)
{
	return system_pread(fd, buf, len, at);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at)
{
	return system_pwrite(fd, buf, len, at);
}

off_t __wrap_lseek64(int fd, off_t at, int whence);
off_t __wrap_lseek64(int fd, off_t at, int whence)
{
	return system_lseek(fd, at, whence);
}

int __wrap_fallocate64(int fd, int mode, off_t at, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t at, off_t len)
{
	return system_fallocate(fd, mode, at, len);
}

/* ---- mappings: as large as was asked for, so that a sanitizer sees what is past them ---- */

void *__real_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	struct opened *file = of_fd(fd);

	if (!is_ours(fd))
		return __real_mmap64(at, len, prot, flags, fd, offset);
	errno = EINVAL;
	if (!file || !len)
		return MAP_FAILED;
	if (!(prot & PROT_WRITE))
		return len <= ZEROS_SIZE ?
			       (void *)(uintptr_t)zeros :
			       __real_mmap64(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* A process that writes past a file's end would be killed. */
	if (len > (file->node->size + PAGE - 1) / PAGE * PAGE)
		abort();
	return __real_calloc(1, len);
}

int __real_munmap(void *map, size_t len);
int __wrap_munmap(void *map, size_t len);
int __wrap_munmap(void *map, size_t len)
{
	if (map == zeros)
		return 0;
	if (len > ZEROS_SIZE)
		return __real_munmap(map, len);
	__real_free(map);
	return 0;
}

/* ---- sockets that nobody uses ---- */

static int open_socket(void)
{
	return open_node(new_node("", S_IFSOCK | 0600), O_RDWR);
}

int __wrap_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol)
{
	return open_socket();
}

int __wrap_socketpair(int domain, int type, int protocol, int pair[2]);
int __wrap_socketpair(int domain, int type, int protocol, int pair[2])
{
	pair[0] = open_socket();
	pair[1] = open_socket();
	return pair[1] < 0 ? -1 : 0;
}

/* ---- /proc: the process has one thread, and takes any number ---- */

FILE *__wrap_fdopen(int fd, const char *mode);
FILE *__real_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode)
{
	if (strstr(path, "/timerslack_ns"))
		return __wrap_fdopen(system_open("/dev/null", O_RDWR, 0), mode);
	return __real_fopen64(path, mode);
}

/* The folder of the images stays open. */
int __wrap_close_range(unsigned int first, unsigned int last, int flags);
int __wrap_close_range(unsigned int first, unsigned int last, int flags)
{
	unsigned int fd;

	for (fd = FIRST_FD; fd < FIRST_FD + FDS_MAX && fd <= last; fd++) {
		struct opened *file = fd < first ? NULL : of_fd((int)fd);

		if (file && !S_ISDIR(file->node->mode))
			__wrap_close((int)fd);
	}
	return 0;
}
