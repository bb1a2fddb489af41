// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Migration streams: what is packed unpacks to the same bytes; what is damaged is refused, never
 * passed on; what is not understood passes untouched.
 */
#include <errno.h>

#include "stream-maker.h"
#include "stream-private.h"
#include "unit.h"

struct seen {
	struct tce_stream_table tables[8];
	size_t count;
	uint64_t words[64]; /* of the last table */
	uint64_t xor ;	    /* what the words are changed by */
};

static int see_begin(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct seen *seen = ctx;

	assert_true(seen->count < ARRAY_SIZE(seen->tables));
	assert_int_equal(table->geometry.known, TCE_KNOWN_LIOBN | TCE_KNOWN_ENTRIES);
	return 0;
}

static int see_words(void *ctx, const struct tce_stream_table *table, uint64_t index,
		     uint64_t *words, size_t count, struct tce_error *err)
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

static int see_end(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct seen *seen = ctx;

	seen->tables[seen->count++] = *table;
	return 0;
}

static int pack(const uint8_t *data, size_t size, struct memory *packed, size_t piece,
		struct tce_stream_stats *stats, struct tce_error *err)
{
	struct memory in = { .data = (uint8_t *)(uintptr_t)data, .size = size, .piece = piece };
	struct tce_source source = memory_source(&in);
	struct tce_sink sink = memory_sink(packed);

	return tce_pack_stream(&source, &sink, NULL, stats, err);
}

static int unpack(const uint8_t *data, size_t size, struct memory *out,
		  const struct tce_stream_hooks *hooks, struct tce_stream_stats *stats,
		  struct tce_error *err)
{
	struct memory in = { .data = (uint8_t *)(uintptr_t)data, .size = size };
	struct tce_source source = memory_source(&in);
	struct tce_sink sink = memory_sink(out);

	return tce_unpack_stream(&source, &sink, hooks, stats, err);
}

/* Pack, unpack both ways, compare. Returns what packing returned. */
static int round_trip(const struct maker *m, size_t piece, struct tce_stream_stats *stats)
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

static void same_bytes_come_back(void **state)
{
	struct tce_stream_stats stats;
	struct maker m = { 0 };
	size_t piece;

	make_small_stream(&m);
	for (piece = 0; piece < 40; piece++) {
		assert_int_equal(round_trip(&m, piece, &stats), 0);
		assert_true(stats.understood);
		assert_int_equal(stats.verdict, TCE_STREAM_AGREES);
		assert_int_equal(stats.bytes, m.size);
		assert_int_equal(stats.tables, 3);
		assert_int_equal(stats.entries, 88);
		assert_int_equal(stats.pages, 1);
		assert_int_equal(stats.zero_pages, 2);
		assert_int_equal(stats.xbzrle_pages, 1);
		assert_int_equal(stats.compressed_pages, 1);
		assert_int_equal(stats.devices, 5);
		assert_int_equal(stats.commands, 1);
		assert_string_equal(stats.machine, "pseries-7.2");
	}
	free_maker(&m);
}

static void tables_are_seen(void **state)
{
	struct seen seen = { .count = 0 };
	struct tce_stream_hooks hooks = {
		.begin_table = see_begin,
		.words = see_words,
		.end_table = see_end,
		.ctx = &seen,
	};
	struct memory in = { 0 }, packed = { 0 };
	struct tce_source source;
	struct maker m = { 0 };
	int kind;
	size_t i;

	make_small_stream(&m);
	assert_int_equal(pack(m.data, m.size, &packed, 0, NULL, NULL), 0);
	for (kind = 0; kind < 2; kind++) {
		in.data = kind ? packed.data : m.data;
		in.size = kind ? packed.size : m.size;
		in.read = 0;
		source = memory_source(&in);
		memset(&seen, 0, sizeof(seen));
		assert_int_equal(tce_scan_stream(&source, &hooks, NULL, NULL), 0);
		assert_int_equal(seen.count, 3);
		assert_int_equal(seen.tables[0].geometry.liobn, 0x71000001);
		assert_int_equal(seen.tables[0].geometry.page_shift, 12);
		assert_int_equal(seen.tables[0].geometry.bus_offset, 0);
		assert_int_equal(seen.tables[1].geometry.entries, 0);
		assert_int_equal(seen.tables[2].geometry.entries, 24);
		assert_int_equal(seen.tables[2].geometry.page_shift, 16);
		assert_true(seen.tables[2].geometry.bus_offset == UINT64_C(1) << 59);
		for (i = 0; i < 3; i++) {
			assert_true(seen.tables[i].whole);
			assert_true(seen.tables[i].default_window);
			assert_memory_equal(m.data + seen.tables[i].offset, "\x04\x00\x00\x00", 4);
		}
		for (i = 0; i < 24; i++)
			assert_true(seen.words[i] == (i % 3 ? i * 0x0102030405060708U : 0));
	}
	free_memory(&packed);
	free_maker(&m);
}

