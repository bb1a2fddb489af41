// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A table sent in rounds: what arrives is the table as it was at the last one; what is damaged on
 * the way is refused. (The dirty log itself needs a kernel: tests/lab/scenarios/stream-rounds.)
 */
#include <sys/mman.h>
#include <unistd.h>

#include "tce-stream.h"
#include "unit.h"

#define ENTRIES 100000

static struct tce_table *new_table(uint64_t entries)
{
	int fd = memfd_create("table", 0);
	struct tce_table *table;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(entries * 8)), 0);
	assert_int_equal(tce_open_table(&table, fd, NULL), 0);
	close(fd);
	return table;
}

static void send_rounds(struct tce_table *from, struct memory *memory, uint64_t *words)
{
	struct tce_sink sink = memory_sink(memory);
	struct tce_sender *sender;
	struct tce_round round;

	assert_int_equal(tce_create_sender(&sender, from, &sink, NULL), 0);
	assert_int_equal(tce_send_round(sender, false, &round, NULL), 0);
	assert_int_equal(round.entries, ENTRIES);
	assert_false(round.logged);
	assert_int_equal(round.bytes, memory->size);
	/* The guest goes on: clears some, sets others. */
	memset(words + 1000, 0, 2000 * sizeof(*words));
	words[ENTRIES - 1] = 0x7003;
	assert_int_equal(tce_write_words(from, 0, words, ENTRIES, NULL, NULL), 0);
	assert_int_equal(tce_send_round(sender, true, &round, NULL), 0);
	assert_int_equal(tce_send_round(sender, true, &round, NULL), TCE_ERR_ARG);
	tce_destroy_sender(sender);
}

static void the_last_round_counts(void **state)
{
	uint64_t *words = calloc(ENTRIES, sizeof(*words)), *back = calloc(ENTRIES, sizeof(*back));
	struct tce_geometry geometry;
	size_t i;

	assert_true(words && back);
	for (i = 0; i < content_count; i++) {
		struct tce_table *from = new_table(ENTRIES), *to = new_table(ENTRIES);
		struct memory memory = { 0 };
		struct tce_source source;

		memset(words, 0, ENTRIES * sizeof(*words));
		contents[i].fill(words, ENTRIES);
		assert_int_equal(tce_write_words(from, 0, words, ENTRIES, NULL, NULL), 0);
		send_rounds(from, &memory, words);
		source = memory_source(&memory);
		source.seek = NULL;
		assert_int_equal(tce_receive_table(to, &source, NULL), 0);
		assert_int_equal(memory.read, memory.size);
		assert_int_equal(tce_read_words(to, 0, back, ENTRIES, NULL), 0);
		assert_memory_equal(back, words, ENTRIES * sizeof(*words));
		/* As a file, it is an image of that table. */
		memset(back, 0, ENTRIES * sizeof(*back));
		assert_int_equal(read_image(&memory, &geometry, back, ENTRIES, NULL), 1);
		assert_int_equal(geometry.entries, ENTRIES);
		assert_memory_equal(back, words, ENTRIES * sizeof(*words));
		assert_int_equal(memory.read, memory.size);
		tce_close_table(from);
		tce_close_table(to);
		free_memory(&memory);
	}
	free(words);
	free(back);
}

/* If this fails, the entries of one window are put into another. */
static void windows_must_agree(void **state)
{
	struct tce_geometry from_geometry = { .known = TCE_KNOWN_PAGE_SHIFT, .page_shift = 12 };
	struct tce_geometry to_geometry = { .known = TCE_KNOWN_BUS_OFFSET, .bus_offset = 1 << 20 };
	struct tce_table *from = new_table(ENTRIES), *to = new_table(ENTRIES);
	uint64_t *words = calloc(ENTRIES, sizeof(*words));
	struct memory memory = { 0 };
	struct tce_source source;

	assert_non_null(words);
	assert_int_equal(tce_declare_geometry(from, &from_geometry, NULL), 0);
	assert_int_equal(tce_declare_geometry(to, &to_geometry, NULL), 0);
	send_rounds(from, &memory, words);
	source = memory_source(&memory);
	assert_int_equal(tce_receive_table(to, &source, NULL), 0);
	to_geometry = (struct tce_geometry){ .known = TCE_KNOWN_PAGE_SHIFT, .page_shift = 16 };
	assert_int_equal(tce_declare_geometry(to, &to_geometry, NULL), 0);
	memory.read = 0;
	source = memory_source(&memory);
	assert_int_equal(tce_receive_table(to, &source, NULL), TCE_ERR_GEOMETRY);
	free_memory(&memory);
	tce_close_table(from);
	tce_close_table(to);
	free(words);
}

