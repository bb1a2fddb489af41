// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Images in memory, and the contents that tables are tried with.
 */
#include <errno.h>

#include "unit.h"

static int memory_write(void *ctx, const void *buf, size_t len)
{
	struct memory *memory = ctx;

	if (memory->room && memory->size + len > memory->room)
		return -ENOSPC;
	if (memory->size + len > memory->capacity) {
		memory->capacity = memory->size + len + memory->size / 2;
		memory->data = realloc(memory->data, memory->capacity);
		assert_non_null(memory->data);
	}
	memcpy(memory->data + memory->size, buf, len);
	memory->size += len;
	return 0;
}

static ssize_t memory_read(void *ctx, void *buf, size_t len)
{
	struct memory *memory = ctx;

	if (memory->piece && len > memory->piece)
		len = memory->piece;
	if (memory->read >= memory->size)
		return 0;
	if (len > memory->size - memory->read)
		len = memory->size - memory->read;
	if (len)
		memcpy(buf, memory->data + memory->read, len);
	memory->read += len;
	return (ssize_t)len;
}

struct tce_sink memory_sink(struct memory *memory)
{
	return (struct tce_sink){ .write = memory_write, .ctx = memory };
}

static int memory_seek(void *ctx, int64_t distance)
{
	struct memory *memory = ctx;

	memory->read += (size_t)distance;
	return 0;
}

struct tce_source memory_source(struct memory *memory)
{
	memory->read = 0;
	return (struct tce_source){ .read = memory_read, .ctx = memory, .seek = memory_seek };
}

void free_memory(struct memory *memory)
{
	free(memory->data);
	*memory = (struct memory){ 0 };
}

void read_fixture(const char *name, struct memory *memory)
{
	const char *folder = getenv("TCE_FIXTURES");
	char path[512];
	FILE *file;

	assert_non_null(folder);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "rb");
	if (!file)
		fail_msg("%s: %s", path, strerror(errno));
	*memory = (struct memory){ .data = malloc(4096) };
	assert_non_null(memory->data);
	memory->size = fread(memory->data, 1, 4096, file);
	fclose(file);
}

uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1d;
}

static void fill_empty(uint64_t *words, size_t count)
{
}

static void fill_linear(uint64_t *words, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		words[i] = (uint64_t)i << 12 | 3;
}

static void fill_downward(uint64_t *words, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		words[i] = (uint64_t)(count - i) << 16 | 1;
}

static void fill_same(uint64_t *words, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		words[i] = 0x12345003;
}

static void fill_alternating(uint64_t *words, size_t count)
{
	size_t i;

	for (i = 0; i < count; i += 2)
		words[i] = (uint64_t)i << 12 | 3;
}

/* Poison: no permission bits, but not zero. All bits above must survive. */
static void fill_poison(uint64_t *words, size_t count)
{
	uint64_t state = 5;
	size_t i;

	for (i = 0; i < count; i++)
		words[i] = (next_random(&state) | 4) & ~3ULL;
}

static void fill_permissions(uint64_t *words, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		words[i] = 0x7000 + (i & 3);
}

static void fill_last(uint64_t *words, size_t count)
{
	words[count - 1] = 0x8000000000000003;
}

static void fill_first(uint64_t *words, size_t count)
{
	words[0] = 1;
}

static void fill_random(uint64_t *words, size_t count)
{
	uint64_t state = 1;
	size_t i;

	for (i = 0; i < count; i++)
		words[i] = next_random(&state);
}

static void fill_runs(uint64_t *words, size_t count)
{
	uint64_t state = 2, tce = 0;
	size_t i, left = 0;

	for (i = 0; i < count; i++) {
		if (!left) {
			left = 1 + next_random(&state) % 16;
			tce = (next_random(&state) >> 36) << 12 | 3;
		}
		words[i] = tce;
		tce += 4096;
		left--;
	}
}

/* Long and short runs, literals, holes and strides of every size, one after the other. */
static void fill_mixture(uint64_t *words, size_t count)
{
	uint64_t state = 3;
	size_t i = 0, k, n;

	while (i < count) {
		uint64_t kind = next_random(&state) % 5, tce = next_random(&state);
		uint64_t stride = 1ULL << next_random(&state) % 64;

		n = 1 + next_random(&state) % (next_random(&state) % 8 ? 100 : 50000);
		if (n > count - i)
			n = count - i;
		for (k = 0; k < n; k++) {
			if (kind == 0)
				words[i + k] = next_random(&state);
			else if (kind == 1)
				words[i + k] = tce + k * stride;
			else if (kind == 2)
				words[i + k] = tce - k * stride;
			else if (kind == 3)
				words[i + k] = (tce >> 40) << 12 | 3;
		}
		i += n;
	}
}

