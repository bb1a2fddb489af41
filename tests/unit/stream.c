// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Migration streams: what is packed unpacks to the same bytes; what is damaged is refused, never
 * passed on; and neither takes more work than the stream has paid for.
 */
#include <errno.h>

#include "stream-private.h"
#include "stream-trip.h"

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
		cmocka_unit_test(many_small_tables_stay_small),
		cmocka_unit_test(looking_takes_no_work_by_claim),
		cmocka_unit_test(unpacking_takes_no_work_by_claim),
		cmocka_unit_test(another_version_is_refused),
		cmocka_unit_test(sizes_keep_their_promise),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
