// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Images: what is written comes back, whatever the table, and says the same on every host.
 */
#include <inttypes.h>
#include "tce-stream.h"
#include "unit.h"

static const struct {
	uint32_t page_shift;
	uint64_t bus_offset;
	uint64_t entries;
} shapes[] = {
	{ 12, 0, 1 },
	{ 12, 0, 511 },
	{ 16, 0x800000000000000, 8192 },
	{ 24, 1ULL << 40, 100003 },
	{ 34, 0, 1 << 17 },
};

static void check_round_trip(const struct content *content, const struct tce_geometry *geometry)
{
	const size_t size = geometry->entries * sizeof(uint64_t);
	uint64_t *words = calloc(1, size), *back = malloc(size);
	struct memory whole = { 0 }, cut = { 0 };
	struct tce_geometry read;
	struct tce_error err = TCE_ERROR_INIT;
	size_t i;

	assert_non_null(words);
	assert_non_null(back);
	content->fill(words, geometry->entries);
	write_image(&whole, geometry, words, 0);
	write_image(&cut, geometry, words, geometry->entries + 77);
	if (whole.size != cut.size || memcmp(whole.data, cut.data, cut.size))
		fail_msg("%s, %" PRIu64 " entries: other bytes when cut into other calls",
			 content->name, geometry->entries);

	/* What the reader does not hand out is zero; what it does, it hands out once. */
	memset(back, 0, size);
	whole.piece = 1021;
	assert_int_equal(read_image(&whole, &read, back, geometry->entries, &err), 1);
	assert_int_equal(read.known, geometry->known);
	assert_int_equal(read.page_shift, geometry->page_shift);
	assert_int_equal(read.flags, geometry->flags);
	assert_true(read.liobn == geometry->liobn);
	assert_true(read.bus_offset == geometry->bus_offset);
	assert_true(read.entries == geometry->entries);
	assert_string_equal(read.origin, geometry->origin);
	for (i = 0; i < geometry->entries; i++) {
		if (words[i] != back[i])
			fail_msg("%s, %" PRIu64 " entries: entry %zu is 0x%" PRIx64
				 ", not 0x%" PRIx64,
				 content->name, geometry->entries, i, back[i], words[i]);
	}
	assert_true(whole.size <= size + size / 100 + 256);
	free_memory(&whole);
	free_memory(&cut);
	free(words);
	free(back);
}

/* If this fails, a guest's mappings come back wrong after a restore. */
static void round_trip_of_every_content(void **state)
{
	size_t i, k;

	for (i = 0; i < content_count; i++) {
		for (k = 0; k < ARRAY_SIZE(shapes); k++) {
			struct tce_geometry geometry = make_geometry(
				0x80000000 + i, shapes[k].page_shift, shapes[k].bus_offset,
				shapes[k].entries);

			check_round_trip(&contents[i], &geometry);
		}
	}
}

/* If this fails, the usual 64-bit window of a guest costs megabytes instead of a few bytes. */
static void linear_table_is_one_run(void **state)
{
	const uint64_t entries = 300000;
	struct tce_geometry geometry = make_geometry(1, 16, 0, entries), read;
	uint64_t *words = calloc(entries, sizeof(*words));
	struct memory memory = { 0 };
	struct tce_source source;
	struct tce_reader *reader;
	struct tce_extent extent;
	size_t i;

	assert_non_null(words);
	for (i = 0; i < entries; i++)
		words[i] = i << 16 | 3;
	write_image(&memory, &geometry, words, 0);
	assert_true(memory.size < 256);

	source = memory_source(&memory);
	assert_int_equal(tce_create_reader(&reader, &source, NULL), 0);
	assert_string_equal(tce_reader_made_by(reader), "unit");
	assert_int_equal(tce_next_table(reader, &read, NULL), 1);
	assert_int_equal(tce_next_extent(reader, &extent, NULL), 1);
	assert_null(extent.words);
	assert_int_equal(extent.first, 0);
	assert_int_equal(extent.count, entries);
	assert_int_equal(extent.tce, 3);
	assert_int_equal(extent.stride, 1 << 16);
	assert_int_equal(tce_next_extent(reader, &extent, NULL), 0);
	assert_int_equal(tce_next_table(reader, &read, NULL), 0);
	assert_int_equal(tce_reader_offset(reader), memory.size);
	tce_destroy_reader(reader);
	free_memory(&memory);
	free(words);
}

