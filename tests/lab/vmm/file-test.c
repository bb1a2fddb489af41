// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-file-test: a table fd is a file of host-endian u64s. Every rule of that file interface that
 * api.rst states is tried here, its errors first, on tables of several geometries. One line a
 * check, for the lab's scenarios.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tce-kvm.h"

#include "check.h"
#include "kvm-abi.h"
#include "vm.h"

#define MAPPED(gpa)	   ((u64)(gpa) | 3)
#define POISON		   0xdeadbeef0000f00cUL /* no permission bits */
#define OUTSIDE		   (1UL << 40)		/* an address that no memory slot has */
#define COMPLETE_MMIO_LOAD 1			/* KVM_PPC_COMPLETE_MMIO_LOAD */

static struct vm *vm;
static u64 page_entries;		   /* entries in a host page */
static void *volatile nowhere = (void *)8; /* an address that nothing is at */

static struct table *make(u64 liobn, u64 shift, u64 offset, u64 entries)
{
	int ret = table_create(vm, liobn, shift, offset, entries);

	if (ret)
		die("KVM_CREATE_SPAPR_TCE_64(%#lx, %lu, %#lx, %lu): %s", liobn, shift, offset,
		    entries, strerror(-ret));
	return table_find(vm, liobn);
}

static long put(const struct table *t, u64 index, u64 tce)
{
	return pwrite(t->fd, &tce, 8, (off_t)(index * 8));
}

/* Its value, or a value that no test writes when it can't be read. */
static u64 at(const struct table *t, u64 index)
{
	u64 tce = 0x5a5a5a5a5a5a5a58UL;

	return pread(t->fd, &tce, 8, (off_t)(index * 8)) == 8 ? tce : 0x5a5a5a5a5a5a5a5cUL;
}

/* The value of a line of the table's fdinfo. */
static bool fdinfo(const struct table *t, const char *key, char *value, size_t size)
{
	char path[64], line[256];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", t->fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		char *tab = strchr(line, '\t');

		if (tab && !strncmp(line, key, strlen(key)) && line[strlen(key)] == ':') {
			snprintf(value, size, "%.*s", (int)strcspn(tab + 1, "\n"), tab + 1);
			found = true;
		}
	}
	if (f)
		fclose(f);
	return found;
}

static void fdinfo_is(const struct table *t, const char *key, const char *want, const char *name)
{
	char got[128] = "(no such line)";

	fdinfo(t, key, got, sizeof(got));
	check(!strcmp(got, want), name, "%s is %s, not %s", key, got, want);
}

static u64 allocated(const struct table *t)
{
	char value[64];

	return fdinfo(t, "tce-allocated-pages", value, sizeof(value)) ? strtoul(value, NULL, 0) :
									(u64)-1;
}

static void pages_are(const struct table *t, u64 want, const char *name)
{
	u64 got = allocated(t);
	struct stat st;

	fstat(t->fd, &st);
	check(got == want && (u64)st.st_blocks == want * page_entries * 8 / 512, name,
	      "%lu pages (%ld blocks) are allocated, not %lu", got, (long)st.st_blocks, want);
}

static void test_create(void)
{
	struct table *t = make(0x1000, 12, 0, 512);

	gives(table_create(vm, 0x1001, 12, 0, 0), -EINVAL, "create: no entries is EINVAL");
	gives(table_create(vm, 0x1001, 11, 0, 512), -EINVAL, "create: page shift 11 is EINVAL");
	gives(table_create(vm, 0x1001, 35, 0, 512), -EINVAL, "create: page shift 35 is EINVAL");
	gives(table_create(vm, 0x1001, 12, (u64)-1, 2), -EINVAL,
	      "create: a window that wraps is EINVAL");
	gives(table_create(vm, 0x1001, 12, 1UL << 52, 1), -EINVAL,
	      "create: a window past the bus is EINVAL");
	gives(table_create(vm, 0x1000, 12, 0, 512), -EBUSY, "create: a LIOBN in use is EBUSY");
	table_close(t);
	t = make(0x1000, 12, 0, 512);
	check(at(t, 0) == 0, "create: a closed table's LIOBN can be used again", "it holds %#lx",
	      at(t, 0));
	table_close(t);
}

