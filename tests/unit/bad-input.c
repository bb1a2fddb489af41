// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Images that are torn, damaged, hostile, or have no room: a status each, never a crash, never
 * entries that are not in the image.
 */
#include <dirent.h>
#include <errno.h>

#include "unit.h"

static const char *const good[] = {
	"good-no-table.img", "good-linear.img", "good-mixed.img",
	"good-squeezed.img", "good-stock.img",	"good-updates.img",
};

static void read_damaged(struct memory *memory, const char *name, const char *how, size_t where)
{
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_geometry geometry;
	int ret = read_image(memory, &geometry, NULL, 0, &err);

	if (ret >= 0)
		fail_msg("%s, %s %zu: accepted", name, how, where);
	assert_int_equal(err.code, ret);
	assert_true(err.message[0]);
	assert_string_not_equal(tce_strerror(ret), "unknown status");
	assert_int_not_equal(ret, TCE_ERR_ARG);
}

/* If this fails, half an image, of a dump that was cut off, is restored as if it were whole. */
static void torn_at_every_byte(void **state)
{
	size_t i, size;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		struct memory memory;

		read_fixture(good[i], &memory);
		for (size = memory.size; size-- > 0;) {
			/* Cut the buffer too, so that a byte read past it is seen. */
			memory.data = realloc(memory.data, size ? size : 1);
			memory.size = size;
			read_damaged(&memory, good[i], "torn after byte", size);
		}
		free_memory(&memory);
	}
}

/* If this fails, one flipped bit on a disk changes where a device writes to. */
static void every_bit_flipped(void **state)
{
	size_t i, bit;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		struct memory memory;

		read_fixture(good[i], &memory);
		for (bit = 0; bit < memory.size * 8; bit++) {
			memory.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			read_damaged(&memory, good[i], "flipped bit", bit);
			memory.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		free_memory(&memory);
	}
}

static int skip_image(struct memory *memory, struct tce_error *err)
{
	struct tce_source source = memory_source(memory);
	struct tce_geometry geometry;
	struct tce_reader *reader;
	int ret = tce_create_reader(&reader, &source, err);

	if (ret < 0)
		return ret;
	while ((ret = tce_next_table(reader, &geometry, err)) > 0) {
		ret = tce_skip_table(reader, err);
		if (ret < 0)
			break;
	}
	tce_destroy_reader(reader);
	return ret;
}

/*
 * If this fails, a restore, which first goes over the records alone, writes what has no end, or
 * other records.
 */
static void skipped_tables(void **state)
{
	/* Bytes of payload, which are not looked at; an image with updates is read as a whole. */
	static const size_t payload[ARRAY_SIZE(good)] = { 0, 0, 555, 464, 0, 0 };
	struct tce_error err = TCE_ERROR_INIT;
	size_t i, bit, size;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		size_t accepted = 0;
		struct memory memory;

		read_fixture(good[i], &memory);
		assert_int_equal(skip_image(&memory, &err), 0);
		for (bit = 0; bit < memory.size * 8; bit++) {
			memory.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			accepted += skip_image(&memory, &err) == 0;
			memory.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_int_equal(accepted, payload[i] * 8);
		for (size = memory.size; size-- > 0;) {
			memory.data = realloc(memory.data, size ? size : 1);
			memory.size = size;
			assert_true(skip_image(&memory, &err) < 0);
		}
		free_memory(&memory);
	}
}

static int expected_status(const char *name)
{
	static const struct {
		const char *prefix;
		int status;
	} expected[] = {
		{ "bad-not_image-", TCE_ERR_NOT_IMAGE }, { "bad-version-", TCE_ERR_VERSION },
		{ "bad-limit-", TCE_ERR_LIMIT },	 { "bad-geometry-", TCE_ERR_GEOMETRY },
		{ "bad-range-", TCE_ERR_RANGE },	 { "bad-corrupt-", TCE_ERR_CORRUPT },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(expected); i++) {
		if (!strncmp(name, expected[i].prefix, strlen(expected[i].prefix)))
			return expected[i].status;
	}
	fail_msg("%s: no such status", name);
	return 0;
}

/* If this fails, an image made to do harm, with right hashes, gets past the checks. */
static void hostile_images(void **state)
{
	struct dirent *entry;
	DIR *dir = opendir(getenv("TCE_FIXTURES"));
	int seen = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		struct tce_error err = TCE_ERROR_INIT;
		struct tce_geometry geometry;
		struct memory memory;
		int ret;

		if (strncmp(entry->d_name, "bad-", 4))
			continue;
		read_fixture(entry->d_name, &memory);
		ret = read_image(&memory, &geometry, NULL, 0, &err);
		if (ret != expected_status(entry->d_name))
			fail_msg("%s: %d (%s)", entry->d_name, ret, err.message);
		free_memory(&memory);
		seen++;
	}
	closedir(dir);
	assert_true(seen > 45);
}

static ssize_t broken_read(void *ctx, void *buf, size_t len)
{
	return -EIO;
}

static ssize_t lying_read(void *ctx, void *buf, size_t len)
{
	return (ssize_t)len + 1;
}