/* If this fails, tables of fragmented guests grow past what a disk or a network was planned for. */
static void short_runs_are_small(void **state)
{
	const uint64_t entries = 1 << 17;
	struct tce_geometry geometry = make_geometry(1, 12, 0, entries);
	uint64_t *words = calloc(entries, sizeof(*words));
	struct memory memory = { 0 };
	size_t i;

	assert_non_null(words);
	for (i = 0; i < content_count; i++) {
		if (strcmp(contents[i].name, "runs"))
			continue;
		contents[i].fill(words, entries);
		write_image(&memory, &geometry, words, 0);
		assert_true(memory.size && memory.size <= entries * 8 / 4);
	}
	free_memory(&memory);
	free(words);
}

static void expect_words(const char *fixture, uint64_t *words, size_t count)
{
	struct tce_geometry geometry;
	struct tce_error err = TCE_ERROR_INIT;
	struct memory memory;
	uint64_t *back = calloc(count, sizeof(*back));

	assert_non_null(back);
	read_fixture(fixture, &memory);
	assert_true(read_image(&memory, &geometry, back, count, &err) > 0);
	assert_int_equal(geometry.entries, count);
	assert_memory_equal(words, back, count * sizeof(*back));
	free(back);
	free_memory(&memory);
}

static void fill_mixed_fixture(uint64_t *words)
{
	size_t i;

	for (i = 0; i < 3; i++)
		words[10 + i] = 0x10003 + i * 0x10000;
	words[18] = 0x50001;
	words[19] = 0x60001;
	words[20] = 0xfffffffffffffffe;
	for (i = 0; i < 4; i++)
		words[21 + i] = 0x123456789abcdef0;
	words[999] = 0x70003;
	words[1000] = 3;
}

/* If this fails, an image from another host, or by another program, reads as other entries. */
static void images_of_an_independent_writer(void **state)
{
	uint64_t *words = calloc(262144, sizeof(*words));
	size_t i, k;

	assert_non_null(words);
	for (i = 0; i < 262144; i++)
		words[i] = i << 12 | 3;
	expect_words("good-linear.img", words, 262144);

	memset(words, 0, 262144 * sizeof(*words));
	fill_mixed_fixture(words);
	expect_words("good-mixed.img", words, 1001);

	memset(words, 0, 262144 * sizeof(*words));
	for (i = 512; i < 1024; i++)
		words[i] = 0x0101010101010101;
	for (i = 1, k = 1500; i < 99; i++) {
		if (!(i % 2))
			k++;
		words[k++] = i % 2 ? 3 + 4096 * i : 7;
	}
	expect_words("good-squeezed.img", words, 2048);

	memset(words, 0, 262144 * sizeof(*words));
	words[1] = 0x10000003;
	expect_words("good-stock.img", words, 8192);

	memset(words, 0, 262144 * sizeof(*words));
	for (i = 0; i < 500; i++)
		words[i] = i < 50 || i >= 400 ? (i + 1) << 12 | 3 :
			   i < 150	      ? (i - 50 + 9) << 12 | 3 :
						0;
	words[600] = 1;
	words[601] = 0x77;
	words[999] = 0x5003;
	expect_words("good-updates.img", words, 1000);
	free(words);
}

