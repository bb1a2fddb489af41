// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: the image reader. Whatever the bytes are, what is handed out lies inside the table.
 *
 * A changed byte would always be stopped at a hash. So this program is linked with a library that
 * takes any hash, and begins with images of the writer and of the independent one of the unit
 * tests.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "tce-stream.h"

struct bytes {
	const uint8_t *data;
	size_t size;
	size_t at;
};

static ssize_t bytes_read(void *ctx, void *buf, size_t len)
{
	struct bytes *bytes = ctx;

	if (bytes->at >= bytes->size)
		return 0;
	if (len > bytes->size - bytes->at)
		len = bytes->size - bytes->at;
	memcpy(buf, bytes->data + bytes->at, len);
	bytes->at += len;
	return (ssize_t)len;
}

static int bytes_seek(void *ctx, int64_t distance)
{
	struct bytes *bytes = ctx;

	bytes->at += (size_t)distance;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = { .data = data, .size = size };
	struct tce_source source = { .read = bytes_read, .ctx = &bytes, .seek = bytes_seek };
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_geometry geometry;
	static uint64_t words[64];
	struct tce_reader *reader;
	struct tce_extent extent;
	char line[512];
	int ret;

	ret = tce_create_reader(&reader, &source, &err);
	if (ret < 0)
		goto out_format;
	while ((ret = tce_next_table(reader, &geometry, &err)) > 0) {
		uint64_t next = 0;

		if (tce_check_geometry(&geometry, NULL) < 0)
			abort();
		while ((ret = tce_next_extent(reader, &extent, &err)) > 0) {
			uint64_t sum = 0, i, last;

			if (extent.first < next || !extent.count ||
			    extent.first >= geometry.entries ||
			    extent.count > geometry.entries - extent.first)
				abort();
			next = extent.first + extent.count;
			if (extent.words && extent.count > TCE_BLOCK_MAX)
				abort();
			/* Touch every word, so that one that is not there is seen. */
			for (i = 0; extent.words && i < extent.count; i++)
				sum += extent.words[i];
			last = extent.count > 64 ? 64 : extent.count;
			tce_expand_extent(&extent, extent.count - last, words, last);
			for (i = 0; !extent.words && i < last; i++) {
				if (!words[i])
					abort();
			}
			words[0] += sum;
		}
		if (ret < 0)
			break;
	}
	tce_destroy_reader(reader);
out_format:
	if (ret < 0 && (err.code != ret || !tce_format_error(&err, line, sizeof(line))[0]))
		abort();
	return 0;
}

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
	static uint64_t words[40000];
	const struct tce_sink sink = { .write = keep };
	struct tce_geometry geometry = {
		.known = TCE_KNOWN_ALL,
		.liobn = 0x80000000,
		.page_shift = 12,
		.entries = 40000,
	};
	struct tce_writer *writer;
	uint64_t noise = 1;
	int kind;
	size_t i;

	for (kind = 0; kind < 6; kind++) {
		for (i = 0; i < 40000; i++) {
			noise = noise * 6364136223846793005 + 1442695040888963407;
			words[i] = kind == 0 ? 0 :
				   kind == 1 ? (i + 1) << 12 :
				   kind == 2 ? (i < 300 ? noise : 0) :
				   kind == 3 ? (i < 500 && i % 5 ? i / 7 << 20 | i << 12 | 3 : 0) :
				   kind == 4 ? (i % 3 ? 3 : noise & 1) :
				   i < 2000  ? 0x0101010101010101 * (1 + i % 2) :
				   i < 2100  ? noise :
					       0;
		}
		made_size = 0;
		if (tce_create_writer(&writer, &sink, "fuzz", NULL) ||
		    tce_begin_table(writer, &geometry, NULL) ||
		    tce_put_words(writer, 0, words, 40000, NULL) || tce_end_table(writer, NULL) ||
		    tce_end_image(writer, NULL))
			abort();
		tce_destroy_writer(writer);
		add_to_corpus(made, made_size);
	}
	add_updates();
}
