// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel fuzzer's calls on fds, tables' above all, and on what is mapped of them. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#define CHILD_SECONDS 30
#define RECENT	      16

static char *maps;	     /* FUZZ_MAPS areas of FUZZ_MAP_SIZE; PROT_NONE where nothing is */
static char *mapped[RECENT]; /* where something was mapped lately */
static u64 page;

void fuzz_file_init(void)
{
	page = (u64)sysconf(_SC_PAGESIZE);
	maps = mmap(NULL, FUZZ_MAPS * FUZZ_MAP_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (maps == MAP_FAILED) {
		perror("tce-kernel-fuzz: mmap");
		exit(2);
	}
}

void *fuzz_map_address(struct fuzz *f)
{
	char *recent = __atomic_load_n(&mapped[fuzz_below(f, RECENT)], __ATOMIC_RELAXED);

	if (recent && !fuzz_one_in(f, 4))
		return recent;
	return maps + fuzz_below(f, FUZZ_MAPS) * FUZZ_MAP_SIZE +
	       fuzz_below(f, FUZZ_MAP_SIZE / page) * page;
}

void *fuzz_address(struct fuzz *f)
{
	switch (fuzz_below(f, 8)) {
	case 0:
		return (void *)fuzz_number(f);
	case 1:
		return (char *)fuzz_map_address(f) + fuzz_below(f, page / 8) * 8;
	case 2:
		return fuzz_guest_memory(f);
	default:
		return f->buffer;
	}
}

u64 *fuzz_entries(struct fuzz *f)
{
	/* As many as most calls write. */
	for (u64 i = fuzz_below(f, 64); i < 64; i++)
		f->buffer[fuzz_one_in(f, 2) ? i : fuzz_below(f, FUZZ_BUFFER / 8)] = fuzz_tce(f);
	return f->buffer;
}

static size_t any_length(struct fuzz *f)
{
	u64 n = fuzz_one_in(f, 3) ? fuzz_below(f, FUZZ_BUFFER + 1) : fuzz_below(f, 64) * 8;

	return fuzz_one_in(f, 10) ? n : n & ~7UL;
}

/* In a table, near its end, or anywhere. */
static off_t any_offset(struct fuzz *f)
{
	u64 size = fuzz_window(FUZZ_LIOBN + fuzz_below(f, FUZZ_LIOBNS)).size * 8;

	switch (fuzz_below(f, 12)) {
	case 0:
		return (off_t)fuzz_number(f);
	case 1:
		return (off_t)fuzz_below(f, size);
	case 2:
	case 3:
		return (off_t)(size - 8 * fuzz_below(f, 4));
	default:
		return (off_t)(fuzz_below(f, size) & ~7UL);
	}
}

static long call_pread(struct fuzz *f)
{
	return pread(fuzz_any_fd(f), fuzz_address(f), any_length(f), any_offset(f));
}

static long call_pwrite(struct fuzz *f)
{
	void *from = fuzz_one_in(f, 4) ? fuzz_address(f) : fuzz_entries(f);

	return pwrite(fuzz_any_fd(f), from, any_length(f), any_offset(f));
}

static long call_read_write(struct fuzz *f)
{
	int fd = fuzz_any_fd(f);
	size_t n = any_length(f);

	if (fuzz_one_in(f, 2))
		return read(fd, fuzz_address(f), n);
	return write(fd, fuzz_entries(f), n);
}

static long call_vectors(struct fuzz *f)
{
	struct iovec iov[4];
	int fd = fuzz_any_fd(f);
	off_t at = any_offset(f);

	for (int i = 0; i < 4; i++)
		iov[i] = (struct iovec){ fuzz_address(f), any_length(f) };
	if (fuzz_one_in(f, 2))
		return preadv(fd, iov, 4, at);
	fuzz_entries(f);
	return pwritev2(fd, iov, 4, at, fuzz_one_in(f, 8) ? (int)fuzz_number(f) : 0);
}

static long call_lseek(struct fuzz *f)
{
	static const int whence[] = { SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE };
	int how = fuzz_one_in(f, 30) ? (int)fuzz_number(f) : whence[fuzz_below(f, 5)];

	return lseek(fuzz_any_fd(f), any_offset(f), how);
}

static long call_fallocate(struct fuzz *f)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	off_t length = fuzz_one_in(f, 4) ? (off_t)fuzz_number(f) : (off_t)any_length(f) * 8;

	if (fuzz_one_in(f, 8))
		mode = (int)fuzz_below(f, 128);
	return fallocate(fuzz_any_fd(f), mode, any_offset(f), length);
}