/* If this fails, images of the same tables, made on two hosts, differ byte for byte. */
static void same_bytes_as_an_independent_writer(void **state)
{
	struct tce_geometry geometry = make_geometry(0x80000001, 16, 0x800000000000000, 1001);
	uint64_t words[1001] = { 0 }, seed = 1;
	struct memory expected, memory = { 0 };
	struct tce_sink sink = memory_sink(&memory);
	struct tce_writer *writer;
	size_t i;

	strcpy(geometry.origin, "a big-endian host");
	fill_mixed_fixture(words);
	assert_int_equal(tce_create_writer(&writer, &sink, "fixture", NULL), 0);
	assert_int_equal(tce_begin_table(writer, &geometry, NULL), 0);
	assert_int_equal(tce_put_words(writer, 0, words, 1001, NULL), 0);
	assert_int_equal(tce_end_table(writer, NULL), 0);

	geometry = make_geometry(0x80000002, 24, 0, 64);
	strcpy(geometry.origin, "a big-endian host");
	for (i = 0; i < 64; i++) {
		seed = seed * 6364136223846793005 + 1442695040888963407;
		words[i] = seed;
	}
	assert_int_equal(tce_begin_table(writer, &geometry, NULL), 0);
	assert_int_equal(tce_put_words(writer, 0, words, 64, NULL), 0);
	assert_int_equal(tce_end_table(writer, NULL), 0);
	assert_int_equal(tce_end_image(writer, NULL), 0);
	tce_destroy_writer(writer);

	read_fixture("good-mixed.img", &expected);
	assert_int_equal(memory.size, expected.size);
	assert_memory_equal(memory.data, expected.data, expected.size);
	free_memory(&expected);
	free_memory(&memory);
}

/* If this fails, what a stock kernel did not tell is taken for known, and guessed, later. */
static void unknown_geometry_stays_unknown(void **state)
{
	struct tce_geometry geometry = { .entries = 8192 }, read;
	struct memory memory;
	struct tce_error err;

	read_fixture("good-stock.img", &memory);
	assert_int_equal(read_image(&memory, &read, NULL, 0, NULL), 1);
	assert_int_equal(read.known, 0);
	assert_int_equal(read.entries, geometry.entries);
	free_memory(&memory);

	geometry = make_geometry(1, 12, 0, 8192);
	assert_int_equal(tce_match_geometry(&read, &geometry, &err), TCE_ERR_UNKNOWN);
	assert_int_equal(tce_match_geometry(&geometry, &read, &err), TCE_ERR_UNKNOWN);
	read.known = TCE_KNOWN_ALL & ~TCE_KNOWN_ENTRIES;
	assert_int_equal(tce_match_geometry(&read, &geometry, &err), TCE_ERR_UNKNOWN);
	assert_non_null(strstr(err.message, "number of entries"));
}

/* If this fails, a table is put into a window of another shape, and DMA goes elsewhere. */
static void wrong_geometry_is_named(void **state)
{
	struct tce_geometry from = make_geometry(1, 12, 0, 8192), to = from;
	struct tce_error err;

	to.liobn = 2;
	assert_int_equal(tce_match_geometry(&from, &to, &err), 0);
	to.page_shift = 16;
	assert_int_equal(tce_match_geometry(&from, &to, &err), TCE_ERR_GEOMETRY);
	assert_non_null(strstr(err.message, "page shift is 12"));
	to = from;
	to.bus_offset = 0x1000;
	assert_int_equal(tce_match_geometry(&from, &to, &err), TCE_ERR_GEOMETRY);
	assert_non_null(strstr(err.message, "bus offset"));
	to = from;
	to.entries = 8191;
	assert_int_equal(tce_match_geometry(&from, &to, &err), TCE_ERR_GEOMETRY);
	assert_non_null(strstr(err.message, "8191"));
}

/* If this fails, an image inside a stream swallows what follows it. */
static void reader_stops_at_the_end(void **state)
{
	struct tce_geometry geometry = make_geometry(1, 12, 0, 4);
	const uint64_t words[4] = { 1, 2, 3, 9 };
	struct memory memory = { 0 };

	write_image(&memory, &geometry, words, 0);
	memory.data = realloc(memory.data, memory.size + 100);
	assert_non_null(memory.data);
	memory.size += 100;
	assert_int_equal(read_image(&memory, &geometry, NULL, 0, NULL), 1);
	assert_int_equal(memory.read, memory.size - 100);
	free_memory(&memory);
}

