// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Inputs for the targets that take images: those that the library itself writes.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "tce.h"

/* More than one block. */
#define ENTRIES (TCE_BLOCK_MAX + TCE_BLOCK_MAX / 4)

static uint8_t made[1 << 20];
static size_t made_size;

static int keep(void *ctx, const void *buf, size_t len)
{
	if (len > sizeof(made) - made_size)
		abort();
	memcpy(made + made_size, buf, len);
	made_size += len;
	return 0;
}

/* A table and what changed in it, as it is saved while its guest runs. */
static void add_updates(void)
{
	const struct tce_sink sink = { .write = keep };
	int fd = memfd_create("table", 0), round;
	struct tce_sender *sender;
	struct tce_table *table;
	uint64_t words[300];
	size_t i;

	made_size = 0;
	if (fd < 0 || ftruncate(fd, 4096 * 8) || tce_open_table(&table, fd, NULL) ||
	    tce_create_sender(&sender, table, &sink, NULL))
		abort();
	for (round = 0; round < 4; round++) {
		for (i = 0; i < 300; i++)
			words[i] = round == 1 ? 0 : i % (size_t)(round + 2) ? i << 12 | 3 : 7;
		if (tce_write_words(table, (uint64_t)round * 100, words, 300, NULL, NULL) ||
		    tce_send_round(sender, round == 3, NULL, NULL))
			abort();
	}
	tce_destroy_sender(sender);
	tce_close_table(table);
	close(fd);
	add_to_corpus(made, made_size);
}

/* Tables with every kind of extent, raw and squeezed. */
void fill_corpus(void)
{
	static uint64_t words[ENTRIES];
	const struct tce_sink sink = { .write = keep };
	struct tce_geometry geometry = {
		.known = TCE_KNOWN_ALL,
		.liobn = 0x80000000,
		.page_shift = 12,
		.entries = ENTRIES,
	};
	struct tce_writer *writer;
	uint64_t noise = 1;
	int kind;
	size_t i;

	for (kind = 0; kind < 6; kind++) {
		for (i = 0; i < ENTRIES; i++) {
			noise = noise * 6364136223846793005 + 1442695040888963407;
			words[i] = kind == 0 ? 0 :
				   kind == 1 ? (i + 1) << 12 :
				   kind == 2 ? (i < 300 ? noise : 0) :
				   kind == 3 ? (i < 500 && i % 5 ? i / 7 << 20 | i << 12 | 3 : 0) :
				   kind == 4 ? (i % 3 ? 3 : noise & 1) :
				   i < ENTRIES / 2	 ? 0x0101010101010101 * (1 + i % 2) :
				   i < ENTRIES / 2 + 100 ? noise :
							   0;
		}
		made_size = 0;
		if (tce_create_writer(&writer, &sink, "fuzz", NULL) ||
		    tce_begin_table(writer, &geometry, NULL) ||
		    tce_put_words(writer, 0, words, ENTRIES, NULL) || tce_end_table(writer, NULL) ||
		    tce_end_image(writer, NULL))
			abort();
		tce_destroy_writer(writer);
		add_to_corpus(made, made_size);
	}
	add_updates();
}
