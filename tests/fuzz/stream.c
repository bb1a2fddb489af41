// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: the stream codec. QEMU's stream, whatever it is, is refused or packs to what unpacks
 * to the same bytes; a packed one is refused or unpacks.
 *
 * As for images, any hash is taken here: no changed byte is stopped by one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/stream-maker.h"
#include "fuzz.h"
#include "tce-stream.h"

/* A run can stand for 2^32 entries, and a small input for as many bytes as one likes. */
#define OUTPUT_MAX  (4 << 20)
#define CHANGED_MAX (1 << 17)

struct output {
	uint8_t data[OUTPUT_MAX];
	size_t size;
};

static struct output packed, back;

static int output_write(void *ctx, const void *buf, size_t len)
{
	struct output *output = ctx;

	if (len > OUTPUT_MAX - output->size || fails_now())
		return -1;
	memcpy(output->data + output->size, buf, len);
	output->size += len;
	return 0;
}

static int end_table(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	if (table->whole && table->geometry.entries && tce_check_geometry(&table->geometry, NULL))
		abort();
	return 0;
}

static void check_error(int ret, const struct tce_error *err)
{
	if (ret > 0)
		abort();
	check_status(ret, err);
}

static int unpack(const uint8_t *data, size_t size, const struct tce_stream_hooks *hooks)
{
	struct fuzz_bytes bytes = { data, size };
	struct tce_source source = bytes_source(&bytes);
	struct tce_sink sink = { output_write, &back };
	struct tce_error err = TCE_ERROR_INIT;
	int ret;

	back.size = 0;
	ret = tce_unpack_stream(&source, &sink, hooks, NULL, &err);
	check_error(ret, &err);
	return ret;
}

static int take_extent(void *ctx, const struct tce_stream_table *table,
		       const struct tce_extent *extent, struct tce_error *err)
{
	if (extent->first >= table->geometry.entries ||
	    extent->count > table->geometry.entries - extent->first)
		abort();
	return 0;
}

static int skip(void *ctx, int64_t distance)
{
	struct fuzz_bytes *bytes = ctx;

	if (fails_now())
		return -ESPIPE;
	if ((uint64_t)distance > bytes->size)
		distance = (int64_t)bytes->size;
	bytes->data += distance;
	bytes->size -= (size_t)distance;
	return 0;
}

/* Only looked at, a stream of either kind takes time for what is there, whatever it claims. */
static void look(const uint8_t *data, size_t size)
{
	static const struct tce_stream_hooks hooks = {
		.extent = take_extent,
		.end_table = end_table,
	};
	struct fuzz_bytes bytes = { data, size };
	struct tce_source source = bytes_source(&bytes);
	struct tce_error err = TCE_ERROR_INIT;

	source.seek = skip;
	check_error(tce_scan_stream(&source, &hooks, NULL, &err), &err);
}

/* Others in the place of all entries: what was a good stream is one then. */
static int change_words(void *ctx, const struct tce_stream_table *table, uint64_t index,
			uint64_t *words, size_t count, struct tce_error *err)
{
	uint64_t *left = ctx;
	size_t i;

	if (count > *left)
		return tce_set_error(err, TCE_ERR_LIMIT, 0, "too many entries");
	*left -= count;
	for (i = 0; i < count; i++)
		words[i] ^= (index + i) % 7 == 3 ? 0x5000 : 0;
	return 0;
}

static bool replaces(void *ctx, const struct tce_stream_table *table)
{
	return true;
}

static void replace(const uint8_t *data, size_t size)
{
	uint64_t left = CHANGED_MAX;
	const struct tce_stream_hooks hooks = {
		.words = change_words,
		.replaces = replaces,
		.ctx = &left,
	};
	struct fuzz_bytes bytes = { data, size };
	struct tce_source source = bytes_source(&bytes);
	struct tce_sink sink = { output_write, &packed };
	struct tce_stream_stats before, after;
	struct tce_error err = TCE_ERROR_INIT;
	int ret;

	packed.size = 0;
	ret = tce_pack_stream(&source, &sink, &hooks, &before, &err);
	check_error(ret, &err);
	if (ret || before.verdict != TCE_STREAM_AGREES)
		return;
	bytes = (struct fuzz_bytes){ packed.data, packed.size };
	ret = tce_scan_stream(&source, NULL, &after, NULL);
	if (!has_failed() && (ret || after.verdict != TCE_STREAM_AGREES))
		abort();
}

void fuzz_one(const uint8_t *data, size_t size)
{
	static const struct tce_stream_hooks hooks = { .end_table = end_table };
	struct fuzz_bytes bytes = { data, size };
	struct tce_source source = bytes_source(&bytes);
	struct tce_sink sink = { output_write, &packed };
	struct tce_error err = TCE_ERROR_INIT;
	int ret;

	look(data, size);
	replace(data, size);
	unpack(data, size, NULL);
	unpack(data, size, &hooks);
	packed.size = 0;
	ret = tce_pack_stream(&source, &sink, &hooks, NULL, &err);
	check_error(ret, &err);
	if (ret)
		return;
	ret = unpack(packed.data, packed.size, NULL);
	if (ret ? !has_failed() : back.size != size || memcmp(back.data, data, size))
		abort();
}

static void add(struct maker *m)
{
	struct fuzz_bytes bytes = { m->data, m->size };
	struct tce_source source = bytes_source(&bytes);
	struct tce_sink sink = { output_write, &packed };

	add_to_corpus(m->data, m->size);
	packed.size = 0;
	if (!tce_pack_stream(&source, &sink, NULL, NULL, NULL))
		add_to_corpus(packed.data, packed.size);
	free_maker(m);
}

void fill_corpus(void)
{
	static const uint8_t noise[] =
		"\x7e\0\0\0\x05\x04\0\0\0\x06\x0bspapr_iommu\x80\0\0\0\0\0\0\3";
	struct maker m = { 0 }, records = { 0 };
	uint64_t words[40];
	size_t i;

	for (i = 0; i < 40; i++)
		words[i] = i % 5 ? i * i << 12 | 3 : 0;
	make_small_stream(&m);
	add(&m);
	put_beginning(&m);
	put_parts(&m, 0);
	put_ends(&m);
	put_table(&m, 4, 0x80000000, 12, 0, words, 40);
	put_ending(&m);
	add(&m);
	put_beginning(&m);
	put_ends(&m);
	put_device(&m, 5, "spapr_nvram", noise, sizeof(noise) - 1);
	put_table(&m, 4, 0x80000001, 24, 1 << 24, words, 9);
	put_ending(&m);
	add(&m);
	put_run(&records, 2, 30, 3, 1 << 16);
	put_words(&records, 40, 40, words);
	put_run(&records, 90, 1, 3, 0);
	put_8(&records, 0);
	put_beginning(&m);
	put_ends(&m);
	put_table_as_runs(&m, 4, 0x80000000, 16, 0, 100, records.data, records.size);
	put_device(&m, 5, "spapr_nvram", noise, sizeof(noise) - 1);
	put_table_as_runs(&m, 6, 0x80000001, 12, 0, 0, "", 1);
	put_ending(&m);
	add(&m);
	free_maker(&records);
	put_beginning(&m);
	put_section(&m, 1, 9, "vfio", 0, 1);
	add(&m);
}