/* If this fails, a VMM's mistake writes a broken image instead of failing where it is made. */
static void calls_out_of_order_are_refused(void **state)
{
	struct tce_geometry geometry = make_geometry(1, 12, 0, 100), read, bad;
	const uint64_t words[4] = { 1, 2, 3, 4 };
	struct memory memory = { 0 };
	struct tce_sink sink = memory_sink(&memory), no_sink = { 0 };
	struct tce_source source, no_source = { 0 };
	struct tce_writer *writer;
	struct tce_reader *reader;
	struct tce_extent extent;
	char name[200];

	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(tce_create_writer(&writer, NULL, NULL, NULL), TCE_ERR_ARG);
	assert_int_equal(tce_create_writer(&writer, &no_sink, NULL, NULL), TCE_ERR_ARG);
	assert_int_equal(tce_create_writer(&writer, &sink, name, NULL), TCE_ERR_ARG);
	assert_int_equal(tce_create_reader(&reader, NULL, NULL), TCE_ERR_ARG);
	assert_int_equal(tce_create_reader(&reader, &no_source, NULL), TCE_ERR_ARG);

	assert_int_equal(tce_create_writer(&writer, &sink, NULL, NULL), 0);
	assert_int_equal(tce_put_words(writer, 0, words, 4, NULL), TCE_ERR_ARG);
	assert_int_equal(tce_end_table(writer, NULL), TCE_ERR_ARG);
	bad = geometry;
	bad.page_shift = 11;
	assert_int_equal(tce_begin_table(writer, &bad, NULL), TCE_ERR_GEOMETRY);
	bad = geometry;
	memset(bad.origin, 'x', sizeof(bad.origin));
	assert_int_equal(tce_begin_table(writer, &bad, NULL), TCE_ERR_ARG);
	assert_int_equal(tce_begin_table(writer, &geometry, NULL), 0);
	assert_int_equal(tce_begin_table(writer, &geometry, NULL), TCE_ERR_ARG);
	assert_int_equal(tce_end_image(writer, NULL), TCE_ERR_ARG);
	assert_int_equal(tce_put_words(writer, 10, words, 4, NULL), 0);
	assert_int_equal(tce_put_words(writer, 13, words, 1, NULL), TCE_ERR_ARG);
	assert_int_equal(tce_put_words(writer, 14, words, 0, NULL), 0);
	assert_int_equal(tce_end_table(writer, NULL), 0);
	assert_int_equal(tce_end_image(writer, NULL), 0);
	assert_int_equal(tce_begin_table(writer, &geometry, NULL), TCE_ERR_ARG);
	assert_int_equal(tce_end_image(writer, NULL), TCE_ERR_ARG);
	tce_destroy_writer(writer);

	source = memory_source(&memory);
	assert_int_equal(tce_create_reader(&reader, &source, NULL), 0);
	assert_int_equal(tce_next_extent(reader, &extent, NULL), 0);
	assert_int_equal(tce_next_table(reader, &read, NULL), 1);
	assert_int_equal(tce_next_table(reader, &read, NULL), 0);
	assert_int_equal(tce_next_table(reader, &read, NULL), 0);
	assert_int_equal(tce_next_extent(reader, &extent, NULL), 0);
	tce_destroy_reader(reader);
	free_memory(&memory);

	tce_destroy_writer(NULL);
	tce_destroy_reader(NULL);
}

/*
 * If this fails, entries past a table's end are written into the image, and refused only at the
 * restore.
 */
static void writer_refuses_entries_past_the_end(void **state)
{
	struct tce_geometry geometry = make_geometry(0x42, 12, 0, 10);
	const uint64_t words[4] = { 1, 2, 3, 4 };
	struct memory memory = { 0 };
	struct tce_sink sink = memory_sink(&memory);
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_writer *writer;

	assert_int_equal(tce_create_writer(&writer, &sink, NULL, NULL), 0);
	assert_int_equal(tce_begin_table(writer, &geometry, NULL), 0);
	assert_int_equal(tce_put_words(writer, 7, words, 4, &err), TCE_ERR_RANGE);
	assert_int_equal(err.fields, TCE_ERROR_LIOBN | TCE_ERROR_INDEX);
	assert_int_equal(err.liobn, 0x42);
	assert_int_equal(err.index, 7);
	assert_int_equal(tce_put_words(writer, 0, words, 1, &err), TCE_ERR_ARG);
	tce_destroy_writer(writer);
	free_memory(&memory);
}

