// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded into a tool, lets one of its system calls, or one allocation, fail: the one that
 * FAULT_AT counts, from 1 on. FAULT_MARK names a file that is made when it has come to that. With
 * FAULT_SHORT nothing fails: calls that may do less than they were asked to, or be interrupted, do
 * and are. With FAULT_NO_PROC no link to what is below /proc can be made; with FAULT_NO_TMPFILE
 * the file system has no files without a name.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* With FAULT_SHORT: the most bytes that a call transfers. */
#define SHORT_MAX 4093

static long calls, fail_at = -1;
static int short_calls, interrupt;

static void __attribute__((constructor)) begin(void)
{
	const char *at = getenv("FAULT_AT");

	fail_at = at ? atol(at) : 0;
	short_calls = getenv("FAULT_SHORT") != NULL;
	/* Not the tool's own calls. */
	calls = 0;
}

/* Is this the call that fails? The constructor has not run yet when the loader allocates. */
static int fails(int sys_errno, const char *what)
{
	const char *mark;
	int fd;

	if (fail_at <= 0 || ++calls != fail_at)
		return 0;
	mark = getenv("FAULT_MARK");
	if (mark) {
		fd = (int)syscall(SYS_openat, AT_FDCWD, mark, O_WRONLY | O_CREAT, 0600);
		if (fd >= 0) {
			(void)!syscall(SYS_write, fd, what, __builtin_strlen(what));
			syscall(SYS_close, fd);
		}
	}
	errno = sys_errno;
	return 1;
}

/* Every other call that may be interrupted is. */
static int interrupted(void)
{
	if (!short_calls || (interrupt ^= 1))
		return 0;
	errno = EINTR;
	return 1;
}

static size_t shorten(size_t len)
{
	return short_calls && len > SHORT_MAX ? SHORT_MAX : len;
}

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