static long call_file(struct fuzz *f)
{
	int fd = fuzz_any_fd(f);
	struct stat st;

	switch (fuzz_below(f, 9)) {
	case 0:
		return ftruncate(fd, any_offset(f));
	case 1:
		return fchmod(fd, (mode_t)fuzz_below(f, 07777));
	case 2:
		return fchown(fd, 1, 1);
	case 3:
		return fsync(fd);
	case 4:
		return flock(fd, LOCK_NB | (int)fuzz_below(f, 16));
	case 5:
		return fcntl(fd, F_SETFL, (int)fuzz_number(f) & ~O_ASYNC);
	case 6:
		return posix_fadvise(fd, any_offset(f), (off_t)any_length(f),
				     (int)fuzz_below(f, 8)) ?
			       -1 :
			       0;
	case 7:
		return futimens(fd, NULL);
	default:
		return fstat(fd, &st);
	}
}

/* Through a pipe: the kernel's own buffers instead of a process's memory. */
static long call_splice(struct fuzz *f)
{
	int from = fuzz_any_fd(f), to = fuzz_any_fd(f), pipe_fd[2];
	off_t at = any_offset(f), out = any_offset(f);
	size_t n = any_length(f);
	long ret;

	if (fuzz_one_in(f, 3))
		return copy_file_range(from, &at, to, &out, n, 0);
	if (pipe2(pipe_fd, O_NONBLOCK | O_CLOEXEC))
		return -1;
	switch (fuzz_below(f, 3)) {
	case 0:
		ret = sendfile(pipe_fd[1], from, &at, n);
		break;
	case 1:
		ret = splice(from, &at, pipe_fd[1], NULL, n, SPLICE_F_NONBLOCK);
		break;
	default:
		ret = vmsplice(pipe_fd[1], &(struct iovec){ fuzz_map_address(f), n }, 1,
			       SPLICE_F_NONBLOCK);
	}
	if (ret > 0)
		splice(pipe_fd[0], NULL, to, &out, n, SPLICE_F_NONBLOCK);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	return ret;
}

static size_t any_map_size(struct fuzz *f, const char *at)
{
	u64 room = FUZZ_MAP_SIZE - (u64)(at - maps) % FUZZ_MAP_SIZE;
	u64 n = 1 + fuzz_below(f, fuzz_one_in(f, 2) ? 3 : 16);

	return n * page < room ? n * page : room;
}

static int any_protection(struct fuzz *f)
{
	return fuzz_one_in(f, 2) ? PROT_READ | PROT_WRITE : (int)fuzz_below(f, 8);
}

/* A third of the mappings are where their offset says, so that neighbours merge. */
static long call_mmap(struct fuzz *f)
{
	char *at = fuzz_map_address(f);
	size_t size = any_map_size(f, at);
	int flags = MAP_FIXED | (fuzz_one_in(f, 5) ? MAP_PRIVATE : MAP_SHARED);
	off_t offset = any_offset(f) & ~((off_t)page - 1);

	if (fuzz_one_in(f, 3))
		offset = 0;
	else if (fuzz_one_in(f, 2))
		offset = (off_t)((u64)(at - maps) % FUZZ_MAP_SIZE);
	if (fuzz_one_in(f, 8))
		flags |= MAP_POPULATE;
	if (fuzz_one_in(f, 16))
		flags |= MAP_LOCKED;
	if (mmap(at, size, any_protection(f), flags, fuzz_any_fd(f), offset) == MAP_FAILED)
		return -1;
	__atomic_store_n(&mapped[fuzz_below(f, RECENT)], at, __ATOMIC_RELAXED);
	return 0;
}

static long call_munmap(struct fuzz *f)
{
	char *at = fuzz_map_address(f);

	/* The addresses stay ours. */
	return mmap(at, any_map_size(f, at), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0) == MAP_FAILED ?
		       -1 :
		       0;
}

