/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is below trouble.c: memory and files. The system has them, but where libFuzzer drives:
 * memory.c and files.c have them there, for a system call takes as long as most inputs.
 */
#ifndef TCE_TESTS_FUZZ_SYSTEM_H
#define TCE_TESTS_FUZZ_SYSTEM_H

#include <fcntl.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>
#include <zstd.h>

/* The linker's names for what is linked with --wrap. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *data, size_t size);
void __real_free(void *data);
ZSTD_CCtx *__real_ZSTD_createCCtx(void);
ZSTD_DCtx *__real_ZSTD_createDCtx(void);
size_t __real_ZSTD_freeCCtx(ZSTD_CCtx *compressor);
size_t __real_ZSTD_freeDCtx(ZSTD_DCtx *unpacker);
ssize_t __real_read(int fd, void *buf, size_t len);
ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __real_pread64(int fd, void *buf, size_t len, off_t at);
ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t at);
off_t __real_lseek64(int fd, off_t at, int whence);
int __real_fallocate64(int fd, int mode, off_t at, off_t len);
int __real_open64(const char *path, int flags, ...);

void *system_malloc(size_t size);
void *system_realloc(void *data, size_t size);
ZSTD_CCtx *system_create_compressor(void);
ZSTD_DCtx *system_create_unpacker(void);
ssize_t system_read(int fd, void *buf, size_t len);
ssize_t system_write(int fd, const void *buf, size_t len);
ssize_t system_pread(int fd, void *buf, size_t len, off_t at);
ssize_t system_pwrite(int fd, const void *buf, size_t len, off_t at);
off_t system_lseek(int fd, off_t at, int whence);
int system_fallocate(int fd, int mode, off_t at, off_t len);
int system_open(const char *path, int flags, mode_t mode);

#endif /* TCE_TESTS_FUZZ_SYSTEM_H */