/* Runs that go through zero, upward and down: the zero belongs to no run. */
static void fill_through_zero(uint64_t *words, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		words[i] = i % 3000 < 1500 ? (i % 3000 - 700) * 4096 : (2200 - i % 3000) * 8;
}

/* A few entries far from each other. */
static void fill_sparse(uint64_t *words, size_t count)
{
	size_t i;

	for (i = 7; i < count; i += 40009)
		words[i] = (uint64_t)i << 12 | 2;
}

/* Runs that begin and end around the blocks that the writer thinks in. */
static void fill_edges(uint64_t *words, size_t count)
{
	static const size_t edges[] = { 32767, 32768, 32769, 65472, 65473, 98304 };
	size_t i, e;

	for (i = 0; i < count; i++) {
		for (e = 0; e < ARRAY_SIZE(edges) && i >= edges[e]; e++)
			;
		words[i] = (uint64_t)(e + 1) << 40 | (uint64_t)i << 12 | 3;
	}
}

const struct content contents[] = {
	{ "empty", fill_empty },
	{ "linear", fill_linear },
	{ "downward", fill_downward },
	{ "same", fill_same },
	{ "alternating", fill_alternating },
	{ "poison", fill_poison },
	{ "permissions", fill_permissions },
	{ "last", fill_last },
	{ "first", fill_first },
	{ "random", fill_random },
	{ "runs", fill_runs },
	{ "mixture", fill_mixture },
	{ "through zero", fill_through_zero },
	{ "sparse", fill_sparse },
	{ "edges", fill_edges },
};

const size_t content_count = ARRAY_SIZE(contents);

struct tce_geometry make_geometry(uint64_t liobn, uint32_t page_shift, uint64_t bus_offset,
				  uint64_t entries)
{
	return (struct tce_geometry){
		.known = TCE_KNOWN_ALL,
		.liobn = liobn,
		.page_shift = page_shift,
		.bus_offset = bus_offset,
		.entries = entries,
		.origin = "unit test",
	};
}

void write_image(struct memory *memory, const struct tce_geometry *geometry, const uint64_t *words,
		 uint64_t seed)
{
	struct tce_sink sink = memory_sink(memory);
	struct tce_error err = TCE_ERROR_INIT;
	const uint64_t entries = geometry->entries;
	struct tce_writer *writer;
	uint64_t i = 0;

	assert_int_equal(tce_create_writer(&writer, &sink, "unit", &err), 0);
	assert_int_equal(tce_begin_table(writer, geometry, &err), 0);
	if (!seed)
		assert_int_equal(tce_put_words(writer, 0, words, entries, &err), 0);
	while (seed && i < entries) {
		uint64_t n = 1 + next_random(&seed) % (next_random(&seed) % 2 ? 10 : 70000);

		if (n > entries - i)
			n = entries - i;
		/* What is zero may be put or left out. */
		while (n && !words[i] && next_random(&seed) % 4) {
			i++;
			n--;
		}
		assert_int_equal(tce_put_words(writer, i, words + i, n, &err), 0);
		i += n;
	}
	assert_int_equal(tce_end_table(writer, &err), 0);
	assert_int_equal(tce_end_image(writer, &err), 0);
	assert_int_equal(tce_writer_size(writer), memory->size);
	tce_destroy_writer(writer);
}

int read_image(struct memory *memory, struct tce_geometry *geometry, uint64_t *words, size_t count,
	       struct tce_error *err)
{
	struct tce_source source = memory_source(memory);
	struct tce_geometry ignored;
	struct tce_reader *reader;
	struct tce_extent extent;
	int ret, tables = 0;

	ret = tce_create_reader(&reader, &source, err);
	if (ret < 0)
		return ret;
	while ((ret = tce_next_table(reader, tables ? &ignored : geometry, err)) > 0) {
		uint64_t next = 0;

		while ((ret = tce_next_extent(reader, &extent, err)) > 0) {
			/* Whatever the input: what is handed out lies in the table, in order. */
			assert_true(extent.count >= 1 && extent.first >= next);
			next = extent.first + extent.count;
			assert_true(next > extent.first);
			if (tables || !words)
				continue;
			assert_true(next <= count);
			tce_expand_extent(&extent, 0, words + extent.first, extent.count);
		}
		if (ret < 0)
			break;
		tables++;
	}
	tce_destroy_reader(reader);
	return ret < 0 ? ret : tables;
}