#define FAILING(result, name, params, args, sys_errno, failure) \
	result name params;                                     \
	result name params                                      \
	{                                                       \
		static result(*next) params;                    \
                                                                \
		if (!next)                                      \
			next = NEXT(result(*) params, #name);   \
		if (fails(sys_errno, #name))                    \
			return failure;                         \
		return next args;                               \
	}

FAILING(int, close, (int fd), (fd), EIO, (syscall(SYS_close, fd), errno = EIO, -1))
FAILING(int, fsync, (int fd), (fd), EIO, -1)
FAILING(int, fchmod, (int fd, mode_t mode), (fd, mode), EPERM, -1)
FAILING(int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), EPERM, -1)
FAILING(ssize_t, getxattr, (const char *path, const char *name, void *list, size_t size),
	(path, name, list, size), EIO, -1)
FAILING(int, fsetxattr, (int fd, const char *name, const void *list, size_t size, int flags),
	(fd, name, list, size, flags), ENOSPC, -1)
FAILING(int, fstat64, (int fd, struct stat64 *st), (fd, st), EIO, -1)
FAILING(int, stat64, (const char *path, struct stat64 *st), (path, st), EIO, -1)
FAILING(int, lstat64, (const char *path, struct stat64 *st), (path, st), EIO, -1)
FAILING(off64_t, lseek64, (int fd, off64_t offset, int whence), (fd, offset, whence), EIO, -1)
FAILING(int, fallocate64, (int fd, int mode, off64_t offset, off64_t len), (fd, mode, offset, len),
	EIO, -1)
FAILING(int, renameat, (int from, const char *old, int to, const char *new), (from, old, to, new),
	EIO, -1)
FAILING(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags), EIO, -1)
FAILING(ssize_t, readlink, (const char *path, char *buf, size_t len), (path, buf, len), EIO, -1)
FAILING(ssize_t, readlinkat, (int dir, const char *path, char *buf, size_t len),
	(dir, path, buf, len), EIO, -1)
FAILING(char *, realpath, (const char *path, char *buf), (path, buf), EIO, NULL)
FAILING(ssize_t, getrandom, (void *buf, size_t len, unsigned int flags), (buf, len, flags), ENOSYS,
	-1)
FAILING(int, memfd_create, (const char *name, unsigned int flags), (name, flags), EMFILE, -1)
FAILING(int, pipe2, (int fds[2], int flags), (fds, flags), EMFILE, -1)
FAILING(int, socketpair, (int domain, int type, int protocol, int fds[2]),
	(domain, type, protocol, fds), EMFILE, -1)
FAILING(ssize_t, send, (int fd, const void *buf, size_t len, int flags), (fd, buf, len, flags),
	EPIPE, -1)
FAILING(DIR *, opendir, (const char *path), (path), EMFILE, NULL)
FAILING(struct dirent64 *, readdir64, (DIR * dir), (dir), EIO, NULL)
FAILING(FILE *, fopen64, (const char *path, const char *mode), (path, mode), EMFILE, NULL)
FAILING(void *, mmap64, (void *at, size_t len, int prot, int flags, int fd, off64_t offset),
	(at, len, prot, flags, fd, offset), ENOMEM, MAP_FAILED)

/* With FAULT_NO_PROC there is nothing below /proc to be linked. */
int linkat(int from, const char *old, int to, const char *new, int flags)
{
	if (fails(EMLINK, "linkat"))
		return -1;
	if (getenv("FAULT_NO_PROC") && !strncmp(old, "/proc/", 6)) {
		errno = ENOENT;
		return -1;
	}
	return (int)syscall(SYS_linkat, from, old, to, new, flags);
}

pid_t fork(void)
{
	pid_t pid;

	if (fails(EAGAIN, "fork"))
		return -1;
	pid = NEXT(pid_t(*)(void), "fork")();
	/* One failure only: not another one in the child. */
	if (!pid)
		fail_at = 0;
	return pid;
}

ssize_t read(int fd, void *buf, size_t len)
{
	if (fails(EIO, "read") || interrupted())
		return -1;
	return syscall(SYS_read, fd, buf, shorten(len));
}

ssize_t write(int fd, const void *buf, size_t len)
{
	if (fails(ENOSPC, "write") || interrupted())
		return -1;
	return syscall(SYS_write, fd, buf, shorten(len));
}

ssize_t pread64(int fd, void *buf, size_t len, off64_t offset)
{
	if (fails(EIO, "pread") || interrupted())
		return -1;
	return syscall(SYS_pread64, fd, buf, shorten(len), offset);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
	if (fails(ENOSPC, "pwrite") || interrupted())
		return -1;
	return syscall(SYS_pwrite64, fd, buf, shorten(len), offset);
}

/* Asked for what the file system does not have? */
static int refused(int flags)
{
	if ((flags & O_TMPFILE) != O_TMPFILE || !getenv("FAULT_NO_TMPFILE"))
		return 0;
	errno = EOPNOTSUPP;
	return 1;
}

int open64(const char *path, int flags, ...)
{
	va_list args;
	int mode;

	va_start(args, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;
	va_end(args);
	if (fails(EMFILE, "open") || refused(flags))
		return -1;
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
	va_list args;
	int mode;

	va_start(args, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;
	va_end(args);
	if (fails(EMFILE, "openat") || refused(flags))
		return -1;
	return (int)syscall(SYS_openat, dir, path, flags, mode);
}

int fcntl64(int fd, int command, ...)
{
	va_list args;
	long value;

	va_start(args, command);
	value = va_arg(args, long);
	va_end(args);
	return fails(EMFILE, "fcntl") ? -1 : (int)syscall(SYS_fcntl, fd, command, value);
}

#ifdef FAULT_MEMORY
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
	return fails(ENOMEM, "malloc") ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails(ENOMEM, "calloc") ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return fails(ENOMEM, "realloc") ? NULL : __libc_realloc(old, size);
}
#endif
