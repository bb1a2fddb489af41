// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Migration streams: what QEMU can send beside RAM, devices and tables is understood: postcopy,
 * disks, RAM in places of its own, each part of the configuration, older machines.
 */
#include "stream-private.h"
#include "stream-trip.h"

/* A table behind what @m has is found, as all of it is understood. */
static void check_table_behind(struct maker *m)
{
	struct tce_stream_stats stats;
	uint64_t word = 3;

	put_table(m, 9, 0x80000000, 12, 0, &word, 1);
	put_8(m, 0);
	assert_int_equal(round_trip(m, 0, &stats), 0);
	assert_true(stats.understood);
	assert_int_equal(stats.tables, 1);
	free_maker(m);
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
	check_table_behind(&m);
}

/* RAM that is in places of its own in the file. */
static void mapped_ram_is_understood(void **state)
{
	static const uint8_t ram[3 << 20];
	struct maker m = { .footers = true };
	uint64_t at;

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
	check_table_behind(&m);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ram_need_not_end),
		cmocka_unit_test(postcopy_is_understood),
		cmocka_unit_test(disks_are_understood),
		cmocka_unit_test(mapped_ram_is_understood),
		cmocka_unit_test(old_machines_have_no_footers),
		cmocka_unit_test(every_part_of_the_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
