// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tables that are sent as runs: they are seen as they are, pass untouched, and others take their
 * place; what is no such table is not taken for one.
 */
#include <inttypes.h>

#include "stream-maker.h"
#include "stream-private.h"
#include "unit.h"

#define LIOBN	0x80000001U
#define ENTRIES 5000U
#define SHIFT	16
#define OFFSET	(UINT64_C(1) << 59)
#define FIRST	1000 /* of the run */
#define COUNT	2000
#define OTHERS	4990 /* three entries */

/* What the hooks see of the table, and what they put in its place. */
struct seen {
	uint64_t words[ENTRIES];
	uint64_t next;
	unsigned int extents;
	struct tce_stream_table table;
	const uint64_t *others;
};

static int see_words(void *ctx, const struct tce_stream_table *table, uint64_t index,
		     uint64_t *words, size_t count, struct tce_error *err)
{
	struct seen *seen = ctx;

	assert_true(index == seen->next && index + count <= ENTRIES);
	memcpy(seen->words + index, words, count * sizeof(*words));
	if (seen->others)
		memcpy(words, seen->others + index, count * sizeof(*words));
	seen->next = index + count;
	return 0;
}

static int see_extent(void *ctx, const struct tce_stream_table *table,
		      const struct tce_extent *extent, struct tce_error *err)
{
	struct seen *seen = ctx;

	assert_true(extent->first >= seen->next && extent->count);
	assert_true(extent->count <= table->geometry.entries - extent->first);
	if (table->geometry.entries == ENTRIES)
		tce_expand_extent(extent, 0, seen->words + extent->first, extent->count);
	seen->next = extent->first + extent->count;
	seen->extents++;
	return 0;
}

static int see_begin(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct seen *seen = ctx;

	seen->next = 0;
	return 0;
}

static int see_end(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct seen *seen = ctx;

	seen->table = *table;
	return 0;
}

static bool always(void *ctx, const struct tce_stream_table *table)
{
	return true;
}

/* Zeros, a run, zeros, three entries of which one is zero, zeros. */
static void make_words(uint64_t *words)
{
	size_t i;

	memset(words, 0, ENTRIES * sizeof(*words));
	for (i = 0; i < COUNT; i++)
		words[FIRST + i] = (uint64_t)i << SHIFT | 3;
	words[OTHERS] = 0xabcdef0003;
	words[OTHERS + 2] = 0x1230001;
}

static void make_records(struct maker *records)
{
	const uint64_t words[] = { 0xabcdef0003, 0, 0x1230001 };

	put_run(records, FIRST, COUNT, 3, 1 << SHIFT);
	put_words(records, OTHERS, 3, words);
	put_8(records, 0);
}

/* A stream with one table, of these records. */
static void make_stream(struct maker *m, const struct maker *records, uint32_t entries)
{
	put_beginning(m);
	put_ends(m);
	put_table_as_runs(m, 12, LIOBN, SHIFT, OFFSET, entries, records->data, records->size);
	put_device(m, 13, "globalstate", "running", 8);
	put_ending(m);
}

static void make_good_stream(struct maker *m)
{
	struct maker records = { 0 };

	make_records(&records);
	make_stream(m, &records, ENTRIES);
	free_maker(&records);
}

static int look(const struct maker *m, const struct tce_stream_hooks *hooks,
		struct tce_stream_stats *stats, struct tce_error *err)
{
	struct memory in = { .data = m->data, .size = m->size };
	struct tce_source source = memory_source(&in);

	return tce_scan_stream(&source, hooks, stats, err);
}

static int pack(const struct maker *m, size_t piece, const struct tce_stream_hooks *hooks,
		struct memory *packed, struct tce_error *err)
{
	struct memory in = { .data = m->data, .size = m->size, .piece = piece };
	struct tce_source source = memory_source(&in);
	struct tce_sink sink = memory_sink(packed);

	return tce_pack_stream(&source, &sink, hooks, NULL, err);
}

