// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: the image reader. Whatever the bytes are, what is handed out lies inside the table.
 *
 * A changed byte would always be stopped at a hash. So this program is linked with a library that
 * takes any hash, and begins with images of the writer and of the independent one of the unit
 * tests.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tce-stream.h"

static int bytes_seek(void *ctx, int64_t distance)
{
	struct fuzz_bytes *bytes = ctx;

	if (fails_now())
		return -EIO;
	/* Backwards, too: those bytes are still there. */
	if (distance > 0 && (uint64_t)distance > bytes->size)
		distance = (int64_t)bytes->size;
	bytes->data += distance;
	bytes->size -= (size_t)distance;
	return 0;
}

static uint8_t copy[4 << 20];
static size_t copy_size;

static int keep_copy(void *ctx, const void *buf, size_t len)
{
	if (len > sizeof(copy) - copy_size || fails_now())
		return -EIO;
	memcpy(copy + copy_size, buf, len);
	copy_size += len;
	return 0;
}

/* Pieces of a table, up to a limit: a short image may have 2^50 entries in as many words. */
struct pieces {
	struct tce_reader *reader;
	unsigned int left;
};

static int next_piece(void *ctx, struct tce_extent *extent, struct tce_error *err)
{
	struct pieces *pieces = ctx;

	if (!pieces->left--)
		return tce_set_error(err, TCE_ERR_LIMIT, 0, "enough pieces");
	return tce_next_extent(pieces->reader, extent, err);
}

/* A copy of the whole image is one, and its tables have the same words. */
static int copy_image(const uint8_t *data, size_t size, uint64_t *sum, struct tce_error *err)
{
	const struct tce_sink sink = { .write = keep_copy };
	struct fuzz_bytes bytes = { data, size };
	struct tce_source source = bytes_source(&bytes);
	struct tce_writer *writer = NULL;
	struct tce_geometry geometry;
	struct pieces pieces = { .left = 5000 };
	const struct tce_extents from = { next_piece, &pieces };
	int ret;

	*sum = 0;
	copy_size = 0;
	source.seek = bytes_seek;
	ret = tce_create_reader(&pieces.reader, &source, err);
	if (!ret)
		ret = tce_create_writer(&writer, &sink, tce_reader_made_by(pieces.reader), err);
	while (!ret && (ret = tce_next_table(pieces.reader, &geometry, err)) > 0) {
		*sum = *sum * 31 + geometry.entries + geometry.liobn;
		if (geometry.entries % 16 == 3)
			ret = tce_skip_table(pieces.reader, err);
		else
			ret = tce_copy_table(writer, &geometry, &from, NULL, err);
	}
	if (!ret)
		ret = tce_end_image(writer, err);
	if (!ret && tce_writer_size(writer) != copy_size)
		abort();
	tce_destroy_writer(writer);
	tce_destroy_reader(pieces.reader);
	return ret;
}

/* A program that uses a writer wrongly is told so, and its image never becomes whole. */
static void misuse_writer(const struct tce_geometry *geometry)
{
	const struct tce_sink sink = { .write = keep_copy };
	const struct tce_extent run = { .first = geometry->entries, .count = 2, .tce = 3 };
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_writer *writer;
	uint64_t word = 3;

	copy_size = 0;
	if (tce_create_writer(&writer, &sink, NULL, &err))
		return;
	check_status(tce_end_table(writer, &err), &err);
	check_status(tce_put_words(writer, 0, &word, 1, &err), &err);
	check_status(tce_put_run(writer, &run, &err), &err);
	check_status(tce_begin_table(writer, geometry, &err), &err);
	check_status(tce_begin_table(writer, geometry, &err), &err);
	check_status(tce_put_run(writer, &run, &err), &err);
	check_status(tce_put_words(writer, geometry->entries, &word, 1, &err), &err);
	if (!tce_end_image(writer, &err) && !has_failed())
		abort();
	tce_destroy_writer(writer);
}

static void check_copy(const uint8_t *data, size_t size)
{
	static uint8_t first[sizeof(copy)];
	struct tce_error err = TCE_ERROR_INIT;
	size_t first_size;
	uint64_t sum, again;
	int ret = copy_image(data, size, &sum, &err);

	check_status(ret, &err);
	if (ret)
		return;
	/* And a copy of a copy is the same to the byte. */
	first_size = copy_size;
	memcpy(first, copy, copy_size);
	ret = copy_image(first, first_size, &again, &err);
	check_status(ret, &err);
	if (has_failed())
		return;
	if (ret || copy_size != first_size || memcmp(copy, first, first_size))
		abort();
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct fuzz_bytes bytes = { data, size };
	struct tce_source source = bytes_source(&bytes);
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_geometry geometry;
	static uint64_t words[64];
	struct tce_reader *reader;
	struct tce_extent extent;
	int ret;

	check_copy(data, size);
	source.seek = bytes_seek;
	ret = tce_create_reader(&reader, &source, &err);
	if (ret < 0)
		goto out_check;
	while ((ret = tce_next_table(reader, &geometry, &err)) > 0) {
		uint64_t next = 0;

		if (tce_check_geometry(&geometry, NULL) < 0)
			abort();
		if (geometry.entries % 8 == 0)
			misuse_writer(&geometry);
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
out_check:
	check_status(ret, &err);
}