/* The inode can be opened, so that CRIU learns what is mapped, but what comes out is no table. */
static void test_second_open(const char *path)
{
	int fd = open(path, O_RDWR);
	u64 tce = 0;

	check(fd >= 0, "link: can be opened", "%s", strerror(errno));
	check(read(fd, &tce, 8) < 0 && write(fd, &tce, 8) < 0,
	      "link: ... but gives no access to the table", "a read or a write went through");
	fails(ioctl(fd, KVM_SPAPR_TCE_START_DIRTY_LOG), ENOTTY, "link: ... nor to its dirty log");
	check(mmap(NULL, page_entries * 8, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED,
	      "link: ... nor to its pages", "mmap succeeded");
	close(fd);
}

static void test_identity(void)
{
	static const struct {
		u64 liobn, shift, offset, entries;
		const char *bus_offset;
	} geometry[] = {
		{ 0x80000000, 12, 0, 262144, "0x0" },
		{ 0x80000001, 16, 0x80000000000, 9001, "0x800000000000000" },
		{ 0x7fffffffffffffff, 24, 3, 1, "0x3000000" },
		{ 0x12, 34, 1, 64, "0x400000000" },
	};
	char link[64], want[64], path[64], line[512];
	struct stat st[4];
	struct table *t;

	for (int i = 0; i < 4; i++) {
		char liobn[32], shift[32], entries[32];
		ssize_t n;

		t = make(geometry[i].liobn, geometry[i].shift, geometry[i].offset,
			 geometry[i].entries);
		snprintf(liobn, sizeof(liobn), "0x%lx", t->liobn);
		snprintf(shift, sizeof(shift), "%lu", t->page_shift);
		snprintf(entries, sizeof(entries), "%lu", t->entries);
		fdinfo_is(t, "tce-liobn", liobn, "fdinfo: LIOBN");
		fdinfo_is(t, "tce-page-shift", shift, "fdinfo: page shift");
		fdinfo_is(t, "tce-bus-offset", geometry[i].bus_offset,
			  "fdinfo: bus offset in bytes");
		fdinfo_is(t, "tce-entries", entries, "fdinfo: entries");
		fdinfo_is(t, "tce-allocated-pages", "0", "fdinfo: a new table has no page");
		fdinfo_is(t, "tce-hw-tables", "0", "fdinfo: no hardware table");

		fstat(t->fd, &st[i]);
		check(S_ISREG(st[i].st_mode) && (u64)st[i].st_size == t->entries * 8,
		      "stat: a regular file of 8 bytes an entry", "mode %#o, size %ld",
		      st[i].st_mode, (long)st[i].st_size);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", t->fd);
		n = readlink(path, link, sizeof(link) - 1);
		link[n < 0 ? 0 : n] = '\0';
		snprintf(want, sizeof(want), "anon_inode:kvm-tce:%lx", t->liobn);
		check(!strcmp(link, want), "link: names the table by its LIOBN", "%s, not %s", link,
		      want);
		test_second_open(path);
	}
	check(st[0].st_ino != st[1].st_ino && st[1].st_ino != st[2].st_ino &&
		      st[0].st_ino != st[3].st_ino,
	      "stat: each table has an inode of its own", "%lu %lu %lu %lu", (u64)st[0].st_ino,
	      (u64)st[1].st_ino, (u64)st[2].st_ino, (u64)st[3].st_ino);

	for (int i = 0; i < 2; i++) {
		bool found = false;
		u64 inode;
		FILE *f;

		t = table_find(vm, geometry[i].liobn);
		if (table_map(t, PROT_READ, MAP_SHARED, 0, 1))
			die("mmap of table %#lx", t->liobn);
		snprintf(want, sizeof(want), "anon_inode:kvm-tce:%lx", t->liobn);
		f = fopen("/proc/self/maps", "re");
		while (f && fgets(line, sizeof(line), f))
			if (strstr(line, want) && sscanf(line, "%*s %*s %*s %*s %lu", &inode) == 1)
				found |= inode == st[i].st_ino;
		fclose(f);
		check(found, "maps: a mapping names its table, with its inode", "no line with %s",
		      want);
	}
	for (int i = 0; i < 4; i++)
		table_close(table_find(vm, geometry[i].liobn));
}

/* What depends on the file position, and what a table refuses. @good has entries at 0 and 2. */
static void test_position(struct table *t, u64 good[3])
{
	u64 buf[2];

	gives(lseek(t->fd, 30 * 8, SEEK_SET), 30 * 8, "lseek: SEEK_SET");
	gives(read(t->fd, buf, 16), 16, "read: from the file position");
	gives(lseek(t->fd, 0, SEEK_CUR), 32 * 8, "read: moves the position by what was read");
	gives(write(t->fd, good, 8), 8, "write: at the file position");
	check(at(t, 32) == good[0], "write: ... is there", "%#lx", at(t, 32));
	gives(writev(t->fd, (struct iovec[]){ { &good[0], 8 }, { &good[2], 8 } }, 2), 16, "writev");
	check(at(t, 34) == good[2], "writev: gathers", "%#lx", at(t, 34));
	fails(ftruncate(t->fd, 8), EINVAL, "ftruncate is refused");
	fails(fchmod(t->fd, 0777), EINVAL, "fchmod is refused");
}

static void test_read_write(void)
{
	u64 n = page_entries + 809; /* does not end on a host page */
	struct table *t = make(0x2000, 12, 0x10, n);
	u64 buf[8], zero[8] = { 0 }, good[3];
	char *bad_half = mmap(NULL, 2 * page_entries * 8, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *edge = bad_half + page_entries * 8;

	memset(buf, 0xa5, sizeof(buf));
	gives(pread(t->fd, buf, sizeof(buf), 0), sizeof(buf), "read: of a hole");
	check(!memcmp(buf, zero, sizeof(buf)), "read: a hole is zeros", "first word %#lx", buf[0]);
	pages_are(t, 0, "read: allocates nothing");

	fails(pread(t->fd, buf, 8, 4), EINVAL, "read: at a position that is no entry's is EINVAL");
	fails(pread(t->fd, buf, 12, 0), EINVAL, "read: of half an entry is EINVAL");
	fails(pwrite(t->fd, buf, 8, 4), EINVAL,
	      "write: at a position that is no entry's is EINVAL");
	fails(pwrite(t->fd, buf, 12, 0), EINVAL, "write: of half an entry is EINVAL");
	fails(pread(t->fd, buf, 8, -8), EINVAL, "read: at a negative position is EINVAL");
	lseek(t->fd, 4, SEEK_SET);
	fails(read(t->fd, buf, 8), EINVAL, "read: from a file position inside an entry is EINVAL");
	gives(pread(t->fd, buf, 8, (off_t)(n * 8)), 0, "read: at the end gives 0");
	gives(pread(t->fd, buf, 8, (off_t)1 << 60), 0, "read: far past the end gives 0");
	gives(pread(t->fd, buf, 64, (off_t)(n * 8 - 16)), 16, "read: across the end is short");
	gives(pwrite(t->fd, zero, 0, 0), 0, "write: of nothing gives 0");
	fails(pwrite(t->fd, zero, 8, (off_t)(n * 8)), ENOSPC, "write: at the end is ENOSPC");
	fails(pwrite(t->fd, zero, 8, (off_t)1 << 60), ENOSPC, "write: far past the end is ENOSPC");
	gives(pwrite(t->fd, zero, 64, (off_t)(n * 8 - 16)), 16, "write: across the end is short");
	pages_are(t, 0, "write: zeros into a hole allocate nothing");
	fails(pread(t->fd, nowhere, 8, 0), EFAULT, "read: to a bad address is EFAULT");
	fails(pwrite(t->fd, nowhere, 8, 0), EFAULT, "write: from a bad address is EFAULT");

	gives(put(t, n - 1, MAPPED(0x3000)), 8,
	      "write: the last entry of a window that ends inside a page");
	check(at(t, n - 1) == MAPPED(0x3000), "write: ... is there", "%#lx", at(t, n - 1));
	pages_are(t, 1, "write: allocates one page");
	for (u64 perms = 0; perms < 4; perms++)
		put(t, perms, 0x5000 | perms);
	for (u64 perms = 0; perms < 4; perms++)
		check(at(t, perms) == (0x5000 | perms), "write: all permission bits survive",
		      "%#lx for %lu", at(t, perms), perms);
	gives(put(t, 4, POISON), 8, "write: poison is legal");
	check(at(t, 4) == POISON, "write: poison is kept", "%#lx", at(t, 4));
	gives(put(t, 4, 0), 8, "write: zero clears");
	check(at(t, 4) == 0, "write: ... and is there", "%#lx", at(t, 4));

	put(t, 10, POISON);
	fails(put(t, 10, MAPPED(OUTSIDE)), EINVAL, "write: an address outside memory is EINVAL");
	fails(put(t, 10, MAPPED(0x800)), EINVAL, "write: an address inside an I/O page is EINVAL");
	fails(put(t, 10, MAPPED(vm->mem_size)), EINVAL,
	      "write: the address just after memory is EINVAL");
	check(at(t, 10) == POISON, "write: a refused entry leaves the old one", "%#lx", at(t, 10));
	good[0] = MAPPED(0x1000);
	good[1] = MAPPED(OUTSIDE);
	good[2] = MAPPED(0x2000);
	put(t, 22, POISON);
	gives(pwrite(t->fd, good, 24, 20 * 8), 8, "write: stops before the first bad entry");
	check(at(t, 20) == good[0] && at(t, 21) == 0 && at(t, 22) == POISON,
	      "write: ... with the ones before it stored and nothing after it", "%#lx %#lx %#lx",
	      at(t, 20), at(t, 21), at(t, 22));

	if (munmap(edge, page_entries * 8))
		die("munmap: %s", strerror(errno));
	memcpy(edge - 16, good, 8);
	memcpy(edge - 8, &good[2], 8);
	gives(pwrite(t->fd, edge - 16, 32, 30 * 8), 16,
	      "write: a fault in the middle gives a short count");
	check(at(t, 30) == good[0] && at(t, 31) == good[2] && at(t, 32) == 0,
	      "write: ... of whole entries", "%#lx %#lx %#lx", at(t, 30), at(t, 31), at(t, 32));
	gives(pread(t->fd, edge - 16, 32, 30 * 8), 16,
	      "read: a fault in the middle gives a short count");
	gives(pread(t->fd, edge - 12, 16, 30 * 8), 8, "read: ... of whole entries");
	munmap(bad_half, page_entries * 8);

	test_position(t, good);
	table_close(t);
}

static void test_seek(void)
{
	u64 n = 4 * page_entries + 5;
	off_t page = (off_t)(page_entries * 8);
	struct table *t = make(0x2001, 16, 0, n);

	fails(lseek(t->fd, 0, SEEK_DATA), ENXIO, "SEEK_DATA: an empty table has no data");
	gives(lseek(t->fd, 0, SEEK_HOLE), 0, "SEEK_HOLE: an empty table is a hole");
	put(t, page_entries + 7, POISON);
	put(t, n - 1, POISON);
	gives(lseek(t->fd, 0, SEEK_DATA), page, "SEEK_DATA: finds the first allocated page");
	gives(lseek(t->fd, page + 80, SEEK_DATA), page + 80, "SEEK_DATA: inside data stays");
	gives(lseek(t->fd, page, SEEK_HOLE), 2 * page, "SEEK_HOLE: finds the end of a page");
	gives(lseek(t->fd, 2 * page, SEEK_DATA), 4 * page,
	      "SEEK_DATA: the last page of a window that ends inside it");
	gives(lseek(t->fd, 4 * page, SEEK_HOLE), (off_t)(n * 8),
	      "SEEK_HOLE: the file's end is a hole");
	fails(lseek(t->fd, (off_t)(n * 8), SEEK_DATA), ENXIO, "SEEK_DATA: at the end is ENXIO");
	fails(lseek(t->fd, (off_t)(n * 8), SEEK_HOLE), ENXIO, "SEEK_HOLE: at the end is ENXIO");
	fails(lseek(t->fd, -8, SEEK_DATA), ENXIO, "SEEK_DATA: before the start is ENXIO");
	gives(lseek(t->fd, 0, SEEK_END), (off_t)(n * 8), "lseek: SEEK_END is the size");
	gives(lseek(t->fd, -8, SEEK_CUR), (off_t)(n * 8 - 8), "lseek: SEEK_CUR");
	fails(lseek(t->fd, -8, SEEK_SET), EINVAL, "lseek: before the start is EINVAL");
	fails(lseek(t->fd, 0, 99), EINVAL, "lseek: an unknown whence is EINVAL");
	pages_are(t, 2, "lseek: allocates nothing");
	table_close(t);
}

static long punch(const struct table *t, u64 index, u64 n)
{
	return fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(index * 8),
			 (off_t)(n * 8));
}

static void test_punch(void)
{
	const int hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	u64 n = 3 * page_entries + 100, left = 0;
	struct table *t = make(0x2002, 12, 0, n);
	volatile u64 *map;

	fails(fallocate(t->fd, 0, 0, 8), EOPNOTSUPP, "fallocate: allocating is EOPNOTSUPP");
	fails(fallocate(t->fd, FALLOC_FL_ZERO_RANGE, 0, 8), EOPNOTSUPP,
	      "fallocate: ZERO_RANGE is EOPNOTSUPP");
	fails(fallocate(t->fd, FALLOC_FL_COLLAPSE_RANGE, 0, 8), EOPNOTSUPP,
	      "fallocate: COLLAPSE_RANGE is EOPNOTSUPP");
	fails(fallocate(t->fd, hole, 4, 8), EINVAL,
	      "punch: at a position that is no entry's is EINVAL");
	fails(fallocate(t->fd, hole, 0, 12), EINVAL, "punch: of half an entry is EINVAL");
	fails(fallocate(t->fd, hole, 0, 0), EINVAL, "punch: of nothing is EINVAL");
	gives(punch(t, 0, n), 0, "punch: an empty table");

	for (u64 i = 0; i < n; i++)
		put(t, i, (i + 1) << 2);
	pages_are(t, 4, "punch: the table is full");
	gives(punch(t, 10, 5), 0, "punch: some entries of a page");
	check(at(t, 9) == 10 << 2 && !at(t, 10) && !at(t, 14) && at(t, 15) == 16 << 2,
	      "punch: clears these and no others", "%#lx %#lx %#lx %#lx", at(t, 9), at(t, 10),
	      at(t, 14), at(t, 15));
	pages_are(t, 4, "punch: a page that still has entries stays");
	gives(punch(t, page_entries - 1, page_entries + 2), 0, "punch: across pages");
	check(at(t, page_entries - 2) && !at(t, page_entries - 1) && !at(t, page_entries) &&
		      !at(t, 2 * page_entries) && at(t, 2 * page_entries + 1),
	      "punch: ends where it was told", "%#lx %#lx", at(t, page_entries - 2),
	      at(t, 2 * page_entries + 1));
	pages_are(t, 3, "punch: frees the page in the middle");
	gives(punch(t, 3 * page_entries, 100), 0, "punch: the last, partial page as a whole");
	pages_are(t, 2, "punch: ... frees it");

	if (table_map(t, PROT_READ | PROT_WRITE, MAP_SHARED, 0, 0))
		die("mmap of table %#lx", t->liobn);
	map = t->map;
	check(map[0] == 1 << 2, "punch: a mapping shows the table", "%#lx", (u64)map[0]);
	gives(punch(t, 0, n + 1000), 0, "punch: past the end");
	check(map[0] == 0, "punch: a mapping sees the hole", "%#lx", (u64)map[0]);
	put(t, 0, POISON);
	check(map[0] == POISON, "punch: ... and what comes after it", "%#lx", (u64)map[0]);
	map[1] = POISON;
	check(at(t, 1) == POISON, "mmap: a store is in the table", "%#lx", at(t, 1));
	for (u64 i = 2; i < n; i++)
		left |= at(t, i);
	check(!left, "punch: the whole table is zeros", "bits %#lx are left", left);
	table_close(t);
}

static void test_mmap(void)
{
	u64 n = page_entries + 1;
	struct table *t = make(0x2003, 12, 0, n);

	gives(table_map(t, PROT_READ, MAP_SHARED, 0, 2), 0,
	      "mmap: the table, its last page in part");
	gives(table_map(t, PROT_READ, MAP_SHARED, 0, 3), -EINVAL,
	      "mmap: more than the table is EINVAL");
	gives(table_map(t, PROT_READ, MAP_SHARED, 2, 1), -EINVAL,
	      "mmap: after the table is EINVAL");
	gives(table_map(t, PROT_READ, MAP_SHARED, 1, 1), 0, "mmap: its second page");
	gives(table_map(t, PROT_READ, MAP_SHARED, 1UL << 30, 1), -EINVAL,
	      "mmap: far after the table is EINVAL");
	gives(table_map(t, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0, 1), 0, "mmap: private");
	table_close(t);
}

static void test_sparse(void)
{
	u64 n = 1UL << 26, i, bits = 0, words = 1UL << 17;
	struct table *t = make(0x2004, 12, 0, n);
	u64 *buf = malloc(words * 8);

	if (!buf)
		die("out of memory");
	gives(put(t, n - 1, MAPPED(0x7000)), 8, "2^26 entries: the last one");
	gives(put(t, n / 2, POISON), 8, "2^26 entries: one in the middle");
	for (i = 0; i < n; i += words) {
		if (pread(t->fd, buf, words * 8, (off_t)(i * 8)) != (ssize_t)(words * 8))
			break;
		for (u64 j = 0; j < words; j++)
			bits |= i + j == n - 1 || i + j == n / 2 ? 0 : buf[j];
	}
	check(i == n && !bits, "2^26 entries: all of it can be read", "up to %lu, bits %#lx", i,
	      bits);
	check(buf[words - 1] == MAPPED(0x7000), "2^26 entries: ... the last one too", "%#lx",
	      buf[words - 1]);
	pages_are(t, 2, "2^26 entries: reading 512 MiB allocates nothing");
	gives(punch(t, 0, n), 0, "2^26 entries: punched out at once");
	pages_are(t, 0, "2^26 entries: nothing is left");
	free(buf);
	table_close(t);
}

static void test_page_shifts(void)
{
	static const u64 shifts[] = { 12, 16, 24, 34 };

	for (int i = 0; i < 4; i++) {
		u64 shift = shifts[i], page = 1UL << shift;
		struct table *t = make(0x2005, shift, 5, 100);

		if (page <= vm->mem_size / 2) {
			gives(put(t, 99, MAPPED(page)), 8, "page shift: an entry that maps memory");
			check(at(t, 99) == MAPPED(page), "page shift: ... is there",
			      "%#lx at shift %lu", at(t, 99), shift);
		}
		fails(put(t, 1, MAPPED(page / 2)), EINVAL,
		      "page shift: half an I/O page is EINVAL");
		fails(put(t, 1, MAPPED(page > vm->mem_size ? page : vm->mem_size)), EINVAL,
		      "page shift: outside memory is EINVAL");
		gives(put(t, 1, POISON), 8, "page shift: poison");
		check(at(t, 1) == POISON, "page shift: ... is there", "%#lx at shift %lu", at(t, 1),
		      shift);
		table_close(t);
	}
}

static struct guest_op guest(u64 nr, const struct table *t, u64 index, u64 tce, u64 count)
{
	struct guest_op op = { .in = { nr, t->liobn, (t->offset + index) << t->page_shift, tce,
				       count } };

	if (!vcpu_run_ops(&vm->vcpu[0], &op, 1))
		die("the guest: %s", vm->failed);
	return op;
}

static void test_guest(void)
{
	struct table *t = make(0x2006, 12, 0x40, page_entries + 9);
	struct guest_op op;

	put(t, 3, MAPPED(0x9000));
	op = guest(H_GET_TCE, t, 3, 0, 0);
	check(op.out[0] == H_SUCCESS && op.out[1] == MAPPED(0x9000),
	      "guest: H_GET_TCE sees what was written", "r3 %#lx, r4 %#lx", op.out[0], op.out[1]);
	guest(H_PUT_TCE, t, page_entries + 8, MAPPED(0xb000), 0);
	check(at(t, page_entries + 8) == MAPPED(0xb000), "guest: H_PUT_TCE is seen by read", "%#lx",
	      at(t, page_entries + 8));
	guest(H_STUFF_TCE, t, page_entries - 2, POISON, 4);
	check(at(t, page_entries - 3) == 0 && at(t, page_entries - 2) == POISON &&
		      at(t, page_entries + 1) == POISON && at(t, page_entries + 2) == 0,
	      "guest: H_STUFF_TCE across pages is seen by read", "%#lx %#lx",
	      at(t, page_entries - 2), at(t, page_entries + 1));
	punch(t, 0, t->entries);
	op = guest(H_GET_TCE, t, 3, 0, 0);
	check(op.out[0] == H_SUCCESS && op.out[1] == 0, "guest: H_GET_TCE sees a hole",
	      "r3 %#lx, r4 %#lx", op.out[0], op.out[1]);
	table_close(t);
}

static long dirty_ioctl(const struct table *t, u64 first, u64 count, void *bitmap, __u32 flags)
{
	struct kvm_spapr_tce_dirty_log log = {
		.first = first,
		.count = count,
		.bitmap = (u64)bitmap,
		.flags = flags,
	};

	return ioctl(t->fd, KVM_SPAPR_TCE_GET_DIRTY_LOG, &log);
}

static void test_dirty_log(void)
{
	u64 n = 32768 + 1000, bitmap[2], list[3] = { MAPPED(0), MAPPED(0x1000), MAPPED(OUTSIDE) };
	struct table *t = make(0x2007, 12, 0x40, n);

	fails(dirty_ioctl(t, 0, n, bitmap, 0), ENOENT,
	      "dirty log: fetching it while it is off is ENOENT");
	fails(ioctl(t->fd, KVM_SPAPR_TCE_STOP_DIRTY_LOG), ENOENT,
	      "dirty log: stopping it while it is off is ENOENT");
	fdinfo_is(t, "tce-dirty-log", "off", "dirty log: fdinfo says off");
	put(t, 5, POISON);
	gives(ioctl(t->fd, KVM_SPAPR_TCE_START_DIRTY_LOG), 0, "dirty log: start");
	fdinfo_is(t, "tce-dirty-log", "on", "dirty log: fdinfo says on");
	fails(ioctl(t->fd, KVM_SPAPR_TCE_START_DIRTY_LOG), EBUSY,
	      "dirty log: starting it twice is EBUSY");
	memset(bitmap, 0xff, sizeof(bitmap));
	gives(dirty_ioctl(t, 0, n, bitmap, 0), 0, "dirty log: fetch");
	check(!bitmap[0] && !bitmap[1], "dirty log: begins empty", "%#lx %#lx", bitmap[0],
	      bitmap[1]);

	put(t, 512, POISON);
	put(t, n - 1, POISON);
	guest(H_PUT_TCE, t, 3 * 512 - 1, MAPPED(0x1000), 0);
	guest(H_STUFF_TCE, t, 5 * 512 - 1, 0, 2);
	punch(t, 20 * 512, 1);
	memcpy(vcpu_list(&vm->vcpu[0]), (u64[]){ htobe64(list[0]), htobe64(list[1]) }, 16);
	guest(H_PUT_TCE_INDIRECT, t, 30 * 512 - 1, vcpu_list_gpa(&vm->vcpu[0]), 2);
	pwrite(t->fd, list, sizeof(list), 40 * 512 * 8);
	dirty_ioctl(t, 0, n, bitmap, 0);
	check(bitmap[0] & 1UL << 1, "dirty log: write is logged", "%#lx", bitmap[0]);
	check(bitmap[0] & 1UL << 2, "dirty log: H_PUT_TCE is logged", "%#lx", bitmap[0]);
	check(bitmap[1] == 1UL << (n / 512 % 64),
	      "dirty log: the last group of a window that ends inside it", "%#lx", bitmap[1]);
	check((bitmap[0] & 3UL << 29) == 3UL << 29,
	      "dirty log: H_PUT_TCE_INDIRECT across groups is logged", "%#lx", bitmap[0]);
	check(bitmap[0] & 1UL << 40, "dirty log: a write that stops at a bad entry is logged",
	      "%#lx", bitmap[0]);
	check(!(bitmap[0] & (1UL << 0 | 1UL << 3 | 1UL << 31 | 1UL << 63)),
	      "dirty log: the neighbours are not", "%#lx", bitmap[0]);
	memset(bitmap, 0xff, sizeof(bitmap));
	dirty_ioctl(t, 0, n, bitmap, 0);
	check(!bitmap[0] && !bitmap[1], "dirty log: a fetch clears", "%#lx %#lx", bitmap[0],
	      bitmap[1]);

	put(t, 7, 0);
	put(t, 5, 0);
	guest(H_STUFF_TCE, t, 512, 0, 1);
	put(t, 32768, POISON);
	fails(dirty_ioctl(t, 0, n, nowhere, 0), EFAULT, "dirty log: a bad address is EFAULT");
	fails(dirty_ioctl(t, 0, n, (char *)bitmap + 4, 0), EINVAL,
	      "dirty log: an address that is not aligned is EINVAL");
	fails(dirty_ioctl(t, 0, n, bitmap, 1), EINVAL, "dirty log: unknown flags are EINVAL");
	fails(dirty_ioctl(t, 512, n - 512, bitmap, 0), EINVAL,
	      "dirty log: a start inside a word is EINVAL");
	fails(dirty_ioctl(t, 0, 512, bitmap, 0), EINVAL,
	      "dirty log: an end inside a word is EINVAL");
	fails(dirty_ioctl(t, 0, n + 32768, bitmap, 0), EINVAL,
	      "dirty log: past the table is EINVAL");
	fails(dirty_ioctl(t, 1UL << 63, 1UL << 63, bitmap, 0), EINVAL,
	      "dirty log: a range that wraps is EINVAL");
	gives(dirty_ioctl(t, 32768, n - 32768, bitmap, 0), 0,
	      "dirty log: fetch the second word alone");
	check(bitmap[0] == 1, "dirty log: ... which has its update", "%#lx", bitmap[0]);
	gives(dirty_ioctl(t, 0, 32768, bitmap, 0), 0, "dirty log: fetch the first word alone");
	check(bitmap[0] == 3, "dirty log: errors and the other word's fetch lost nothing", "%#lx",
	      bitmap[0]);

	put(t, 0, POISON);
	gives(ioctl(t->fd, KVM_SPAPR_TCE_STOP_DIRTY_LOG), 0, "dirty log: stop");
	fails(dirty_ioctl(t, 0, n, bitmap, 0), ENOENT, "dirty log: stopped is off");
	ioctl(t->fd, KVM_SPAPR_TCE_START_DIRTY_LOG);
	dirty_ioctl(t, 0, n, bitmap, 0);
	check(!bitmap[0] && !bitmap[1], "dirty log: starts empty again", "%#lx %#lx", bitmap[0],
	      bitmap[1]);
	table_close(t);
}

/* If this fails, saving a table from outside, by its log, loses what the VMM stores. */
static void test_mapped_log(void)
{
	u64 n = 65536, page = 1UL << (page_entries >> KVM_SPAPR_TCE_DIRTY_SHIFT), bitmap[2];
	struct table *t = make(0x2008, 12, 0, n);
	volatile u64 *shared = mmap(NULL, n * 8, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	volatile u64 *private = mmap(NULL, n * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE, t->fd, 0);

	check(shared != MAP_FAILED && private != MAP_FAILED, "mapped log: mmap", "%m");
	shared[0] = POISON;
	gives(ioctl(t->fd, KVM_SPAPR_TCE_START_DIRTY_LOG), 0, "mapped log: start");
	shared[1] = POISON;
	dirty_ioctl(t, 0, n, bitmap, 0);
	check(bitmap[0] == page - 1 && !bitmap[1],
	      "mapped log: a store to a page that was mapped before is logged", "%#lx %#lx",
	      bitmap[0], bitmap[1]);
	dirty_ioctl(t, 0, n, bitmap, 0);
	check(!bitmap[0] && !bitmap[1], "mapped log: ... once", "%#lx %#lx", bitmap[0], bitmap[1]);
	shared[2] = POISON;
	shared[3] = POISON;
	dirty_ioctl(t, 0, n, bitmap, 0);
	check(bitmap[0] == page - 1, "mapped log: a store after a fetch is logged again", "%#lx",
	      bitmap[0]);
	check(shared[0] == POISON && shared[3] == POISON, "mapped log: what was stored is there",
	      "%#lx", shared[0]);
	dirty_ioctl(t, 0, n, bitmap, 0);
	private[5] = POISON;
	dirty_ioctl(t, 0, n, bitmap, 0);
	check(!bitmap[0] && !bitmap[1], "mapped log: a private mapping's store is not", "%#lx %#lx",
	      bitmap[0], bitmap[1]);
	check(shared[5] == 0 && private[5] == POISON, "mapped log: it stays there", "%#lx",
	      private[5]);
	for (u64 i = 0; i < n; i++)
		(void)shared[i];
	dirty_ioctl(t, 0, n, bitmap, 0);
	check(!bitmap[0] && !bitmap[1], "mapped log: a load is not", "%#lx %#lx", bitmap[0],
	      bitmap[1]);
	shared[n - 1] = POISON;
	dirty_ioctl(t, 0, n, bitmap, 0);
	check(!bitmap[0] && bitmap[1] == (page - 1) << (64 - __builtin_popcountl(page - 1)),
	      "mapped log: a store to a page that was loaded from is", "%#lx %#lx", bitmap[0],
	      bitmap[1]);
	munmap((void *)shared, n * 8);
	munmap((void *)private, n * 8);
	table_close(t);
}

/* Threads that store through a mapping, and map and unmap what is right behind it. */
struct log_race {
	const struct table *t;
	volatile bool stop;
	volatile u64 *map; /* the first half of the table */
	u64 half;	   /* entries */
	u64 stores;
	u64 merges;
};

static void *race_store(void *arg)
{
	struct log_race *race = arg;

	for (; !race->stop; race->stores++)
		race->map[race->stores * 977 % race->half] = (race->stores + 1) << 2;
	return NULL;
}

static void *race_merge(void *arg)
{
	struct log_race *race = arg;
	void *behind = (void *)(race->map + race->half);

	for (; !race->stop; race->merges++) {
		/* It continues the first half, and becomes one mapping with it. */
		if (mmap(behind, race->half * 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 race->t->fd, (off_t)(race->half * 8)) != behind)
			break;
		if (mmap(behind, race->half * 8, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			 -1, 0) != behind)
			break;
	}
	return NULL;
}

/* Take bits and copy what they stand for, as a migration does. */
static bool race_copy(const struct log_race *race, u64 *copy)
{
	u64 bitmap[2], group = 1UL << KVM_SPAPR_TCE_DIRTY_SHIFT;

	if (dirty_ioctl(race->t, 0, 2 * race->half, bitmap, 0))
		return false;
	for (u64 i = 0; i < 2 * race->half / group; i++)
		if (bitmap[i / 64] >> i % 64 & 1 &&
		    pread(race->t->fd, copy + i * group, group * 8, (off_t)(i * group * 8)) !=
			    (ssize_t)(group * 8))
			return false;
	return true;
}

/* If this fails, a migration misses stores made while parts of the table are mapped anew. */
static void test_log_race(void)
{
	const u64 n = 65536, lost_time = 3;
	struct log_race race = { .t = make(0x2009, 12, 0, n), .half = n / 2 };
	u64 *copy = calloc(n, 8), *final = calloc(n, 8), rounds = 0, lost = 0;
	void *area = mmap(NULL, n * 8, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	time_t end = time(NULL) + (time_t)lost_time;
	pthread_t store, merge;
	bool good = true;

	race.map = mmap(area, n / 2 * 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, race.t->fd,
			0);
	if (race.map == MAP_FAILED || !copy || !final)
		die("log race: %s", strerror(errno));
	ioctl(race.t->fd, KVM_SPAPR_TCE_START_DIRTY_LOG);
	pthread_create(&store, NULL, race_store, &race);
	pthread_create(&merge, NULL, race_merge, &race);
	for (; good && time(NULL) < end; rounds++)
		good = race_copy(&race, copy);
	race.stop = true;
	pthread_join(store, NULL);
	pthread_join(merge, NULL);
	good = good && race_copy(&race, copy) &&
	       pread(race.t->fd, final, n * 8, 0) == (ssize_t)(n * 8);
	for (u64 i = 0; i < n; i++)
		lost += copy[i] != final[i];
	printf("log race: %lu stores, %lu merges, %lu fetches\n", race.stores, race.merges, rounds);
	check(good && race.stores && race.merges && !lost,
	      "mapped log: nothing is lost while mappings are merged and split", "%lu entries lost",
	      lost);
	munmap(area, n * 8);
	table_close(race.t);
	free(copy);
	free(final);
}

/* What a vCPU has outstanding: SET takes what GET gives, and nothing that KVM_RUN can't do. */
static void test_events(void)
{
	static const struct {
		__u16 reg;
		bool good;
	} loads[] = {
		{ 0x0003, true },  { 0x0023, false }, /* GPR 3, GPR 35 */
		{ 0x0043, true },  { 0x0063, false }, /* FPR */
		{ 0x0083, true },  { 0x00a3, false }, /* QPR, of a PR guest */
		{ 0x00c3, true },  { 0x00e3, false }, /* FQPR */
		{ 0x0100, false }, { 0x0180, false }, /* vectors, no parts of which are left */
		{ 0x0200, false }, { 0xff80, false }, /* nothing at all */
		{ 0xffc0, true },		      /* a register of a nested guest */
	};
	struct kvm_vcpu_events before, ev;
	int fd = vm->vcpu[0].fd;

	gives(ioctl(fd, KVM_GET_VCPU_EVENTS, &before), 0, "events: get");
	for (u64 i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		char name[64];

		ev = before;
		ev.completion = COMPLETE_MMIO_LOAD;
		ev.mmio_reg = loads[i].reg;
		snprintf(name, sizeof(name), "events: a load into register %#x is %s", loads[i].reg,
			 loads[i].good ? "taken" : "EINVAL");
		if (loads[i].good)
			gives(ioctl(fd, KVM_SET_VCPU_EVENTS, &ev), 0, name);
		else
			fails(ioctl(fd, KVM_SET_VCPU_EVENTS, &ev), EINVAL, name);
	}
	ev = before;
	ev.reserved2[2] = 1;
	fails(ioctl(fd, KVM_SET_VCPU_EVENTS, &ev), EINVAL, "events: a reserved field is EINVAL");
	gives(ioctl(fd, KVM_SET_VCPU_EVENTS, &before), 0, "events: set what was there");
}

/* The table outlives its VM's other fds: a process may hold it alone. */
static void test_orphan(void)
{
	struct table *t = make(0x2008, 12, 0, 512);
	int fd = dup(t->fd);
	u64 tce = MAPPED(0x2000), got = 0;

	put(t, 1, POISON);
	vm_destroy(vm);
	gives(pread(fd, &got, 8, 8), 8, "orphan: a table whose VM fd is closed can be read");
	check(got == POISON, "orphan: ... and has what it had", "%#lx", got);
	gives(pwrite(fd, &tce, 8, 16), 8, "orphan: it can be written");
	gives(close(fd), 0, "orphan: it can be closed");
}

int main(void)
{
	struct vm_options opt = { .mem_size = 64UL << 20, .nvcpus = 1 };
	long caps;

	page_entries = (u64)sysconf(_SC_PAGESIZE) / 8;
	setvbuf(stdout, NULL, _IOLBF, 0);
	vm = vm_create(&opt);
	caps = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SPAPR_TCE_FD);
	check(caps & KVM_SPAPR_TCE_FD_FILE, "capability: the VM says that table fds are files",
	      "%#lx", caps);
	gives(ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_SPAPR_TCE_FD), caps,
	      "capability: /dev/kvm says the same");
	check(caps & KVM_SPAPR_TCE_FD_DIRTY_LOG, "capability: the dirty log is there", "%#lx",
	      caps);
	test_create();
	test_identity();
	test_read_write();
	test_seek();
	test_punch();
	test_mmap();
	test_sparse();
	test_page_shifts();
	test_guest();
	if (caps & KVM_SPAPR_TCE_FD_DIRTY_LOG) {
		test_dirty_log();
		test_mapped_log();
		test_log_race();
	}
	test_events();
	test_orphan();
	return check_failures ? 1 : 0;
}