/* What a hook writes takes the entries' place, and nothing else of the stream changes. */
static void words_are_replaced(void **state)
{
	struct seen seen = { .xor = 0xff };
	struct tce_stream_hooks hooks = {
		.begin_table = see_begin,
		.words = see_words,
		.end_table = see_end,
		.ctx = &seen,
	};
	struct memory packed = { 0 }, back = { 0 };
	size_t i, changed = 0;
	struct maker m = { 0 };

	make_small_stream(&m);
	assert_int_equal(pack(m.data, m.size, &packed, 0, NULL, NULL), 0);
	assert_int_equal(unpack(packed.data, packed.size, &back, &hooks, NULL, NULL), 0);
	assert_int_equal(back.size, m.size);
	for (i = 0; i < m.size; i++) {
		assert_true(back.data[i] == m.data[i] || (back.data[i] ^ m.data[i]) == 0xff);
		changed += back.data[i] != m.data[i];
	}
	assert_int_equal(changed, 88);
	free_memory(&packed);
	free_memory(&back);
	free_maker(&m);
}

/* Nothing but a page of one value is there: a hundred places in it tell as much as all. */
static bool in_page(size_t offset)
{
	return offset > 400 && offset < 4096;
}

static void every_truncation_is_refused(void **state)
{
	struct memory packed = { 0 }, out = { 0 };
	struct tce_error err;
	size_t size, no_description;
	struct maker m = { 0 };
	int ret;

	make_small_stream(&m);
	/* A stream may end after its end mark: then there is just no description. */
	no_description = m.size - m.json_size - 5;
	for (size = 0; size < m.size; size += in_page(size) ? 97 : 1) {
		err = (struct tce_error)TCE_ERROR_INIT;
		free_memory(&packed);
		ret = pack(m.data, size, &packed, 0, NULL, &err);
		if (size == no_description) {
			assert_int_equal(ret, 0);
			continue;
		}
		assert_int_equal(ret, TCE_ERR_TORN);
		assert_true(err.fields & TCE_ERROR_OFFSET);
		assert_int_equal(err.offset, size);
		assert_true(strchr(err.message, ':'));
		/* What came out of it is no packed stream. */
		free_memory(&out);
		assert_true(unpack(packed.data, packed.size, &out, NULL, NULL, &err) < 0);
	}

	free_memory(&packed);
	assert_int_equal(pack(m.data, m.size, &packed, 0, NULL, NULL), 0);
	for (size = 0; size < packed.size; size++) {
		free_memory(&out);
		ret = unpack(packed.data, size, &out, NULL, NULL, &err);
		assert_int_equal(ret, size < 4 ? TCE_ERR_NOT_IMAGE : TCE_ERR_TORN);
		assert_true(out.size <= m.size);
		if (out.size)
			assert_memory_equal(out.data, m.data, out.size);
	}
	free_memory(&packed);
	free_memory(&out);
	free_maker(&m);
}

