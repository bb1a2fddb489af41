// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Migration streams: what is not understood passes untouched, and it is said; what only looks like
 * a table is none.
 */
#include "stream-private.h"
#include "stream-trip.h"

/* QEMU may load what is not understood here: it passes, and it is said. */
static void wrong_order_passes_untouched(void **state)
{
	static const uint8_t types[] = { 5, 6, 7, 0x7e };
	struct maker m = { 0 };
	size_t i;

	put_bytes(&m, "QEMU\0\0\0\3", 8);
	check_refused(&m, TCE_ERR_STREAM, "not a QEMU migration stream");
	put_bytes(&m, "QEVM\0\0\0\2", 8);
	check_refused(&m, TCE_ERR_STREAM, "version 2");
	for (i = 0; i < sizeof(types); i++) {
		put_beginning(&m);
		put_8(&m, types[i]);
		check_untouched(&m, "where a section must begin");
	}
	put_beginning(&m); /* goes on after the end */
	put_ends(&m);
	put_parts(&m, 0);
	check_untouched(&m, "section 2 (ram): goes on after its end");
	put_beginning(&m); /* never started */
	put_bytes(&m, "\2\0\0\0\1", 5);
	check_untouched(&m, "section 1: goes on but was never started");
	put_beginning(&m); /* started twice */
	put_section(&m, 1, 2, "ram", 0, 4);
	check_untouched(&m, "starts a second time");
	put_beginning(&m); /* a device with the number of RAM */
	put_section(&m, 4, 2, "timer", 0, 4);
	check_untouched(&m, "section 2 (timer)");
	put_beginning(&m); /* another section's footer */
	put_bytes(&m, "\2\0\0\0\2\0\0\0\0\0\0\0\x10\x7e\0\0\0\3", 18);
	check_untouched(&m, "section 2 (ram): its footer");
	put_beginning(&m); /* two kinds of page at once */
	put_bytes(&m, "\2\0\0\0\2\0\0\0\0\0\0\0\x2a", 13);
	check_untouched(&m, "flags 0x2a");
}

static void put_description(struct maker *m, const char *json, size_t len)
{
	put_beginning(m);
	put_ends(m);
	put_8(m, 0);
	put_8(m, 6);
	put_be32(m, (uint32_t)len);
	put_bytes(m, json, len);
}

static void bad_descriptions_pass_untouched(void **state)
{
	static const struct {
		const char *json, *says;
	} bad[] = {
		{ "{", "not JSON" },
		{ "{]", "not JSON" },
		{ "{\"a\" 1}", "not JSON" },
		{ "{\"a\": }", "not JSON" },
		{ "{\"a\": 1 2}", "not JSON" },
		{ "{\"a", "a string does not end" },
		{ "{\"a\": 1} 2", "something follows" },
		{ "{\"devices\": 1}", "not JSON" },
		{ "{\"devices\": [1]}", "not JSON" },
		{ "{\"devices\": [{\"instance_id\": -1}]}", "not a number" },
		{ "{\"devices\": [{\"instance_id\": 99999999999999999999}]}", "too large" },
		{ "{\"devices\": [{\"fields\": [{\"size\": 9999999999999999999, "
		  "\"array_len\": 9}]}]}",
		  "too large" },
	};
	struct tce_stream_stats stats;
	char *deep = malloc(1 << 21);
	struct maker m = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		put_description(&m, bad[i].json, strlen(bad[i].json));
		check_untouched(&m, bad[i].says);
	}
	/* A million levels. */
	assert_non_null(deep);
	memset(deep, '[', 1 << 21);
	memcpy(deep, "{\"a\":", 5);
	put_description(&m, deep, 1 << 20);
	check_untouched(&m, "nested too deeply");
	memcpy(deep, "{\"devices\":[", 12);
	put_description(&m, deep, 1 << 20);
	check_untouched(&m, "not JSON");

	/* One that is too large to be looked at passes. */
	memset(deep, ' ', 1 << 21);
	put_beginning(&m);
	put_ends(&m);
	put_8(&m, 0);
	put_8(&m, 6);
	put_be32(&m, 20 << 20);
	put_8(&m, '{');
	for (i = 0; i < 10; i++)
		put_bytes(&m, deep, 2 << 20);
	m.size--;
	assert_int_equal(round_trip(&m, 0, &stats), 0);
	assert_int_equal(stats.verdict, TCE_STREAM_UNCHECKED);
	free(deep);
	free_maker(&m);
}

