// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Between a driver and a fuzz target: after a run in which all goes well, some inputs get one in
 * which an allocation or a system call fails. Which one follows from the input.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "fuzz.h"
#include "system.h"
#include "tce.h"

/* One input of so many meets trouble. */
#define TROUBLE_EVERY 8
/* The first places at which an input of the corpus meets it, each in a run of its own. */
#define EVERY_MAX 150

static unsigned long calls, failing;
static bool failed;

bool fails_now(void)
{
	calls++;
	if (calls != failing)
		return false;
	failed = true;
	return true;
}

bool has_failed(void)
{
	return failed;
}

/* Run the target with the call @number failing, if that is not 0. Returns how many there were. */
static unsigned long run(const uint8_t *data, size_t size, unsigned long number)
{
	calls = 0;
	failing = number;
	failed = false;
	fuzz_one(data, size);
	failing = 0;
	return calls;
}

unsigned long fuzz_every_trouble(const uint8_t *data, size_t size)
{
	unsigned long i, total;

	alarm(FUZZ_SECONDS);
	total = run(data, size, 0);
	for (i = 1; i <= total && i <= EVERY_MAX; i++) {
		alarm(FUZZ_SECONDS);
		run(data, size, i);
	}
	return i;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const unsigned long total = run(data, size, 0);
	uint32_t hash = 2166136261;
	size_t i;

	for (i = size < 256 ? 0 : size - 256; i < size; i++)
		hash = (hash ^ data[i]) * 16777619;
	if (total && hash % TROUBLE_EVERY == 0)
		run(data, size, 1 + hash / TROUBLE_EVERY % total);
	return 0;
}

/* What system calls say when they fail: half of them are to be called again. */
static bool call_fails(void)
{
	const bool again = calls % 2;

	if (!fails_now())
		return false;
	errno = again ? EINTR : EIO;
	return true;
}

static ssize_t bytes_read(void *ctx, void *buf, size_t len)
{
	struct fuzz_bytes *bytes = ctx;

	if (fails_now())
		return -EIO;
	if (len > bytes->size)
		len = bytes->size;
	memcpy(buf, bytes->data, len);
	bytes->data += len;
	bytes->size -= len;
	return (ssize_t)len;
}

struct tce_source bytes_source(struct fuzz_bytes *bytes)
{
	return (struct tce_source){ .read = bytes_read, .ctx = bytes };
}

void check_status(int ret, const struct tce_error *err)
{
	char line[600], word[8];

	if (ret >= 0)
		return;
	if (err->code != ret || !tce_format_error(err, line, sizeof(line))[0] ||
	    !tce_strerror(ret)[0])
		abort();
	/* Every status has a text, and every text fits. */
	if (calls % 4)
		return;
	if (!tce_strerror(-(int)(calls % 32))[0])
		abort();
	tce_format_error(err, word, sizeof(word));
	if (strlen(word) >= sizeof(word))
		abort();
}

/* What is linked with --wrap, as in the unit tests. */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
ZSTD_CCtx *__wrap_ZSTD_createCCtx(void);
ZSTD_DCtx *__wrap_ZSTD_createDCtx(void);
XXH3_state_t *__real_XXH3_createState(void);
XXH3_state_t *__wrap_XXH3_createState(void);

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : system_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails_now() ? NULL : system_realloc(p, size);
}

ZSTD_CCtx *__wrap_ZSTD_createCCtx(void)
{
	return fails_now() ? NULL : system_create_compressor();
}

ZSTD_DCtx *__wrap_ZSTD_createDCtx(void)
{
	return fails_now() ? NULL : system_create_unpacker();
}

XXH3_state_t *__wrap_XXH3_createState(void)
{
	return fails_now() ? NULL : __real_XXH3_createState();
}

ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at);
off_t __wrap_lseek64(int fd, off_t at, int whence);
int __wrap_fallocate64(int fd, int mode, off_t at, off_t len);
int __wrap_open64(const char *path, int flags, mode_t mode);

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
	return call_fails() ? -1 : system_read(fd, buf, len);
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	return call_fails() ? -1 : system_write(fd, buf, len);
}

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t at)
{
	return call_fails() ? -1 : system_pread(fd, buf, len, at);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at)
{
	return call_fails() ? -1 : system_pwrite(fd, buf, len, at);
}

off_t __wrap_lseek64(int fd, off_t at, int whence)
{
	if (!fails_now())
		return system_lseek(fd, at, whence);
	/* What a file system without holes says. */
	errno = whence == SEEK_DATA && calls % 2 ? EINVAL : EIO;
	return -1;
}

int __wrap_fallocate64(int fd, int mode, off_t at, off_t len)
{
	if (!fails_now())
		return system_fallocate(fd, mode, at, len);
	errno = calls % 2 ? EOPNOTSUPP : EIO;
	return -1;
}

int __wrap_open64(const char *path, int flags, mode_t mode)
{
	/* begin_program() ends the program when it can't have that */
	if (!(flags & O_PATH) && call_fails())
		return -1;
	return system_open(path, flags, mode);
}

void fuzz_put_file(int fd, const void *data, size_t size)
{
	if (ftruncate(fd, 0) || system_pwrite(fd, data, size, 0) != (ssize_t)size ||
	    system_lseek(fd, 0, SEEK_SET))
		abort();
}