/* If this fails, a view, a diff or an image takes a zero for a part of a run. */
static void runs_end_before_zeros(void **state)
{
	uint64_t words[64] = { 0 }, stride;
	size_t i;

	assert_int_equal(tce_measure_run(words, 64, &stride), 64);
	for (i = 0; i < 64; i++)
		words[i] = (40 - i) * 4096;
	assert_int_equal(tce_measure_run(words, 64, &stride), 40);
	assert_int_equal(stride, (uint64_t)-4096);
	assert_int_equal(tce_count_used(words, 64), 63);
	assert_int_equal(tce_count_used(words + 40, 1), 0);
	assert_int_equal(tce_count_used(words, 0), 0);
	assert_int_equal(tce_measure_run(words, 1, &stride), 1);
	assert_int_equal(stride, 0);
	for (i = 0; i < 64; i++)
		words[i] = i % 2 ? 1ULL << 63 : 0;
	assert_int_equal(tce_measure_run(words + 1, 63, &stride), 1);
	for (i = 0; i < 64; i++)
		words[i] = 5 + i * 0x4000000000000000;
	assert_int_equal(tce_measure_run(words, 64, &stride), 64);
}

/*
 * If this fails, a table is other than it was, at places that only some lengths of runs and gaps
 * bring about.
 */
static void runs_of_every_length_come_back(void **state)
{
	struct tce_geometry geometry = make_geometry(0x42, 12, 0, 4096);
	uint64_t words[4096], back[4096], seed = 7;
	struct tce_reader *reader;
	struct tce_cursor cursor;
	struct tce_writer *writer;
	struct memory memory;
	struct tce_source source;
	struct tce_sink sink;
	size_t round, i, n;

	for (round = 0; round < 400; round++) {
		/* Lengths around those at which the search for the end of a run changes its way. */
		for (i = 0; i < 4096; i += n) {
			uint64_t stride = next_random(&seed) % 3 << 12;
			uint64_t tce = next_random(&seed) & 0xfffff003;
			size_t k;

			n = round % 2 ? 1 + next_random(&seed) % 5 : 60 + next_random(&seed) % 140;
			n = n < 4096 - i ? n : 4096 - i;
			if (next_random(&seed) % 4 == 0)
				tce = stride = 0;
			for (k = 0; k < n; k++)
				words[i + k] = tce + k * stride;
		}
		memset(&memory, 0, sizeof(memory));
		sink = memory_sink(&memory);
		assert_int_equal(tce_create_writer(&writer, &sink, NULL, NULL), 0);
		assert_int_equal(tce_begin_table(writer, &geometry, NULL), 0);
		assert_int_equal(tce_put_words(writer, 0, words, 4096, NULL), 0);
		assert_int_equal(tce_end_table(writer, NULL), 0);
		assert_int_equal(tce_end_image(writer, NULL), 0);
		tce_destroy_writer(writer);
		source = memory_source(&memory);
		assert_int_equal(tce_create_reader(&reader, &source, NULL), 0);
		assert_int_equal(tce_next_table(reader, &geometry, NULL), 1);
		tce_begin_cursor(&cursor, reader);
		memset(back, 0xee, sizeof(back));
		assert_int_equal(tce_cursor_words(&cursor, back, 4096, NULL), 0);
		assert_memory_equal(back, words, sizeof(words));
		tce_destroy_reader(reader);
		free_memory(&memory);
	}
}