static void unknown_passes_untouched(void **state)
{
	struct maker m = { 0 };
	int i;

	put_bytes(&m,
		  "QEVM\0\0\0\3\7\0\0\0\1p\5\x1a"
		  "configuration/capabilities\0\0\0\1"
		  "\0\0\0\1\x0amopped-ram",
		  8 + 6 + 2 + 26 + 8 + 11);
	check_untouched(&m, "capability mopped-ram");
	put_bytes(&m,
		  "QEVM\0\0\0\3\7\0\0\0\1p\5\x1a"
		  "configuration/capabilities\0\0\0\1"
		  "\0\0\0\1\4a\x1b[m",
		  8 + 6 + 2 + 26 + 8 + 5);
	check_untouched(&m, "capability a?[m");
	put_bytes(&m,
		  "QEVM\0\0\0\3\7\0\0\0\1p\5\x11"
		  "configuration/new\0\0\0\1",
		  8 + 6 + 2 + 17 + 4);
	check_untouched(&m, "unknown part of the configuration");
	put_beginning(&m);
	put_section(&m, 1, 77, "vfio", 0, 1);
	check_untouched(&m, "section 77 (vfio)");
	put_beginning(&m);
	put_bytes(&m, "\2\0\0\0\2\0\0\0\0\0\0\x08\0", 13);
	check_untouched(&m, "flags 0x800");
	put_beginning(&m);
	put_bytes(&m, "\x08\0\x0c\0\0", 5);
	check_untouched(&m, "command 12");
	put_beginning(&m);
	put_8(&m, 0x55);
	check_untouched(&m, "section type 0x55");
	put_beginning(&m);
	put_8(&m, 0);
	check_untouched(&m, "follows the end mark");
	for (i = 0; i < 65; i++) { /* more iterated sections than are looked at */
		if (!i)
			put_beginning(&m);
		put_section(&m, 1, 1000 + (uint32_t)i, "spapr/htab", 0, 1);
		put_be32(&m, UINT32_MAX);
		put_footer(&m, 1000 + (uint32_t)i);
	}
	check_untouched(&m, "iterated sections");
}

/* What a machine with other pages sends is noise; a stream that ends in it is not torn for that. */
static void other_pages_pass(void **state)
{
	static const uint8_t bits[] = "\5\x1e"
				      "configuration/target-page-bits\0\0\0\1\0\0\0\x0d";
	struct tce_stream_stats stats;
	struct maker m = { 0 };
	uint8_t page[8192];
	int told;

	memset(page, 0, sizeof(page));
	for (told = 0; told < 2; told++) {
		put_bytes(&m, "QEVM\0\0\0\3\7\0\0\0\5sun4u", 18);
		if (told)
			put_bytes(&m, bits, sizeof(bits) - 1);
		m.footers = true;
		put_section(&m, 1, 2, "ram", 0, 4);
		put_be64(&m, 0x28);
		put_bytes(&m, page, sizeof(page));
		put_be64(&m, 0x10);
		put_footer(&m, 2);
		put_device(&m, 9, "timer", "x", 1);
		put_8(&m, 0);
		assert_int_equal(round_trip(&m, 0, &stats), 0);
		assert_int_equal(stats.understood, told);
		free_maker(&m);
	}
}

/* A file or a device may be longer than the stream in it. */
static void trailing_bytes_pass(void **state)
{
	struct memory in = { 0 }, packed = { 0 }, back = { 0 };
	struct tce_stream_stats stats;
	struct tce_source source;
	struct maker m = { 0 };
	size_t size;

	make_small_stream(&m);
	size = m.size;
	put_bytes(&m, "whatever was there before", 25);
	assert_int_equal(round_trip(&m, 0, &stats), 0);
	assert_true(stats.understood && stats.trailing);
	assert_int_equal(stats.verdict, TCE_STREAM_AGREES);
	in.data = m.data;
	in.size = m.size;
	source = memory_source(&in);
	assert_int_equal(tce_scan_stream(&source, NULL, &stats, NULL), 0);
	assert_true(stats.understood && stats.trailing);

	/* Behind the packed stream, too, all that was packed comes back. */
	assert_int_equal(pack(m.data, size, &packed, 0, NULL, NULL), 0);
	packed.data = realloc(packed.data, packed.size + 3);
	memcpy(packed.data + packed.size, "old", 3);
	packed.size += 3;
	assert_int_equal(unpack(packed.data, packed.size, &back, NULL, &stats, NULL), 0);
	assert_true(stats.trailing);
	assert_int_equal(back.size, size);
	assert_memory_equal(back.data, m.data, size);
	free_memory(&packed);
	free_memory(&back);
	free_maker(&m);
}

/* A guest has what looks like the beginning of a table, and the rest of the stream is too short. */
static void tables_that_are_cut_pass(void **state)
{
	struct tce_stream_stats stats;
	struct maker m = { 0 };
	uint8_t fake[9 + 5] = { 0x80, 0, 0, 0, 0, 0, 0xff, 0xff, 0 };
	uint64_t words[5] = { 0x1003, 0, 0, 7, 0 };
	size_t more;
	uint32_t entries;

	for (more = 0; more < 24; more++) {
		for (entries = 0xffff; entries; entries = entries == 0xffff ? UINT32_MAX : 0) {
			fake[4] = (uint8_t)(entries >> 24);
			fake[5] = (uint8_t)(entries >> 16);
			put_beginning(&m);
			put_ends(&m);
			put_section(&m, 4, 9, "spapr_iommu", 0x80000000, 3);
			put_bytes(&m, fake, 9);
			put_bytes(&m, words, sizeof(words));
			put_bytes(&m, "12345678901234567890123", more);
			put_footer(&m, 9);
			put_device(&m, 3, "globalstate", "running", 8);
			put_ending(&m);
			assert_int_equal(round_trip(&m, 0, &stats), 0);
			assert_false(stats.understood);
			assert_non_null(strstr(stats.stopped_why, "looked like"));
			free_maker(&m);
		}
	}
}

