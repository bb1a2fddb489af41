// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory and files of the system, for the targets of driver.c.
 */
#include "system.h"

void *system_malloc(size_t size)
{
	return __real_malloc(size);
}

void *system_realloc(void *data, size_t size)
{
	return __real_realloc(data, size);
}

ZSTD_CCtx *system_create_compressor(void)
{
	return __real_ZSTD_createCCtx();
}

ZSTD_DCtx *system_create_unpacker(void)
{
	return __real_ZSTD_createDCtx();
}

ssize_t system_read(int fd, void *buf, size_t len)
{
	return __real_read(fd, buf, len);
}

ssize_t system_write(int fd, const void *buf, size_t len)
{
	return __real_write(fd, buf, len);
}

ssize_t system_pread(int fd, void *buf, size_t len, off_t at)
{
	return __real_pread64(fd, buf, len, at);
}

ssize_t system_pwrite(int fd, const void *buf, size_t len, off_t at)
{
	return __real_pwrite64(fd, buf, len, at);
}

off_t system_lseek(int fd, off_t at, int whence)
{
	return __real_lseek64(fd, at, whence);
}

int system_fallocate(int fd, int mode, off_t at, off_t len)
{
	return __real_fallocate64(fd, mode, at, len);
}

int system_open(const char *path, int flags, mode_t mode)
{
	return __real_open64(path, flags, mode);
}
