// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A migration stream there and back, and what was seen of its tables on the way.
 */
#include "stream-trip.h"

int see_begin(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct seen *seen = ctx;

	assert_true(seen->count < ARRAY_SIZE(seen->tables));
	assert_int_equal(table->geometry.known, TCE_KNOWN_LIOBN | TCE_KNOWN_ENTRIES);
	return 0;
}

int see_words(void *ctx, const struct tce_stream_table *table, uint64_t index, uint64_t *words,
	      size_t count, struct tce_error *err)
{
	struct seen *seen = ctx;
	size_t i;

	for (i = 0; i < count; i++) {
		if (index + i < ARRAY_SIZE(seen->words))
			seen->words[index + i] = words[i];
		words[i] ^= seen->xor ;
	}
	return 0;
}

int see_end(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct seen *seen = ctx;

	seen->tables[seen->count++] = *table;
	return 0;
}

int pack(const uint8_t *data, size_t size, struct memory *packed, size_t piece,
	 struct tce_stream_stats *stats, struct tce_error *err)
{
	struct memory in = { .data = (uint8_t *)(uintptr_t)data, .size = size, .piece = piece };
	struct tce_source source = memory_source(&in);
	struct tce_sink sink = memory_sink(packed);

	return tce_pack_stream(&source, &sink, NULL, stats, err);
}

int unpack(const uint8_t *data, size_t size, struct memory *out,
	   const struct tce_stream_hooks *hooks, struct tce_stream_stats *stats,
	   struct tce_error *err)
{
	struct memory in = { .data = (uint8_t *)(uintptr_t)data, .size = size };
	struct tce_source source = memory_source(&in);
	struct tce_sink sink = memory_sink(out);

	return tce_unpack_stream(&source, &sink, hooks, stats, err);
}

int round_trip(const struct maker *m, size_t piece, struct tce_stream_stats *stats)
{
	static const struct tce_stream_hooks no_hooks;
	struct memory packed = { 0 }, back = { 0 }, again = { 0 };
	struct tce_error err = TCE_ERROR_INIT;
	int ret;

	ret = pack(m->data, m->size, &packed, piece, stats, &err);
	if (ret) {
		assert_int_equal(err.code, ret);
		assert_true(err.message[0]);
	} else {
		assert_int_equal(unpack(packed.data, packed.size, &back, NULL, NULL, &err), 0);
		assert_int_equal(back.size, m->size);
		assert_memory_equal(back.data, m->data, m->size);
		assert_int_equal(unpack(packed.data, packed.size, &again, &no_hooks, NULL, &err),
				 0);
		assert_int_equal(again.size, m->size);
		assert_memory_equal(again.data, m->data, m->size);
	}
	free_memory(&packed);
	free_memory(&back);
	free_memory(&again);
	return ret;
}

void check_untouched(struct maker *m, const char *says)
{
	struct tce_stream_stats stats;

	put_bytes(m, "whatever comes", 14);
	assert_int_equal(round_trip(m, 0, &stats), 0);
	assert_false(stats.understood);
	if (!strstr(stats.stopped_why, says))
		fail_msg("'%s' does not say '%s'", stats.stopped_why, says);
	assert_true(stats.stopped_at <= m->size);
	assert_false(stats.trailing);
	free_maker(m);
}

void check_refused(struct maker *m, int code, const char *says)
{
	struct memory packed = { 0 };
	struct tce_error err = TCE_ERROR_INIT;

	assert_int_equal(pack(m->data, m->size, &packed, 0, NULL, &err), code);
	if (!strstr(err.message, says))
		fail_msg("'%s' does not say '%s'", err.message, says);
	assert_true(err.fields & TCE_ERROR_OFFSET);
	assert_true(err.offset <= m->size);
	free_memory(&packed);
	free_maker(m);
}