/* If this fails, a VMM's broken callback is taken for the end of an image, or overruns a buffer. */
static void broken_source(void **state)
{
	struct tce_source source = { .read = broken_read };
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_reader *reader;

	assert_int_equal(tce_create_reader(&reader, &source, &err), TCE_ERR_IO);
	assert_int_equal(err.sys_errno, EIO);
	source.read = lying_read;
	assert_int_equal(tce_create_reader(&reader, &source, &err), TCE_ERR_IO);
}

/* Write a table with a bit of everything; whatever the status, free everything. */
static int write_everything(struct memory *memory, struct tce_error *err)
{
	const uint64_t entries = 100000;
	struct tce_geometry geometry = make_geometry(7, 12, 0, entries);
	struct tce_sink sink = memory_sink(memory);
	uint64_t *words = calloc(entries, sizeof(*words));
	struct tce_writer *writer;
	size_t i;
	int ret;

	assert_non_null(words);
	for (i = 0; i < 40000; i++)
		words[i] = i << 12 | 3;
	for (; i < 80000; i++)
		words[i] = i * 0x9e3779b97f4a7c15;
	for (; i < entries; i++)
		words[i] = i % 7 ? i << 12 | 1 : 0;
	ret = tce_create_writer(&writer, &sink, NULL, err);
	if (!ret) {
		ret = tce_begin_table(writer, &geometry, err);
		if (!ret)
			ret = tce_put_words(writer, 0, words, entries, err);
		if (!ret)
			ret = tce_end_table(writer, err);
		if (!ret)
			ret = tce_end_image(writer, err);
		tce_destroy_writer(writer);
	}
	free(words);
	return ret;
}

/* If this fails, a full disk goes unnoticed, and the image is found torn when it is needed. */
static void no_room_at_any_size(void **state)
{
	struct memory memory = { 0 };
	size_t size, room;

	assert_int_equal(write_everything(&memory, NULL), 0);
	size = memory.size;
	free_memory(&memory);
	for (room = 1; room < size; room += 1 + size / 200) {
		struct tce_error err = TCE_ERROR_INIT;

		memory.room = room;
		assert_int_equal(write_everything(&memory, &err), TCE_ERR_IO);
		assert_int_equal(err.sys_errno, ENOSPC);
		free_memory(&memory);
	}
}

/* The linker sends what libtce allocates through these. */
static long allocations_left = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_ZSTD_createCCtx(void);
void *__real_ZSTD_createDCtx(void);
void *__real_XXH3_createState(void);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_ZSTD_createCCtx(void);
void *__wrap_ZSTD_createDCtx(void);
void *__wrap_XXH3_createState(void);

static int allocation_fails(void)
{
	if (allocations_left < 0)
		return 0;
	return allocations_left-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return allocation_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return allocation_fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_ZSTD_createCCtx(void)
{
	return allocation_fails() ? NULL : __real_ZSTD_createCCtx();
}

void *__wrap_ZSTD_createDCtx(void)
{
	return allocation_fails() ? NULL : __real_ZSTD_createDCtx();
}

void *__wrap_XXH3_createState(void)
{
	return allocation_fails() ? NULL : __real_XXH3_createState();
}

static int discard(void *ctx, const void *buf, size_t len)
{
	return 0;
}

/* If this fails, a VMM that runs out of memory crashes instead of saving what it can. */
static void no_memory_at_any_allocation(void **state)
{
	const struct tce_sink sink = { .write = discard };
	long i;

	for (i = 0;; i++) {
		struct tce_geometry geometry = make_geometry(1, 12, 0, 8);
		struct tce_error err = TCE_ERROR_INIT;
		struct tce_writer *writer = NULL;
		int ret;

		allocations_left = i;
		ret = tce_create_writer(&writer, &sink, NULL, &err);
		if (!ret)
			ret = tce_begin_table(writer, &geometry, &err);
		tce_destroy_writer(writer);
		if (allocations_left >= 0) {
			assert_int_equal(ret, 0);
			break;
		}
		assert_int_equal(ret, TCE_ERR_NOMEM);
	}
	allocations_left = -1;
	assert_int_equal(i, 7);

	for (i = 0;; i++) {
		struct tce_geometry geometry;
		struct tce_error err = TCE_ERROR_INIT;
		struct memory memory;
		int ret;

		read_fixture("good-mixed.img", &memory);
		allocations_left = i;
		ret = read_image(&memory, &geometry, NULL, 0, &err);
		free_memory(&memory);
		if (allocations_left >= 0) {
			assert_int_equal(ret, 2);
			break;
		}
		assert_int_equal(ret, TCE_ERR_NOMEM);
	}
	allocations_left = -1;
	assert_int_equal(i, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(torn_at_every_byte),
		cmocka_unit_test(every_bit_flipped),
		cmocka_unit_test(skipped_tables),
		cmocka_unit_test(hostile_images),
		cmocka_unit_test(broken_source),
		cmocka_unit_test(no_room_at_any_size),
		cmocka_unit_test(no_memory_at_any_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
