// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * For tests/bench/stream: makes migration streams, and measures packing in memory.
 *
 *	stream-peer make KIND FILE	KIND ram: 1 GiB of pages; linear, random, guest: a table
 *					of 4 Mi entries; none: the same stream without entries
 *	stream-peer pack FILE		CPU seconds of packing the stream, of a memcpy of 32 MiB,
 *					and of one more, with the memory mapped already
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../unit/stream-maker.h"
#include "tce-stream.h"

#define ENTRIES (4U << 20)
#define PAGES	(1U << 18)
#define ROUNDS	7

static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1d;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void make(const char *kind, const char *name)
{
	uint64_t *words = calloc(ENTRIES, sizeof(*words));
	uint8_t page[4096];
	struct maker m = { 0 };
	uint32_t i, j, n;
	FILE *file;

	if (!words)
		err(1, "memory");
	put_beginning(&m);
	if (!strcmp(kind, "ram")) {
		put_bytes(&m, "\2\0\0\0\2", 5);
		for (i = 0; i < PAGES; i++) {
			put_be64(&m, ((uint64_t)(i % 256) << 12) | 0x28);
			for (j = 0; j < sizeof(page); j += 8)
				memcpy(page + j, &(uint64_t){ j % 64 ? state : next_random() }, 8);
			put_bytes(&m, page, sizeof(page));
		}
		put_be64(&m, 0x10);
		put_footer(&m, 2);
	}
	put_ends(&m);
	for (i = 0; i < ENTRIES; i += n) {
		/* guest: buffers of 1 to 16 pages, mapped here and there */
		n = !strcmp(kind, "guest") ? 1 + (uint32_t)(next_random() % 16) : 1;
		for (j = 0; j < n && i + j < ENTRIES; j++) {
			if (!strcmp(kind, "linear"))
				words[i] = (uint64_t)i << 16 | 3;
			else if (!strcmp(kind, "random"))
				words[i] = next_random();
			else if (!strcmp(kind, "guest"))
				words[i + j] = j ? words[i + j - 1] + 4096 :
						   (next_random() % (1 << 20)) << 12 | 3;
		}
	}
	if (strcmp(kind, "ram"))
		put_table(&m, 9, 0x80000001, 16, UINT64_C(1) << 59, words,
			  strcmp(kind, "none") ? ENTRIES : 0);
	put_device(&m, 10, "globalstate", "running", 8);
	put_ending(&m);
	file = fopen(name, "wb");
	if (!file || fwrite(m.data, 1, m.size, file) != m.size || fclose(file))
		err(1, "%s", name);
	free_maker(&m);
	free(words);
}

struct bytes {
	const uint8_t *data;
	size_t size, at;
};

static ssize_t bytes_read(void *ctx, void *buf, size_t len)
{
	struct bytes *b = ctx;

	if (len > b->size - b->at)
		len = b->size - b->at;
	memcpy(buf, b->data + b->at, len);
	b->at += len;
	return (ssize_t)len;
}

static int drop(void *ctx, const void *buf, size_t len)
{
	return 0;
}

/* CPU seconds of a memcpy that the compiler may not leave out because nobody reads the copy. */
static double copy_seconds(uint8_t *to, const uint8_t *from, size_t size)
{
	double began = seconds();

	memcpy(to, from, size);
	__asm__ volatile("" : : "r"(to) : "memory");
	return seconds() - began;
}

static void measure(const char *name)
{
	double began, took, pack = 1e9, copy = 1e9, mapped = 1e9;
	const struct tce_sink sink = { .write = drop };
	static uint8_t stream[64 << 20];
	struct bytes bytes = { stream, 0, 0 };
	struct tce_source source = { .read = bytes_read, .ctx = &bytes };
	FILE *file = fopen(name, "rb");
	uint8_t *to;
	int i;

	if (!file)
		err(1, "%s", name);
	bytes.size = fread(stream, 1, sizeof(stream), file);
	fclose(file);
	for (i = 0; i < ROUNDS; i++) {
		bytes.at = 0;
		began = seconds();
		if (tce_pack_stream(&source, &sink, NULL, NULL, NULL))
			errx(1, "%s does not pack", name);
		took = seconds() - began;
		pack = took < pack ? took : pack;

		/* Into memory that is not mapped yet, as a program that keeps a copy has it. */
		to = malloc(ENTRIES * 8);
		if (!to)
			err(1, "memory");
		took = copy_seconds(to, stream, ENTRIES * 8);
		copy = took < copy ? took : copy;
		took = copy_seconds(to, stream, ENTRIES * 8);
		mapped = took < mapped ? took : mapped;
		free(to);
	}
	printf("%.6f %.6f %.6f\n", pack, copy, mapped);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "make"))
		make(argv[2], argv[3]);
	else if (argc == 3 && !strcmp(argv[1], "pack"))
		measure(argv[2]);
	else
		errx(2, "make KIND FILE, or pack FILE");
	return 0;
}
