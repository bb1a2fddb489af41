// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: unpacking, which is what a destination does with what the network brings. Whatever
 * the bytes are, they are refused or become as many bytes as the statistics say; and who only looks
 * finds no other tables than who unpacks.
 */
#include <stdlib.h>

#include "fuzz.h"
#include "tce-stream.h"

/* More than enough to get to any place of the code. */
#define OUTPUT_MAX (8ULL << 20)

struct tables {
	uint64_t count, entries;
};

static int count_bytes(void *ctx, const void *buf, size_t len)
{
	uint64_t *bytes = ctx;

	if (len > OUTPUT_MAX - *bytes || fails_now())
		return -1;
	*bytes += len;
	return 0;
}

static int end_table(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct tables *tables = ctx;

	tables->count++;
	tables->entries += table->geometry.entries;
	return 0;
}

static int take_words(void *ctx, const struct tce_stream_table *table, uint64_t index,
		      uint64_t *words, size_t count, struct tce_error *err)
{
	if (index >= table->geometry.entries || count > table->geometry.entries - index || !count)
		abort();
	if (fails_now() || index > OUTPUT_MAX)
		return tce_set_error(err, TCE_ERR_LIMIT, 0, "enough words");
	return 0;
}

static int unpack(const uint8_t *data, size_t size, const struct tce_stream_hooks *hooks)
{
	struct fuzz_bytes bytes = { data, size };
	struct tce_source source = bytes_source(&bytes);
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_stream_stats stats;
	uint64_t written = 0;
	struct tce_sink sink = { count_bytes, &written };
	int ret = tce_unpack_stream(&source, &sink, hooks, &stats, &err);

	check_status(ret, &err);
	if (!ret && stats.bytes != written)
		abort();
	return ret;
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct tables unpacked = { 0 }, looked = { 0 };
	struct tce_stream_hooks hooks = { .end_table = end_table, .ctx = &unpacked };
	struct fuzz_bytes bytes = { data, size };
	struct tce_source source = bytes_source(&bytes);
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_stream_stats stats;
	int plain, hooked, ret;

	plain = unpack(data, size, NULL);
	hooked = unpack(data, size, &hooks);
	hooks.ctx = &looked;
	if (size % 2)
		hooks.words = take_words;
	ret = tce_scan_stream(&source, &hooks, &stats, &err);
	check_status(ret, &err);
	if (has_failed() || plain || hooked || ret)
		return;
	if (looked.count != unpacked.count || looked.entries != unpacked.entries)
		abort();
}