static long call_mremap(struct fuzz *f)
{
	char *at = fuzz_map_address(f), *to = fuzz_map_address(f);
	size_t size = any_map_size(f, at);
	void *moved = mremap(at, size, any_map_size(f, to), MREMAP_MAYMOVE | MREMAP_FIXED, to);

	if (moved == MAP_FAILED)
		return -1;
	/* What was left is free: take it back, unless another thread has. */
	mmap(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	return 0;
}

static long call_mprotect(struct fuzz *f)
{
	char *at = fuzz_map_address(f);

	return mprotect(at, any_map_size(f, at), any_protection(f));
}

static long call_madvise(struct fuzz *f)
{
	char *at = fuzz_map_address(f);

	return madvise(at, any_map_size(f, at), (int)fuzz_below(f, 26));
}

static long call_memory(struct fuzz *f)
{
	char *at = fuzz_map_address(f);
	size_t size = any_map_size(f, at);
	unsigned char present[FUZZ_MAP_SIZE / 4096];
	struct iovec local = { f->buffer, size < FUZZ_BUFFER ? size : FUZZ_BUFFER };
	struct iovec remote = { at, size };

	switch (fuzz_below(f, 6)) {
	case 0:
		return msync(at, size, MS_SYNC);
	case 1:
		return mlock(at, size);
	case 2:
		return munlock(at, size);
	case 3:
		return mincore(at, size, present);
	case 4:
		return process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
	default:
		fuzz_entries(f);
		return process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
	}
}

static long call_load(struct fuzz *f)
{
	const volatile u64 *at = fuzz_map_address(f);

	for (int i = 0; i < 8; i++)
		(void)at[fuzz_below(f, page / 8)];
	return 0;
}

static long call_store(struct fuzz *f)
{
	volatile u64 *at = fuzz_map_address(f);

	for (int i = 0; i < 8; i++)
		at[fuzz_below(f, page / 8)] = fuzz_tce(f);
	return 0;
}

static long call_dup(struct fuzz *f)
{
	static const enum fuzz_kind kinds[] = { FUZZ_TABLE, FUZZ_VIEW, FUZZ_DEVICE };
	enum fuzz_kind kind = kinds[fuzz_below(f, 3)];

	return fuzz_keep(f, kind, fcntl(fuzz_fd(f, kind), F_DUPFD_CLOEXEC, 10));
}

/* VMs and vCPUs are closed by those that take their places. */
static long call_close(struct fuzz *f)
{
	static const enum fuzz_kind kinds[] = { FUZZ_TABLE, FUZZ_VIEW, FUZZ_DEVICE, FUZZ_OTHER };
	enum fuzz_kind kind = kinds[fuzz_below(f, 4)];
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return fuzz_keep(f, kind, null);
}

static long read_all(const char *path)
{
	char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	long n, all = 0;

	if (fd < 0)
		return -1;
	while ((n = read(fd, text, sizeof(text))) > 0)
		all += n;
	close(fd);
	return n < 0 ? -1 : all;
}

static long call_fdinfo(struct fuzz *f)
{
	char path[64];

	if (fuzz_one_in(f, 20))
		return read_all(fuzz_one_in(f, 2) ? "/proc/self/maps" :
						    "/sys/kernel/debug/kvm/tce_fast");
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fuzz_any_fd(f));
	return read_all(path);
}

/* The inode itself, by way of /proc: what comes out has no way to the object. */
static long call_open(struct fuzz *f)
{
	static const int flags[] = { O_RDONLY, O_RDWR, O_PATH, O_WRONLY | O_TRUNC };
	u64 at = (u64)fuzz_map_address(f);
	char path[64];

	if (fuzz_one_in(f, 2))
		snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", at,
			 at + any_map_size(f, (char *)at));
	else
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fuzz_any_fd(f));
	return fuzz_keep(f, FUZZ_OTHER,
			 open(path, flags[fuzz_below(f, 4)] | O_NONBLOCK | O_CLOEXEC));
}

/* A child has the fds and copies of the mappings, but not the VMs' memory. */
static long call_fork(struct fuzz *f)
{
	u64 n = 1 + fuzz_below(f, 8);
	int status;
	pid_t pid;

	if (f->forked)
		return -1;
	pid = fork();
	if (!pid) {
		f->forked = true;
		alarm(CHILD_SECONDS);
		while (n--)
			fuzz_call_any(f);
		_exit(0);
	}
	if (pid < 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? 0 : -1;
}

const struct fuzz_call fuzz_file_calls[] = {
	{ "pread", 30, call_pread },
	{ "pwrite", 40, call_pwrite },
	{ "read, write", 12, call_read_write },
	{ "preadv, pwritev", 10, call_vectors },
	{ "lseek", 16, call_lseek },
	{ "fallocate", 20, call_fallocate },
	{ "other file calls", 10, call_file },
	{ "splice, sendfile", 8, call_splice },
	{ "mmap", 40, call_mmap },
	{ "munmap", 12, call_munmap },
	{ "mremap", 8, call_mremap },
	{ "mprotect", 14, call_mprotect },
	{ "madvise", 14, call_madvise },
	{ "msync, mlock, ...", 14, call_memory },
	{ "load", 30, call_load },
	{ "store", 40, call_store },
	{ "dup", 6, call_dup },
	{ "close", 6, call_close },
	{ "fdinfo", 14, call_fdinfo },
	{ "open", 8, call_open },
	{ "fork", 1, call_fork },
	{ NULL, 0, NULL },
};
