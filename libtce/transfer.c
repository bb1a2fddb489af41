// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Whole tables on their way: into an image, from wherever their entries come, and out of one into
 * a table.
 */
#include <stdlib.h>

#include "tce-private.h"

/* A stretch of zeros this long in the middle of words is cleared, not written: it may be a hole. */
#define GAP_MIN 512

static void report(const struct tce_progress *progress, uint64_t done, uint64_t total)
{
	if (progress && progress->step)
		progress->step(progress->ctx, done, total);
}

int tce_copy_table(struct tce_writer *writer, const struct tce_geometry *geometry,
		   const struct tce_extents *from, const struct tce_progress *progress,
		   struct tce_error *err)
{
	struct tce_extent extent;
	int ret;

	ret = tce_begin_table(writer, geometry, err);
	if (ret < 0)
		return ret;
	while ((ret = from->next(from->ctx, &extent, err)) > 0) {
		if (extent.words)
			ret = tce_put_words(writer, extent.first, extent.words, extent.count, err);
		else
			ret = tce_put_run(writer, &extent, err);
		if (ret < 0)
			return ret;
		report(progress, extent.first + extent.count, geometry->entries);
	}
	return ret < 0 ? ret : tce_end_table(writer, err);
}

static int next_of_reader(void *ctx, struct tce_extent *extent, struct tce_error *err)
{
	return tce_next_extent(ctx, extent, err);
}

struct tce_extents tce_reader_extents(struct tce_reader *reader)
{
	return (struct tce_extents){ .next = next_of_reader, .ctx = reader };
}

/**
 * struct walk - a table that is being read from its beginning to its end
 * @table: the table.
 * @index: first entry that has not been looked at.
 * @count: how many entries from @index on are known not to be a hole.
 * @words: room for a block of entries.
 */
struct walk {
	struct tce_table *table;
	uint64_t index;
	uint64_t count;
	uint64_t *words;
};

static int next_of_table(void *ctx, struct tce_extent *extent, struct tce_error *err)
{
	struct walk *walk = ctx;
	size_t n;
	int ret;

	if (!walk->count) {
		ret = tce_next_data(walk->table, walk->index, &walk->index, &walk->count, err);
		if (ret <= 0)
			return ret;
	}
	/* Up to the next block's beginning: the writer takes whole ones as they are. */
	n = min_u64(walk->count, TCE_BLOCK_MAX - walk->index % TCE_BLOCK_MAX);
	ret = tce_read_words(walk->table, walk->index, walk->words, n, err);
	if (ret < 0)
		return ret;
	*extent = (struct tce_extent){ .first = walk->index, .count = n, .words = walk->words };
	walk->index += n;
	walk->count -= n;
	return 1;
}

int tce_save_table(struct tce_table *table, struct tce_writer *writer,
		   const struct tce_progress *progress, struct tce_error *err)
{
	struct walk walk = { .table = table };
	const struct tce_extents entries = { .next = next_of_table, .ctx = &walk };
	int ret;

	walk.words = malloc(TCE_PAYLOAD_MAX);
	if (!walk.words)
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for a block of entries");
	ret = tce_copy_table(writer, &table->geometry, &entries, progress, err);
	free(walk.words);
	return ret;
}

/*
 * How many words come before the next long stretch of zeros, or before zeros that reach the
 * end. Only one word in GAP_MIN / 2 is looked at: a long stretch has at least one of them.
 */
static size_t count_to_gap(const uint64_t *words, size_t count)
{
	size_t at, begin, zeros;

	for (at = GAP_MIN / 2; at < count; at += GAP_MIN / 2) {
		if (words[at])
			continue;
		for (begin = at; begin && !words[begin - 1]; begin--)
			;
		zeros = tce_count_zeros(words + begin, count - begin);
		if (zeros >= GAP_MIN)
			return begin;
	}
	while (count && !words[count - 1])
		count--;
	return count;
}

/* Write words of which long stretches may be zero. Adds what was done to @done. */
static int write_sparse(struct tce_table *table, uint64_t index, const uint64_t *words,
			size_t count, uint64_t *done, struct tce_error *err)
{
	size_t i = 0, written;
	int ret;

	while (i < count) {
		size_t zeros = tce_count_zeros(words + i, count - i);
		size_t end;

		if (zeros >= GAP_MIN || zeros == count - i) {
			ret = tce_clear_words(table, index + i, zeros, err);
			if (ret < 0)
				return ret;
			*done += zeros;
			i += zeros;
			continue;
		}

		/* Up to the next long stretch; shorter ones are written as the zeros they are. */
		end = i + zeros + count_to_gap(words + i + zeros, count - i - zeros);
		ret = tce_write_words(table, index + i, words + i, end - i, &written, err);
		*done += written;
		if (ret < 0)
			return ret;
		i = end;
	}
	return TCE_OK;
}

/*
 * Make entries of the table what an extent says; @words is room for TCE_BLOCK_MAX of them. Adds
 * what was done to @done.
 */
int tce_load_extent(struct tce_table *table, const struct tce_extent *extent, uint64_t *words,
		    uint64_t *done, const struct tce_progress *progress, struct tce_error *err)
{
	uint64_t skip = 0;
	size_t written;
	int ret;

	/* Only updates have that. */
	if (!extent->words && !extent->tce && !extent->stride) {
		ret = tce_clear_words(table, extent->first, extent->count, err);
		if (!ret)
			*done += extent->count;
		return ret;
	}

	if (extent->words)
		return write_sparse(table, extent->first, extent->words, extent->count, done, err);

	while (skip < extent->count) {
		size_t n = min_u64(extent->count - skip, TCE_BLOCK_MAX);

		tce_expand_extent(extent, skip, words, n);
		ret = tce_write_words(table, extent->first + skip, words, n, &written, err);
		*done += written;
		if (ret < 0)
			return ret;
		skip += n;
		report(progress, extent->first + skip, table->geometry.entries);
	}
	return TCE_OK;
}

int tce_load_table(struct tce_table *table, struct tce_reader *reader, struct tce_loaded *loaded,
		   const struct tce_progress *progress, struct tce_error *err)
{
	const uint64_t entries = table->geometry.entries;
	struct tce_loaded ignored;
	struct tce_extent extent;
	uint64_t *words;
	int ret;

	if (!loaded)
		loaded = &ignored;
	loaded->written = 0;
	loaded->used = 0;
	words = malloc(TCE_PAYLOAD_MAX);
	if (!words)
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for a block of entries");

	while ((ret = tce_next_extent(reader, &extent, err)) > 0) {
		ret = tce_clear_words(table, loaded->written, extent.first - loaded->written, err);
		if (ret < 0)
			break;
		loaded->written = extent.first;
		ret = tce_load_extent(table, &extent, words, &loaded->written, progress, err);
		if (ret < 0)
			break;
		loaded->used += extent.words ? tce_count_used(extent.words, extent.count) :
					       extent.count;
		report(progress, loaded->written, entries);
	}
	if (!ret) {
		ret = tce_clear_words(table, loaded->written, entries - loaded->written, err);
		if (!ret)
			loaded->written = entries;
	}
	free(words);
	return ret;
}