/* Not one wrong byte leaves unpack. Each byte has a bit flipped, over all bits of it in turn. */
static void every_flipped_bit_is_refused(void **state)
{
	struct memory packed = { 0 }, out = { 0 };
	struct tce_error err;
	struct maker m = { 0 };
	size_t bit;

	make_small_stream(&m);
	assert_int_equal(pack(m.data, m.size, &packed, 0, NULL, NULL), 0);
	for (bit = 0; bit < packed.size * 8; bit += 7) {
		packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		err = (struct tce_error)TCE_ERROR_INIT;
		free_memory(&out);
		assert_true(unpack(packed.data, packed.size, &out, NULL, NULL, &err) < 0);
		assert_true(err.code < 0 && err.message[0]);
		assert_true(out.size <= m.size);
		if (out.size)
			assert_memory_equal(out.data, m.data, out.size);
		packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free_memory(&packed);
	free_memory(&out);
	free_maker(&m);
}

/* QEMU's own stream has no hash: with a flipped bit it is torn, or it passes exactly. */
static void flipped_streams_pass_exactly_or_not(void **state)
{
	struct tce_stream_stats stats;
	struct maker m = { 0 };
	size_t bit, noticed = 0;
	int ret;

	make_small_stream(&m);
	for (bit = 0; bit < m.size * 8; bit += in_page(bit / 8) ? 4999 : 31) {
		m.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ret = round_trip(&m, 0, &stats);
		noticed += ret || !stats.understood;
		m.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(noticed > 40);
	free_maker(&m);
}

static void check_untouched(struct maker *m, const char *says)
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

static void check_refused(struct maker *m, int code, const char *says)
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

/* What a count says is neither believed nor held against the stream. */
static void huge_counts_are_not_believed(void **state)
{
	struct maker m = { 0 };

	/* Entries of a table. */
	put_beginning(&m);
	put_ends(&m);
	put_section(&m, 4, 9, "spapr_iommu", 0x80000000, 3);
	put_be32(&m, 0x80000000);
	put_be32(&m, UINT32_MAX);
	put_8(&m, 0);
	put_be64(&m, 3);
	check_refused(&m, TCE_ERR_TORN, "section 9 (spapr_iommu)");

	/* Entries of the hashed page table. */
	put_beginning(&m);
	put_8(&m, 2);
	put_be32(&m, 0x234);
	put_be32(&m, 0);
	put_be64(&m, UINT64_MAX);
	check_refused(&m, TCE_ERR_TORN, "section 564 (spapr/htab)");

	/* RAM */
	put_bytes(&m, "QEVM\0\0\0\3", 8);
	put_section(&m, 1, 2, "ram", 0, 4);
	put_be64(&m, ~UINT64_C(0xfff) | 4);
	put_8(&m, 0);
	put_be64(&m, UINT64_MAX);
	check_untouched(&m, "section 2 (ram)");

	/* A page's difference, a compressed page. */
	put_beginning(&m);
	put_8(&m, 2);
	put_be32(&m, 2);
	put_be64(&m, 0x60);
	put_8(&m, 1);
	put_be16(&m, UINT16_MAX);
	check_untouched(&m, "65535 bytes");
	put_beginning(&m);
	put_8(&m, 2);
	put_be32(&m, 2);
	put_be64(&m, 0x120);
	put_be32(&m, UINT32_MAX);
	check_untouched(&m, "4294967295 bytes");

	/* Machine type, capabilities, description, a command. */
	put_bytes(&m, "QEVM\0\0\0\3\7\xff\xff\xff\xff", 13);
	check_refused(&m, TCE_ERR_TORN, "configuration");
	put_bytes(&m,
		  "QEVM\0\0\0\3\7\0\0\0\7pseries\5\x1a"
		  "configuration/capabilities\0\0\0\1"
		  "\xff\xff\xff\xff",
		  8 + 12 + 2 + 26 + 8);
	check_refused(&m, TCE_ERR_TORN, "configuration");
	put_beginning(&m);
	put_ends(&m);
	put_bytes(&m, "\0\6\xff\xff\xff\xff{", 7);
	check_refused(&m, TCE_ERR_TORN, "description");
	put_beginning(&m);
	put_bytes(&m, "\x08\0\6\xff\xff", 5);
	check_refused(&m, TCE_ERR_TORN, "command");
}

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

/* The RAM of a background snapshot never ends; its tables are seen all the same. */
static void ram_need_not_end(void **state)
{
	struct tce_stream_stats stats;
	struct maker m = { 0 };
	uint64_t word = 3;

	put_beginning(&m);
	put_parts(&m, 1);
	put_table(&m, 9, 0x80000000, 12, 0, &word, 1);
	put_ending(&m);
	assert_int_equal(round_trip(&m, 0, &stats), 0);
	assert_true(stats.understood);
	assert_int_equal(stats.tables, 1);
	free_maker(&m);
}

/* Postcopy: its commands, blocks of huge pages, and devices in a stream within the stream. */
static void postcopy_is_understood(void **state)
{
	struct maker m = { .footers = true }, inner = { .footers = true };
	struct tce_stream_stats stats;
	uint64_t words[40];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = i << 12 | 3;
	put_bytes(&m, "QEVM\0\0\0\3\x08\0\1\0\0\x08\0\3\0\x10", 18);
	put_be64(&m, 0x1000 | 0x200000);
	put_be64(&m, 4096);
	put_section(&m, 1, 2, "ram", 0, 4);
	put_be64(&m, 0x403000 | 4);
	put_bytes(&m,
		  "\4huge\0\0\0\0\0\x20\0\0"
		  "\0\0\0\0\0\x20\0\0",
		  21);
	put_bytes(&m, "\5small\0\0\0\0\0\0\x30\0", 14);
	put_bytes(&m,
		  "\4last\0\0\0\0\0\x20\0\0"
		  "\0\0\0\0\0\x20\0\0",
		  21);
	put_be64(&m, 0x200); /* multifd's flush */
	put_be64(&m, 0x10);
	put_footer(&m, 2);
	put_bytes(&m,
		  "\x08\0\6\0\5"
		  "12345",
		  10);
	put_bytes(&inner, "\x08\0\4\0\0", 5);
	put_table(&inner, 9, 0x80000000, 12, 0, words, ARRAY_SIZE(words));
	put_device(&inner, 10, "timer", "ticks", 5);
	put_bytes(&inner,
		  "\x08\0\2\0\4\0\0\0\1"
		  "\x08\0\5\0\0",
		  14);
	put_bytes(&m, "\x08\0\x08\0\4", 5);
	put_be32(&m, (uint32_t)inner.size);
	put_bytes(&m, inner.data, inner.size);
	put_8(&m, 3);
	put_be32(&m, 2);
	put_be64(&m, 0x10);
	put_footer(&m, 2);
	put_8(&m, 0);
	assert_int_equal(round_trip(&m, 0, &stats), 0);
	assert_true(stats.understood);
	assert_int_equal(stats.tables, 1);
	assert_int_equal(stats.blocks, 3);
	assert_int_equal(stats.devices, 2);
	assert_int_equal(stats.commands, 7);
	free_maker(&inner);
	free_maker(&m);
}

/* Disks and their dirty bitmaps, each with every kind of piece. */
static void disks_are_understood(void **state)
{
	static uint8_t block[1 << 20];
	struct maker m = { .footers = true };
	struct tce_stream_stats stats;
	uint64_t word = 3;

	put_bytes(&m, "QEVM\0\0\0\3", 8);
	put_section(&m, 1, 1, "block", 0, 1);
	put_be64(&m, 1 << 9 | 0x01);
	put_bytes(&m, "\2vd", 3);
	put_bytes(&m, block, sizeof(block));
	put_be64(&m, 2049 << 9 | 0x09);
	put_bytes(&m, "\2vd", 3);
	put_be64(&m, 50 << 9 | 0x04);
	put_be64(&m, 0x02);
	put_footer(&m, 1);
	put_section(&m, 1, 3, "dirty-bitmap", 0, 1);
	put_bytes(&m, "\x1c\4disk\3map\0\1\0\0\0", 15); /* start */
	put_bytes(&m, "\x40", 1);			/* bits */
	put_be64(&m, 0);
	put_be32(&m, 8);
	put_be64(&m, 3);
	put_bytes(&m, "\x7e\0\1", 3);
	put_bytes(&m, "\x42", 1); /* zeros */
	put_be64(&m, 0);
	put_be32(&m, 8);
	put_bytes(&m, "\x20\1", 2); /* complete, end */
	put_footer(&m, 3);
	put_table(&m, 9, 0x80000000, 12, 0, &word, 1);
	put_8(&m, 0);
	assert_int_equal(round_trip(&m, 0, &stats), 0);
	assert_true(stats.understood);
	assert_int_equal(stats.tables, 1);
	free_maker(&m);
}

/* RAM that is in places of its own in the file. */
static void mapped_ram_is_understood(void **state)
{
	static const uint8_t ram[3 << 20];
	struct tce_stream_stats stats;
	struct maker m = { .footers = true };
	uint64_t word = 3, at;

	put_bytes(&m,
		  "QEVM\0\0\0\3\7\0\0\0\7pseries\5\x1a"
		  "configuration/capabilities\0\0\0\1"
		  "\0\0\0\1\x0amapped-ram",
		  8 + 12 + 2 + 26 + 8 + 11);
	put_section(&m, 1, 2, "ram", 0, 4);
	put_be64(&m, (2 << 20) | 4);
	put_bytes(&m, "\3ram\0\0\0\0\0\x20\0\0\0\0\0\1", 16);
	put_be64(&m, 4096);
	at = m.size + 16;
	put_be64(&m, at + 77); /* the stream begins at 77 of the file */
	put_be64(&m, 1 << 20);
	put_bytes(&m, ram, (3 << 20) - (at + 77));
	put_be64(&m, 0x10);
	put_footer(&m, 2);
	put_table(&m, 9, 0x80000000, 12, 0, &word, 1);
	put_8(&m, 0);
	assert_int_equal(round_trip(&m, 0, &stats), 0);
	assert_true(stats.understood);
	assert_int_equal(stats.tables, 1);
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

/* Tables that an image would make larger are left as they are. */
static void many_small_tables_stay_small(void **state)
{
	struct tce_stream_stats stats;
	struct maker m = { 0 };
	uint64_t word, seed = 1;
	uint32_t i;

	put_beginning(&m);
	put_ends(&m);
	for (i = 0; i < 65536; i++) {
		word = next_random(&seed);
		put_table(&m, 1000 + i, 0x80000000 + i, 12, 0, &word, 1);
	}
	put_ending(&m);
	assert_int_equal(round_trip(&m, 0, &stats), 0);
	assert_int_equal(stats.tables, 65536);
	assert_true(stats.packed_bytes <= stats.bytes + stats.bytes / 100);
	free_maker(&m);
}

static void put_chunk(struct memory *packed, uint32_t type, const void *payload, size_t size,
		      uint64_t *hash)
{
	struct tce_sink sink = memory_sink(packed);
	uint8_t header[16];

	store_le32(header, type);
	store_le32(header + 4, (uint32_t)size);
	*hash = tce_stream_chain_hash(*hash, header, payload, size);
	store_le64(header + 8, *hash);
	assert_int_equal(sink.write(sink.ctx, header, sizeof(header)), 0);
	assert_int_equal(sink.write(sink.ctx, payload, size), 0);
}

/* A packed stream with a table of so many entries, all of one value. */
static void pack_bomb(struct memory *packed, uint32_t entries)
{
	const struct tce_geometry geometry = { .known = TCE_KNOWN_ENTRIES, .entries = entries };
	const struct tce_extent run = { .count = entries, .tce = 3 };
	struct memory image = { 0 };
	struct tce_sink sink = memory_sink(&image), to = memory_sink(packed);
	struct maker m = { .footers = true };
	struct tce_writer *writer;
	uint64_t hash = 0, sizes[2] = { 0, htole64(1) };

	assert_int_equal(tce_create_writer(&writer, &sink, NULL, NULL), 0);
	assert_int_equal(tce_begin_table(writer, &geometry, NULL), 0);
	assert_int_equal(tce_put_run(writer, &run, NULL), 0);
	assert_int_equal(tce_end_table(writer, NULL), 0);
	assert_int_equal(tce_end_image(writer, NULL), 0);
	tce_destroy_writer(writer);

	assert_int_equal(to.write(to.ctx, "\x89TCS\1\0\0\0", 8), 0);
	put_bytes(&m, "QEVM\0\0\0\3", 8);
	put_section(&m, 4, 9, "spapr_iommu", 0x80000000, 3);
	put_be32(&m, 0x80000000);
	put_be32(&m, entries);
	put_8(&m, 0);
	put_chunk(packed, 1, m.data, m.size, &hash);
	put_chunk(packed, 2, image.data, image.size, &hash);
	sizes[0] = m.size + entries * sizeof(uint64_t);
	m.size = 0;
	put_8(&m, 0);
	put_footer(&m, 9);
	put_8(&m, 0);
	put_chunk(packed, 1, m.data, m.size, &hash);
	sizes[0] = htole64(sizes[0] + m.size);
	put_chunk(packed, 3, sizes, sizeof(sizes), &hash);
	free_memory(&image);
	free_maker(&m);
}

static int count_extent(void *ctx, const struct tce_stream_table *table,
			const struct tce_extent *extent, struct tce_error *err)
{
	uint64_t *entries = ctx;

	*entries += extent->count;
	return 0;
}

/* A few bytes that stand for 2^32 entries are looked through in no time. */
static void looking_takes_no_work_by_claim(void **state)
{
	static const struct tce_stream_hooks no_hooks;
	struct memory packed = { 0 }, in = { 0 };
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_stream_stats stats;
	struct tce_source source;
	uint64_t entries = 0;
	struct tce_stream_hooks hooks = { .ctx = &entries, .extent = count_extent };
	int round;

	pack_bomb(&packed, UINT32_MAX);
	for (round = 0; round < 2; round++) {
		in = (struct memory){ .data = packed.data, .size = packed.size };
		source = memory_source(&in);
		assert_int_equal(tce_scan_stream(&source, round ? &hooks : &no_hooks, &stats, &err),
				 0);
		assert_int_equal(stats.tables, 1);
		assert_true(stats.understood);
	}
	assert_true(entries == UINT32_MAX);
	free_memory(&packed);
}

static int count_bytes(void *ctx, const void *buf, size_t len)
{
	*(uint64_t *)ctx += len;
	return 0;
}

/* And who wants the bytes gets what the largest window has, or what the stream has paid for. */
static void unpacking_takes_no_work_by_claim(void **state)
{
	struct memory packed = { 0 };
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_source source;
	uint64_t bytes = 0;
	struct tce_sink sink = { count_bytes, &bytes };

	pack_bomb(&packed, UINT32_MAX);
	assert_true(packed.size < 400);
	source = memory_source(&packed);
	assert_int_equal(tce_unpack_stream(&source, &sink, NULL, NULL, &err), TCE_ERR_LIMIT);
	assert_non_null(strstr(err.message, "more than 13"));
	assert_true(bytes < (140ULL << 20) * sizeof(uint64_t));
	free_memory(&packed);

	bytes = 0;
	pack_bomb(&packed, 1 << 25);
	source = memory_source(&packed);
	assert_int_equal(tce_unpack_stream(&source, &sink, NULL, NULL, &err), 0);
	assert_true(bytes > (1ULL << 25) * sizeof(uint64_t));
	free_memory(&packed);
}

/* A version of packed streams that is not known is named. */
static void another_version_is_refused(void **state)
{
	uint8_t head[] = "\x89TCS\7\0\0\0";
	struct memory packed = { .data = head, .size = sizeof(head) - 1 };
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_source source = memory_source(&packed);
	uint64_t bytes = 0;
	struct tce_sink sink = { count_bytes, &bytes };

	assert_int_equal(tce_unpack_stream(&source, &sink, NULL, NULL, &err), TCE_ERR_VERSION);
	assert_non_null(strstr(err.message, "version 7 of packed streams"));
}

static void old_machines_have_no_footers(void **state)
{
	struct maker m = { 0 };

	put_beginning(&m);
	free_maker(&m);
	put_bytes(&m, "QEVM\0\0\0\3", 8);
	put_section(&m, 1, 2, "ram", 0, 4);
	put_be64(&m, 4);
	put_be64(&m, 0x10);
	put_8(&m, 3);
	put_be32(&m, 2);
	put_be64(&m, 0x10);
	put_section(&m, 4, 3, "timer", 0, 4);
	check_untouched(&m, "footers");
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

/*
 * If this fails, a guest with a UUID, or one that shares its memory with its destination, is not
 * understood.
 */
static void every_part_of_the_configuration(void **state)
{
	static const uint8_t configuration[] =
		"QEVM\0\0\0\3\7\0\0\0\1p"
		"\5\x1e"
		"configuration/target-page-bits\0\0\0\1\0\0\0\x0c"
		"\5\x1a"
		"configuration/capabilities\0\0\0\1\0\0\0\1\x0fx-ignore-shared"
		"\5\x12"
		"configuration/uuid\0\0\0\1"
		"0123456789abcdef";
	struct tce_stream_stats stats;
	struct maker m = { .footers = true };
	uint64_t word = 3;

	put_bytes(&m, configuration, sizeof(configuration) - 1);
	put_section(&m, 1, 2, "ram", 0, 4);
	put_be64(&m, 0x3000 | 4);
	put_bytes(&m,
		  "\4ram0\0\0\0\0\0\0\x10\0"
		  "ADDRESS.",
		  5 + 8 + 8);
	put_bytes(&m,
		  "\3rom\0\0\0\0\0\0\x20\0"
		  "ADDRESS.",
		  4 + 8 + 8);
	put_be64(&m, 0x10);
	put_footer(&m, 2);
	put_8(&m, 3);
	put_be32(&m, 2);
	put_be64(&m, 0x10);
	put_footer(&m, 2);
	put_table(&m, 9, 0x80000000, 12, 0, &word, 1);
	put_8(&m, 0);
	assert_int_equal(round_trip(&m, 0, &stats), 0);
	assert_true(stats.understood);
	assert_int_equal(stats.tables, 1);
	assert_int_equal(stats.blocks, 2);
	free_maker(&m);
}

static void sizes_keep_their_promise(void **state)
{
	const uint32_t count = 4 << 20;
	uint64_t *words = malloc(count * sizeof(*words)), seed = 1;
	struct tce_stream_stats stats;
	struct maker m = { 0 };
	int kind;
	size_t i;

	assert_non_null(words);
	for (kind = 0; kind < 2; kind++) {
		for (i = 0; i < count; i++)
			words[i] = kind ? next_random(&seed) : i << 16 | 3;
		put_beginning(&m);
		put_ends(&m);
		put_table(&m, 9, 0x80000001, 16, UINT64_C(1) << 59, words, count);
		put_ending(&m);
		assert_int_equal(round_trip(&m, 0, &stats), 0);
		if (kind)
			assert_true(stats.packed_table_bytes <= stats.table_bytes / 100 * 101);
		else
			assert_true(stats.packed_bytes - (stats.bytes - stats.table_bytes) < 1024);
		free_maker(&m);
	}
	free(words);
}

static void a_full_disk_is_an_error(void **state)
{
	struct memory packed = { 0 }, out;
	struct tce_error err;
	struct maker m = { 0 };
	size_t room, whole;

	make_small_stream(&m);
	assert_int_equal(pack(m.data, m.size, &packed, 0, NULL, NULL), 0);
	whole = packed.size;
	for (room = 1; room < whole; room += 1 + room / 100) {
		struct memory small = { .room = room };

		err = (struct tce_error)TCE_ERROR_INIT;
		assert_int_equal(pack(m.data, m.size, &small, 0, NULL, &err), TCE_ERR_IO);
		assert_int_equal(err.sys_errno, ENOSPC);
		free_memory(&small);
	}
	for (room = 1; room < m.size; room += 1 + room / 100) {
		out = (struct memory){ .room = room };
		err = (struct tce_error)TCE_ERROR_INIT;
		assert_int_equal(unpack(packed.data, packed.size, &out, NULL, NULL, &err),
				 TCE_ERR_IO);
		assert_int_equal(err.sys_errno, ENOSPC);
		free_memory(&out);
	}
	free_memory(&packed);
	free_maker(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_bytes_come_back),
		cmocka_unit_test(tables_are_seen),
		cmocka_unit_test(words_are_replaced),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(flipped_streams_pass_exactly_or_not),
		cmocka_unit_test(huge_counts_are_not_believed),
		cmocka_unit_test(wrong_order_passes_untouched),
		cmocka_unit_test(bad_descriptions_pass_untouched),
		cmocka_unit_test(unknown_passes_untouched),
		cmocka_unit_test(other_pages_pass),
		cmocka_unit_test(trailing_bytes_pass),
		cmocka_unit_test(ram_need_not_end),
		cmocka_unit_test(postcopy_is_understood),
		cmocka_unit_test(disks_are_understood),
		cmocka_unit_test(mapped_ram_is_understood),
		cmocka_unit_test(tables_that_are_cut_pass),
		cmocka_unit_test(tables_that_are_cut_pass_undescribed),
		cmocka_unit_test(many_small_tables_stay_small),
		cmocka_unit_test(looking_takes_no_work_by_claim),
		cmocka_unit_test(unpacking_takes_no_work_by_claim),
		cmocka_unit_test(another_version_is_refused),
		cmocka_unit_test(old_machines_have_no_footers),
		cmocka_unit_test(fake_tables_are_not_believed),
		cmocka_unit_test(half_tables_pass),
		cmocka_unit_test(unfinished_windows_pass),
		cmocka_unit_test(every_part_of_the_configuration),
		cmocka_unit_test(sizes_keep_their_promise),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
