// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * For tests/bench/image: makes tables, and does what tce-dump and tce-restore are compared with.
 *
 *	image-peer make KIND FILE	a 512 MiB table as a sparse file of host-endian words
 *	image-peer memcpy FILE		prints the CPU time of mapping the table and one memcpy()
 *					of it, and that of another memcpy() with all of it mapped
 *	image-peer flat-save FILE OUT	the table as QEMU's migration stream has it: one
 *	image-peer flat-load IN FILE	big-endian word after the other, holes and all
 *	image-peer fill FILE		fills the table's file: memset() and write(), block by block
 */
#include <endian.h>
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ENTRIES (1ULL << 26)
#define BLOCK	32768 /* QEMU's stream buffer is smaller; this flatters the peer */

static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1d;
}

static int open_file(const char *name, int flags)
{
	int fd = open(name, flags, 0600);

	if (fd < 0)
		err(1, "%s", name);
	return fd;
}

static void write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0)
			err(1, "write");
		p += n;
		len -= (size_t)n;
	}
}

static void read_all(int fd, void *buf, size_t len)
{
	char *p = buf;

	while (len) {
		ssize_t n = read(fd, p, len);

		if (n < 0)
			err(1, "read");
		if (!n)
			errx(1, "the file is too short");
		p += n;
		len -= (size_t)n;
	}
}

/* A page of 4 KiB somewhere in 64 GiB, readable and writable. */
static uint64_t random_page(void)
{
	return (next_random() >> 40) << 12 | 3;
}

static int make_table(const char *kind, const char *name)
{
	static uint64_t words[BLOCK];
	uint64_t tce = 0, left = 0, i, k;
	int fd = open_file(name, O_RDWR | O_CREAT | O_TRUNC);

	if (ftruncate(fd, (off_t)(ENTRIES * sizeof(uint64_t))) < 0)
		err(1, "%s", name);
	for (i = 0; strcmp(kind, "empty") && i < ENTRIES; i += BLOCK) {
		for (k = 0; k < BLOCK; k++) {
			if (!strcmp(kind, "linear")) {
				words[k] = (i + k) << 12 | 3;
			} else if (!strcmp(kind, "runs")) {
				if (!left) {
					left = 1 + next_random() % 16;
					tce = random_page();
				}
				words[k] = tce;
				tce += 4096;
				left--;
			} else if (!strcmp(kind, "random")) {
				words[k] = next_random();
			} else if (!strcmp(kind, "pages")) {
				words[k] = random_page();
			} else {
				errx(2, "%s: no such kind of table", kind);
			}
		}
		write_all(fd, words, sizeof(words));
	}
	close(fd);
	return 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void copy(void *to, const void *from, size_t size)
{
	memcpy(to, from, size);
	__asm__ volatile("" : : "r"(to) : "memory");
}

static int time_memcpy(const char *name)
{
	const size_t size = ENTRIES * sizeof(uint64_t);
	int fd = open_file(name, O_RDONLY);
	double began, first, second;
	void *table, *to;

	/* The memory that is copied to is there before: only the table is new to this process. */
	to = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		  -1, 0);
	if (to == MAP_FAILED)
		err(1, "mmap");
	began = now();
	table = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (table == MAP_FAILED)
		err(1, "%s", name);
	copy(to, table, size);
	first = now();
	copy(to, table, size);
	second = now();
	printf("%.6f %.6f\n", first - began, second - first);
	return 0;
}

static int copy_flat(const char *from, const char *to, int flags)
{
	static uint64_t words[BLOCK];
	int in = open_file(from, O_RDONLY), out = open_file(to, flags);
	uint64_t i, k;

	for (i = 0; i < ENTRIES; i += BLOCK) {
		read_all(in, words, sizeof(words));
		for (k = 0; k < BLOCK; k++)
			words[k] = htobe64(words[k]);
		write_all(out, words, sizeof(words));
	}
	close(in);
	close(out);
	return 0;
}

static int fill(const char *to)
{
	static uint8_t block[BLOCK * sizeof(uint64_t)];
	int out = open_file(to, O_WRONLY);
	uint64_t i;

	for (i = 0; i < ENTRIES; i += BLOCK) {
		memset(block, (int)(i / BLOCK), sizeof(block));
		__asm__ volatile("" : : "r"(block) : "memory");
		write_all(out, block, sizeof(block));
	}
	close(out);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "make"))
		return make_table(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "memcpy"))
		return time_memcpy(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "fill"))
		return fill(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "flat-save"))
		return copy_flat(argv[2], argv[3], O_WRONLY | O_CREAT | O_TRUNC);
	if (argc == 4 && !strcmp(argv[1], "flat-load"))
		return copy_flat(argv[2], argv[3], O_WRONLY);
	errx(2, "wrong use: the top of the source says how");
}