static int unpack(const struct memory *packed, const struct tce_stream_hooks *hooks,
		  struct memory *out, struct tce_error *err)
{
	struct memory in = { .data = packed->data, .size = packed->size };
	struct tce_source source = memory_source(&in);
	struct tce_sink sink = memory_sink(out);

	return tce_unpack_stream(&source, &sink, hooks, NULL, err);
}

static void check_seen(const struct seen *seen)
{
	static uint64_t words[ENTRIES];

	make_words(words);
	assert_memory_equal(seen->words, words, sizeof(words));
	assert_true(seen->table.whole);
	assert_int_equal(seen->table.geometry.known, TCE_KNOWN_ALL);
	assert_int_equal(seen->table.geometry.liobn, LIOBN);
	assert_int_equal(seen->table.geometry.entries, ENTRIES);
	assert_int_equal(seen->table.geometry.page_shift, SHIFT);
	assert_true(seen->table.geometry.bus_offset == OFFSET);
	assert_true(seen->table.default_window);
}

static void runs_are_seen(void **state)
{
	static struct seen seen;
	struct tce_stream_hooks hooks = { .words = see_words, .end_table = see_end, .ctx = &seen };
	struct tce_stream_stats stats;
	struct maker m = { 0 };

	make_good_stream(&m);
	assert_int_equal(look(&m, &hooks, &stats, NULL), 0);
	assert_true(stats.understood);
	assert_int_equal(stats.verdict, TCE_STREAM_AGREES);
	assert_int_equal(stats.tables, 1);
	assert_int_equal(stats.tables_as_runs, 1);
	assert_int_equal(stats.entries, ENTRIES);
	assert_int_equal(seen.next, ENTRIES);
	check_seen(&seen);

	memset(&seen, 0, sizeof(seen));
	hooks.extent = see_extent;
	assert_int_equal(look(&m, &hooks, &stats, NULL), 0);
	assert_int_equal(seen.extents, 2);
	check_seen(&seen);
	free_maker(&m);
}

static void runs_pass_untouched(void **state)
{
	static struct seen seen;
	const struct tce_stream_hooks hooks = {
		.begin_table = see_begin,
		.words = see_words,
		.extent = see_extent,
		.end_table = see_end,
		.ctx = &seen,
	};
	struct memory packed = { 0 }, back = { 0 };
	struct maker m = { 0 };
	size_t piece;

	make_good_stream(&m);
	for (piece = 0; piece < 40; piece++) {
		memset(&seen, 0, sizeof(seen));
		assert_int_equal(pack(&m, piece, piece % 2 ? &hooks : NULL, &packed, NULL), 0);
		if (piece % 2)
			check_seen(&seen);
		assert_int_equal(unpack(&packed, piece % 3 ? &hooks : NULL, &back, NULL), 0);
		assert_int_equal(back.size, m.size);
		assert_memory_equal(back.data, m.data, m.size);
		free_memory(&packed);
		free_memory(&back);
	}
	free_maker(&m);
}

/* The stream with @others in the table's place, packed before or after, is a good one. */
static void check_replaced(const struct maker *m, const uint64_t *others, bool by_unpack)
{
	static struct seen seen, again;
	const struct tce_stream_hooks replace = {
		.words = see_words,
		.extent = see_extent,
		.replaces = always,
		.ctx = &seen,
	};
	const struct tce_stream_hooks hooks = {
		.words = see_words,
		.end_table = see_end,
		.ctx = &again,
	};
	struct memory packed = { 0 }, back = { 0 };
	struct tce_stream_stats stats;
	struct maker changed = { 0 };

	memset(&seen, 0, sizeof(seen));
	memset(&again, 0, sizeof(again));
	seen.others = others;
	assert_int_equal(pack(m, 0, by_unpack ? NULL : &replace, &packed, NULL), 0);
	assert_int_equal(unpack(&packed, by_unpack ? &replace : NULL, &back, NULL), 0);
	assert_int_equal(seen.extents, 0);
	assert_int_equal(seen.next, ENTRIES);
	changed.data = back.data;
	changed.size = back.size;
	assert_int_equal(look(&changed, &hooks, &stats, NULL), 0);
	assert_int_equal(stats.verdict, TCE_STREAM_AGREES);
	assert_true(again.table.whole);
	assert_memory_equal(again.words, others, sizeof(again.words));
	free_memory(&packed);
	free_memory(&back);
}