/* If this fails, a user sees "unknown status" instead of what went wrong. */
static void every_status_has_words(void **state)
{
	struct tce_error err = TCE_ERROR_INIT;
	char line[64];
	int i, k;

	for (i = TCE_OK; i >= TCE_ERR_STREAM; i--) {
		assert_string_not_equal(tce_strerror(i), "unknown status");
		for (k = TCE_OK; k > i; k--)
			assert_string_not_equal(tce_strerror(i), tce_strerror(k));
	}
	assert_string_equal(tce_strerror(TCE_ERR_STREAM - 1), "unknown status");
	assert_string_equal(tce_strerror(1), "unknown status");

	assert_int_equal(tce_set_error(NULL, TCE_ERR_IO, 0, "x"), TCE_ERR_IO);
	tce_set_error(&err, TCE_ERR_TORN, 2, "it %s", "ends");
	strcpy(err.file, "a.img");
	err.fields = TCE_ERROR_LIOBN | TCE_ERROR_INDEX | TCE_ERROR_OFFSET;
	err.liobn = 0x80000000;
	err.index = 5;
	err.offset = 77;
	assert_string_equal(tce_format_error(&err, line, sizeof(line)),
			    "a.img: LIOBN 0x80000000: entry 5: offset 77: it ends: No such f");
	tce_format_error(&err, line, 6);
	assert_string_equal(line, "a.img");
}

/*
 * If this fails, saving an image anew, which puts runs as runs, gives other bytes than saving
 * the table.
 */
static void runs_are_the_same_as_their_words(void **state)
{
	const uint64_t entries = 400000;
	struct tce_geometry geometry = make_geometry(1, 12, 0, entries);
	uint64_t *words = malloc(entries * sizeof(*words)), seed = 3;
	int round;

	assert_non_null(words);
	for (round = 0; round < 40; round++) {
		struct memory expected = { 0 }, memory = { 0 };
		struct tce_sink sink = memory_sink(&memory);
		struct tce_writer *writer;
		uint64_t at = 0;

		memset(words, 0, entries * sizeof(*words));
		assert_int_equal(tce_create_writer(&writer, &sink, "unit", NULL), 0);
		assert_int_equal(tce_begin_table(writer, &geometry, NULL), 0);
		while (at < entries) {
			uint64_t room = entries - at;
			struct tce_extent run = {
				.first = at,
				.count = 1 + next_random(&seed) %
						     (next_random(&seed) % 2 ? 99 : 180000),
				.tce = next_random(&seed) % 3 * 4096 + next_random(&seed) % 4,
				.stride = (next_random(&seed) % 4 - 1) << 12,
			};

			if (run.count > room)
				run.count = room;
			tce_expand_extent(&run, 0, words + at, run.count);
			assert_int_equal(tce_put_run(writer, &run, NULL), 0);
			/* Some go on where the last one ended, some after a hole. */
			at += run.count + next_random(&seed) % 3 * (next_random(&seed) % 20000);
		}
		assert_int_equal(tce_end_table(writer, NULL), 0);
		assert_int_equal(tce_end_image(writer, NULL), 0);
		tce_destroy_writer(writer);
		write_image(&expected, &geometry, words, 0);
		assert_int_equal(memory.size, expected.size);
		assert_memory_equal(memory.data, expected.data, expected.size);
		free_memory(&expected);
		free_memory(&memory);
	}
	free(words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip_of_every_content),
		cmocka_unit_test(linear_table_is_one_run),
		cmocka_unit_test(short_runs_are_small),
		cmocka_unit_test(images_of_an_independent_writer),
		cmocka_unit_test(same_bytes_as_an_independent_writer),
		cmocka_unit_test(unknown_geometry_stays_unknown),
		cmocka_unit_test(wrong_geometry_is_named),
		cmocka_unit_test(reader_stops_at_the_end),
		cmocka_unit_test(calls_out_of_order_are_refused),
		cmocka_unit_test(writer_refuses_entries_past_the_end),
		cmocka_unit_test(runs_end_before_zeros),
		cmocka_unit_test(runs_of_every_length_come_back),
		cmocka_unit_test(runs_are_the_same_as_their_words),
		cmocka_unit_test(every_status_has_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