/* The same in a stream without a description, which ends with the end mark. */
static void tables_that_are_cut_pass_undescribed(void **state)
{
	static const uint8_t fake[9] = { 0x80, 0, 0, 0, 0, 1, 0, 0, 0 };
	struct tce_stream_stats stats;
	struct tce_error err = TCE_ERROR_INIT;
	struct memory packed = { 0 };
	struct maker m = { 0 };

	put_beginning(&m);
	put_ends(&m);
	put_section(&m, 4, 9, "spapr_iommu", 0x80000000, 3);
	put_bytes(&m, fake, sizeof(fake));
	put_bytes(&m, "what is no table", 16);
	put_footer(&m, 9);
	put_device(&m, 3, "globalstate", "running", 8);
	/* Without its end mark it is torn, and so it is when that is another byte. */
	assert_int_equal(pack(m.data, m.size, &packed, 0, NULL, &err), TCE_ERR_TORN);
	put_8(&m, 1);
	assert_int_equal(pack(m.data, m.size, &packed, 0, NULL, &err), TCE_ERR_TORN);
	m.data[m.size - 1] = 0;
	assert_int_equal(round_trip(&m, 0, &stats), 0);
	assert_false(stats.understood);
	assert_non_null(strstr(stats.stopped_why, "looked like"));
	free_memory(&packed);
	free_maker(&m);
}

/* A guest keeps a whole table section in its NVRAM: it packs exactly, but nobody believes it. */
static void fake_tables_are_not_believed(void **state)
{
	struct maker nvram = { .footers = true }, m = { 0 };
	struct tce_stream_stats stats;
	uint64_t word = 3;

	put_bytes(&nvram, "my data\x7e\0\0\0\x21", 12);
	put_table(&nvram, 99, 0x80000000, 12, 0, &word, 1);
	put_bytes(&nvram, "\x04\0\0\0\x22\3abc\0\0\0\0\0\0\0\1", 17);
	put_beginning(&m);
	put_ends(&m);
	put_device(&m, 0x21, "spapr_nvram", nvram.data, nvram.size);
	put_device(&m, 0x22, "globalstate", "running", 8);
	put_ending(&m);
	assert_int_equal(round_trip(&m, 0, &stats), 0);
	assert_int_equal(stats.tables, 1);
	assert_int_equal(stats.verdict, TCE_STREAM_DISAGREES);
	free_maker(&m);
	free_maker(&nvram);
}

/* What begins like a table and does not end like one passes too. */
static void half_tables_pass(void **state)
{
	struct tce_stream_stats stats;
	struct maker m = { 0 };
	uint8_t half[9 + 8 + 30] = { 0x80, 0, 0, 0, 0, 0, 0, 1, 0 };

	put_beginning(&m);
	put_ends(&m);
	put_section(&m, 4, 9, "spapr_iommu", 0x80000000, 3);
	memset(half + 9, 7, sizeof(half) - 9);
	put_bytes(&m, half, sizeof(half));
	put_footer(&m, 9);
	put_device(&m, 3, "globalstate", "running", 8);
	put_ending(&m);
	assert_int_equal(round_trip(&m, 0, &stats), 0);
	assert_int_equal(stats.tables, 1);
	assert_int_equal(stats.verdict, TCE_STREAM_DISAGREES);
	free_maker(&m);
}

/* If this fails, a guest that is migrated while it sets up a window arrives with another one. */
static void unfinished_windows_pass(void **state)
{
	const uint32_t count = 1 << 20;
	uint64_t *words = calloc(count, sizeof(*words));
	struct tce_stream_stats stats;
	struct maker m = { 0 };
	size_t used;

	assert_non_null(words);
	for (used = 0; used < 40000; used = used * 7 + 1) {
		words[used] = (uint64_t)used << 16 | 3;
		put_beginning(&m);
		put_ends(&m);
		put_table(&m, 9, 0x80000001, 16, UINT64_C(1) << 59, words, count);
		put_table(&m, 10, 0x80000101, 21, UINT64_C(1) << 59, NULL, 0);
		put_ending(&m);
		assert_int_equal(round_trip(&m, 0, &stats), 0);
		assert_int_equal(stats.verdict, TCE_STREAM_AGREES);
		assert_int_equal(stats.tables, 2);
		assert_true(stats.packed_table_bytes < 1024);
		free_maker(&m);
	}
	free(words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_order_passes_untouched),
		cmocka_unit_test(bad_descriptions_pass_untouched),
		cmocka_unit_test(unknown_passes_untouched),
		cmocka_unit_test(other_pages_pass),
		cmocka_unit_test(trailing_bytes_pass),
		cmocka_unit_test(tables_that_are_cut_pass),
		cmocka_unit_test(tables_that_are_cut_pass_undescribed),
		cmocka_unit_test(fake_tables_are_not_believed),
		cmocka_unit_test(half_tables_pass),
		cmocka_unit_test(unfinished_windows_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