static void runs_are_replaced(void **state)
{
	static uint64_t others[ENTRIES];
	struct maker m = { 0 };
	size_t i, n;

	make_good_stream(&m);
	for (n = 0; n < content_count; n++) {
		memset(others, 0, sizeof(others));
		contents[n].fill(others, ENTRIES);
		check_replaced(&m, others, n % 2);
		check_replaced(&m, others, !(n % 2));
	}
	make_words(others);
	check_replaced(&m, others, false);
	for (i = 0; i < ENTRIES; i++)
		others[i] = i % 2 ? i * UINT64_C(0x123456789abcdef) : 0;
	check_replaced(&m, others, true);
	free_maker(&m);
}

static void every_truncation_is_refused(void **state)
{
	struct memory packed = { 0 };
	struct maker m = { 0 };
	struct tce_error err;
	size_t size, whole;
	int ret;

	make_good_stream(&m);
	whole = m.size;
	for (size = 0; size < whole; size++) {
		err = (struct tce_error)TCE_ERROR_INIT;
		m.size = size;
		ret = pack(&m, 0, NULL, &packed, &err);
		free_memory(&packed);
		if (size == whole - m.json_size - 5)
			continue;
		/* Here the guest has what the end of a stream without a description looks like. */
		if (size > 6 && m.data[size - 6] == 0x7e && !m.data[size - 1]) {
			assert_int_equal(ret, 0);
			continue;
		}
		assert_int_equal(ret, TCE_ERR_TORN);
		assert_int_equal(err.offset, size);
	}
	free_maker(&m);
}

/* A table of @entries with these records: no table, but all bytes pass. */
static void check_no_table(const struct maker *records, uint32_t entries)
{
	static struct seen seen;
	const struct tce_stream_hooks hooks = {
		.extent = see_extent,
		.end_table = see_end,
		.ctx = &seen,
	};
	struct tce_stream_hooks replace = {
		.words = see_words,
		.replaces = always,
		.ctx = &seen,
	};
	struct memory packed = { 0 }, back = { 0 };
	struct tce_error err = TCE_ERROR_INIT;
	struct maker m = { 0 };

	make_stream(&m, records, entries);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(look(&m, &hooks, NULL, NULL), 0);
	assert_false(seen.table.whole);
	assert_int_equal(pack(&m, 0, NULL, &packed, NULL), 0);
	assert_int_equal(unpack(&packed, NULL, &back, NULL), 0);
	assert_int_equal(back.size, m.size);
	assert_memory_equal(back.data, m.data, m.size);
	free_memory(&packed);
	if (entries == ENTRIES) {
		memset(&seen, 0, sizeof(seen));
		assert_int_equal(pack(&m, 0, &replace, &packed, &err), TCE_ERR_STREAM);
		assert_non_null(strstr(err.message, "spapr_iommu"));
	}
	free_memory(&packed);
	free_memory(&back);
	free_maker(&m);
}