static void damage_is_refused(void **state)
{
	uint64_t *words = calloc(ENTRIES, sizeof(*words));
	struct tce_table *from = new_table(ENTRIES), *to = new_table(ENTRIES);
	struct tce_table *other = new_table(ENTRIES - 512);
	struct memory memory = { 0 };
	struct tce_geometry geometry;
	struct tce_source source;
	struct tce_error err;
	size_t i, whole;
	int ret;

	assert_non_null(words);
	for (i = 0; i < 300; i++)
		words[i * 7] = i << 12 | 3;
	assert_int_equal(tce_write_words(from, 0, words, ENTRIES, NULL, NULL), 0);
	send_rounds(from, &memory, words);
	source = memory_source(&memory);
	assert_int_equal(tce_receive_table(other, &source, &err), TCE_ERR_GEOMETRY);
	whole = memory.size;
	for (memory.size = 0; memory.size < whole; memory.size++) {
		err = (struct tce_error)TCE_ERROR_INIT;
		source = memory_source(&memory);
		ret = tce_receive_table(to, &source, &err);
		/* In the magic of an image, it is none. */
		assert_true(ret == TCE_ERR_TORN || ret == TCE_ERR_NOT_IMAGE);
		assert_true(err.message[0]);
		assert_int_equal(read_image(&memory, &geometry, NULL, 0, NULL), ret);
	}
	memory.size = whole;
	for (i = 0; i < whole; i++) {
		memory.data[i] ^= (uint8_t)(1 << i % 8);
		err = (struct tce_error)TCE_ERROR_INIT;
		source = memory_source(&memory);
		if (tce_receive_table(to, &source, &err) >= 0)
			fail_msg("a flipped bit at %zu of %zu is not seen", i, whole);
		assert_true(err.message[0]);
		if (read_image(&memory, &geometry, NULL, 0, NULL) >= 0)
			fail_msg("a flipped bit at %zu of %zu is not seen in a file", i, whole);
		memory.data[i] ^= (uint8_t)(1 << i % 8);
	}
	tce_close_table(from);
	tce_close_table(to);
	tce_close_table(other);
	free_memory(&memory);
	free(words);
}

/* Changes of every kind, in one round after the other, some of them the same places again. */
static void every_update_counts(void **state)
{
	uint64_t *words = calloc(ENTRIES, sizeof(*words)), *back = calloc(ENTRIES, sizeof(*back));
	struct tce_table *from = new_table(ENTRIES);
	struct memory memory = { 0 };
	struct tce_sink sink = memory_sink(&memory);
	struct tce_geometry geometry, none;
	struct tce_sender *sender;
	struct tce_reader *reader;
	struct tce_source source;
	struct tce_error err = TCE_ERROR_INIT;
	uint64_t seed = 7;
	size_t i, round;

	assert_true(words && back);
	assert_int_equal(tce_create_sender(&sender, from, &sink, NULL), 0);
	for (round = 0; round < 64; round++) {
		for (i = 0; i < 30; i++) {
			uint64_t at = next_random(&seed) % ENTRIES, k,
				 n = next_random(&seed) % 3000;

			for (k = at; k < ENTRIES && k < at + n; k++)
				words[k] = i % 3 == 0 ? 0 :
					   i % 3 == 1 ? (k << 12 | 3) :
							next_random(&seed);
		}
		assert_int_equal(tce_write_words(from, 0, words, ENTRIES, NULL, NULL), 0);
		assert_int_equal(tce_send_round(sender, round == 63, NULL, NULL), 0);
	}
	tce_destroy_sender(sender);
	assert_int_equal(read_image(&memory, &geometry, back, ENTRIES, NULL), 1);
	assert_memory_equal(back, words, ENTRIES * sizeof(*words));

	/* A pipe can't be read at several places. */
	source = memory_source(&memory);
	source.seek = NULL;
	assert_int_equal(tce_create_reader(&reader, &source, NULL), 0);
	assert_int_equal(tce_next_table(reader, &none, &err), TCE_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.message, "from a file"));
	tce_destroy_reader(reader);
	tce_close_table(from);
	free_memory(&memory);
	free(words);
	free(back);
}

static void too_many_rounds(void **state)
{
	struct tce_table *from = new_table(512);
	struct memory memory = { 0 };
	struct tce_sink sink = memory_sink(&memory);
	struct tce_sender *sender;
	int i;

	assert_int_equal(tce_create_sender(&sender, from, &sink, NULL), 0);
	for (i = 0; i < 64; i++)
		assert_int_equal(tce_send_round(sender, false, NULL, NULL), 0);
	assert_int_equal(tce_send_round(sender, true, NULL, NULL), TCE_ERR_LIMIT);
	tce_destroy_sender(sender);
	tce_close_table(from);
	free_memory(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_round_counts), cmocka_unit_test(every_update_counts),
		cmocka_unit_test(too_many_rounds),	 cmocka_unit_test(windows_must_agree),
		cmocka_unit_test(damage_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