static void bad_records_are_no_table(void **state)
{
	static const struct {
		uint32_t entries, first, count, then;
		uint8_t type;
	} bad[] = {
		{ ENTRIES, 0, ENTRIES + 1, 0, 1 },   /* past the end */
		{ ENTRIES, ENTRIES, 1, 0, 1 },	     /* behind it */
		{ ENTRIES, UINT32_MAX, 1, 0, 1 },    /* far behind it */
		{ ENTRIES, 1, UINT32_MAX, 0, 1 },    /* the sum wraps */
		{ ENTRIES, 7, 0, 0, 1 },	     /* nothing */
		{ ENTRIES, 7, 10, 16, 1 },	     /* the next one overlaps */
		{ ENTRIES, 7, 10, 3, 1 },	     /* the next one comes before */
		{ ENTRIES, 7, 10, 0, 3 },	     /* another type */
		{ ENTRIES, 7, 10, 0, 0x7e },	     /* a footer's mark */
		{ ENTRIES, 0, 513, 0, 2 },	     /* too many entries together */
		{ 0, 0, 1, 0, 1 },		     /* of an empty table */
		{ UINT32_MAX, 5, UINT32_MAX, 0, 1 }, /* of the largest one */
	};
	static const uint64_t words[600];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct maker records = { 0 };

		if (bad[i].type == 2)
			put_words(&records, bad[i].first, bad[i].count, words);
		else
			put_run(&records, bad[i].first, bad[i].count, 3, 1 << SHIFT);
		records.data[0] = bad[i].type;
		if (bad[i].then)
			put_run(&records, bad[i].then, 1, 3, 0);
		put_8(&records, 0);
		check_no_table(&records, bad[i].entries);
		free_maker(&records);
	}
}

/* To look takes no time by what a few bytes claim. */
static void claims_cost_nothing(void **state)
{
	static struct seen seen;
	const struct tce_stream_hooks hooks = {
		.begin_table = see_begin,
		.extent = see_extent,
		.ctx = &seen,
	};
	struct tce_stream_stats stats;
	struct maker m = { 0 }, records = { 0 };
	unsigned int i;

	put_run(&records, 0, UINT32_MAX, 3, 1 << SHIFT);
	put_8(&records, 0);
	put_beginning(&m);
	put_ends(&m);
	for (i = 0; i < 1000; i++)
		put_table_as_runs(&m, 1000 + i, LIOBN + i, SHIFT, OFFSET, UINT32_MAX, records.data,
				  records.size);
	put_ending(&m);
	for (i = 0; i < 2; i++) {
		assert_int_equal(look(&m, i ? &hooks : NULL, &stats, NULL), 0);
		assert_int_equal(stats.tables, 1000);
	}
	free_maker(&records);
	free_maker(&m);
}

/*
 * Runs with zeros among them have to be taken apart by who keeps them. A few bytes that claim many
 * are an error for who looks on; the stream itself passes.
 */
static void zeros_in_runs_are_bounded(void **state)
{
	static struct seen seen;
	const struct tce_stream_hooks hooks = {
		.begin_table = see_begin,
		.extent = see_extent,
		.ctx = &seen,
	};
	const struct {
		uint64_t tce, stride;
		uint32_t count;
		int ret;
	} runs[] = {
		{ 1ULL << 63, 1ULL << 63, UINT32_MAX, TCE_ERR_LIMIT },
		{ 1ULL << 63, 1ULL << 63, 1 << 20, 0 },
		{ 0, 0, UINT32_MAX, 0 },
		{ -(3ULL << SHIFT), 1 << SHIFT, UINT32_MAX, TCE_ERR_LIMIT },
	};
	struct tce_stream_stats stats;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(runs); i++) {
		struct maker m = { 0 }, records = { 0 };

		put_run(&records, 0, runs[i].count, runs[i].tce, runs[i].stride);
		put_8(&records, 0);
		put_beginning(&m);
		put_ends(&m);
		put_table_as_runs(&m, 1000, LIOBN, SHIFT, OFFSET, UINT32_MAX, records.data,
				  records.size);
		put_ending(&m);
		assert_int_equal(look(&m, NULL, &stats, NULL), 0);
		assert_int_equal(look(&m, &hooks, &stats, NULL), runs[i].ret);
		free_maker(&records);
		free_maker(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_are_seen),
		cmocka_unit_test(runs_pass_untouched),
		cmocka_unit_test(runs_are_replaced),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(bad_records_are_no_table),
		cmocka_unit_test(claims_cost_nothing),
		cmocka_unit_test(zeros_in_runs_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
