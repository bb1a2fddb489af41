// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tables behind one interface: what a file descriptor is, the checks that every back end shares,
 * and saving and loading whole tables.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tce-private.h"

/* A stretch of zeros this long in the middle of words is cleared, not written: it may be a hole. */
#define GAP_MIN		512

int tce_set_table_error(const struct tce_table *table, struct tce_error *err, int code,
			int sys_errno, uint64_t index, const char *what)
{
	tce_set_error(err, code, sys_errno, "%s", what);
	if (!err)
		return code;
	if (table->geometry.known & TCE_KNOWN_LIOBN) {
		err->fields |= TCE_ERROR_LIOBN;
		err->liobn = table->geometry.liobn;
	}
	err->fields |= TCE_ERROR_INDEX;
	err->index = index;
	return code;
}

/* A patched kernel tells everything; what it tells in part, it has told wrong. */
static int open_kvm(struct tce_table *table, const struct tce_fdinfo *info, struct tce_error *err)
{
	if (info->known != TCE_KNOWN_ALL || info->page_shift > UINT32_MAX)
		return tce_set_error(err, TCE_ERR_GEOMETRY, 0,
				     "the kernel's fdinfo of the table is incomplete");
	table->backend = TCE_BACKEND_KVM;
	table->ops = &tce_file_ops;
	table->geometry.known = TCE_KNOWN_ALL;
	table->geometry.liobn = info->liobn;
	table->geometry.page_shift = (uint32_t)info->page_shift;
	table->geometry.bus_offset = info->bus_offset;
	table->geometry.entries = info->entries;
	return tce_check_geometry(&table->geometry, err);
}

static int open_stock(struct tce_table *table, struct tce_error *err)
{
	table->backend = TCE_BACKEND_KVM_STOCK;
	table->ops = &tce_mmap_ops;
	return tce_measure_stock_table(table->fd, &table->geometry.entries, err);
}

static int open_plain(struct tce_table *table, const struct stat *st, struct tce_error *err)
{
	if (!S_ISREG(st->st_mode))
		return tce_set_error(err, TCE_ERR_NOT_TABLE, 0,
				     "neither a TCE table's fd nor a plain file");
	if (!st->st_size || st->st_size % (off_t)sizeof(uint64_t))
		return tce_set_error(err, TCE_ERR_GEOMETRY, 0,
				     "a file of %lld bytes is not an array of TCEs",
				     (long long)st->st_size);
	table->backend = TCE_BACKEND_FILE;
	table->ops = &tce_file_ops;
	table->geometry.known = TCE_KNOWN_ENTRIES;
	table->geometry.entries = (uint64_t)st->st_size / sizeof(uint64_t);
	return tce_check_geometry(&table->geometry, err);
}

int tce_open_table(struct tce_table **result, int fd, struct tce_error *err)
{
	struct tce_fdinfo info;
	struct tce_table *table;
	char path[48], link[128];
	struct stat st;
	ssize_t n;
	int ret;

	table = calloc(1, sizeof(*table));
	if (!table)
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for a table");
	table->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (table->fd < 0 || fstat(table->fd, &st) < 0) {
		ret = tce_set_error(err, TCE_ERR_IO, errno, "file descriptor %d", fd);
		goto out_close;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", table->fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0) {
		ret = tce_set_error(err, TCE_ERR_IO, errno, "%s", path);
		goto out_close;
	}
	link[n] = '\0';
	snprintf(table->geometry.origin, sizeof(table->geometry.origin), "fd %d", fd);

	if (tce_is_patched_link(link)) {
		ret = tce_read_fdinfo(table->fd, &info, err);
		if (!ret)
			ret = open_kvm(table, &info, err);
	} else if (tce_is_stock_link(link)) {
		ret = open_stock(table, err);
	} else {
		ret = open_plain(table, &st, err);
	}
	if (ret < 0)
		goto out_close;
	*result = table;
	return TCE_OK;

out_close:
	tce_close_table(table);
	return ret;
}

const struct tce_geometry *tce_table_geometry(const struct tce_table *table)
{
	return &table->geometry;
}

enum tce_backend tce_table_backend(const struct tce_table *table)
{
	return table->backend;
}

int tce_declare_geometry(struct tce_table *table, const struct tce_geometry *by_hand,
			 struct tce_error *err)
{
	struct tce_geometry merged = table->geometry;
	const unsigned int told = table->geometry.known;
	int ret;

	if (by_hand->known & TCE_KNOWN_LIOBN) {
		if (told & TCE_KNOWN_LIOBN && by_hand->liobn != merged.liobn)
			return tce_set_error(err, TCE_ERR_GEOMETRY, 0,
					     "LIOBN is 0x%llx, not 0x%llx",
					     (unsigned long long)merged.liobn,
					     (unsigned long long)by_hand->liobn);
		merged.liobn = by_hand->liobn;
	}
	if (by_hand->known & TCE_KNOWN_PAGE_SHIFT) {
		if (told & TCE_KNOWN_PAGE_SHIFT && by_hand->page_shift != merged.page_shift)
			return tce_set_error(err, TCE_ERR_GEOMETRY, 0, "page shift is %u, not %u",
					     merged.page_shift, by_hand->page_shift);
		merged.page_shift = by_hand->page_shift;
	}
	if (by_hand->known & TCE_KNOWN_BUS_OFFSET) {
		if (told & TCE_KNOWN_BUS_OFFSET && by_hand->bus_offset != merged.bus_offset)
			return tce_set_error(err, TCE_ERR_GEOMETRY, 0,
					     "bus offset is 0x%llx, not 0x%llx",
					     (unsigned long long)merged.bus_offset,
					     (unsigned long long)by_hand->bus_offset);
		merged.bus_offset = by_hand->bus_offset;
	}
	if (by_hand->known & TCE_KNOWN_ENTRIES) {
		uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE) / sizeof(uint64_t);

		if (told & TCE_KNOWN_ENTRIES ? by_hand->entries != merged.entries :
		    by_hand->entries > merged.entries || merged.entries - by_hand->entries >= page)
			return tce_set_error(err, TCE_ERR_GEOMETRY, 0,
					     "the table has %s%llu entries, not %llu",
					     told & TCE_KNOWN_ENTRIES ? "" : "up to ",
					     (unsigned long long)merged.entries,
					     (unsigned long long)by_hand->entries);
		merged.entries = by_hand->entries;
	}
	merged.known |= by_hand->known & TCE_KNOWN_ALL;
	ret = tce_check_geometry(&merged, err);
	if (!ret)
		table->geometry = merged;
	return ret;
}

int tce_read_stats(const struct tce_table *table, struct tce_table_stats *stats,
		   struct tce_error *err)
{
	struct tce_fdinfo info;
	int ret;

	if (table->backend != TCE_BACKEND_KVM)
		return tce_set_error(err, TCE_ERR_UNSUPPORTED, 0,
				     "only a kernel with the TCE patches counts pages of tables");
	ret = tce_read_fdinfo(table->fd, &info, err);
	if (!ret)
		*stats = info.stats;
	return ret;
}

static int check_range(const struct tce_table *table, uint64_t index, uint64_t count,
		       struct tce_error *err)
{
	if (index > table->geometry.entries || count > table->geometry.entries - index)
		return tce_set_table_error(table, err, TCE_ERR_RANGE, 0, index,
					   "past the end of the table");
	return TCE_OK;
}

static int check_writable(const struct tce_table *table, struct tce_error *err)
{
	if (table->backend == TCE_BACKEND_KVM_STOCK)
		return tce_set_error(err, TCE_ERR_UNSUPPORTED, 0,
				     "writing tables needs a kernel with the TCE patches");
	return TCE_OK;
}

int tce_read_words(struct tce_table *table, uint64_t index, uint64_t *words, size_t count,
		   struct tce_error *err)
{
	int ret = check_range(table, index, count, err);

	return ret ? ret : table->ops->read(table, index, words, count, err);
}

int tce_next_data(struct tce_table *table, uint64_t index, uint64_t *first, uint64_t *count,
		  struct tce_error *err)
{
	if (index >= table->geometry.entries)
		return 0;
	return table->ops->next_data(table, index, first, count, err);
}

int tce_write_words(struct tce_table *table, uint64_t index, const uint64_t *words, size_t count,
		    size_t *written, struct tce_error *err)
{
	size_t ignored;
	int ret;

	if (!written)
		written = &ignored;
	*written = 0;
	ret = check_range(table, index, count, err);
	if (!ret)
		ret = check_writable(table, err);
	return ret ? ret : table->ops->write(table, index, words, count, written, err);
}

int tce_clear_words(struct tce_table *table, uint64_t index, uint64_t count,
		    struct tce_error *err)
{
	int ret = check_range(table, index, count, err);

	if (!ret)
		ret = check_writable(table, err);
	if (ret || !count)
		return ret;
	return table->ops->clear(table, index, count, err);
}

void tce_keep_position(struct tce_table *table)
{
	table->keep_position = true;
}

void tce_close_table(struct tce_table *table)
{
	if (!table)
		return;
	if (table->ops && table->ops->close)
		table->ops->close(table);
	if (table->fd >= 0)
		close(table->fd);
	free(table);
}

static void report(const struct tce_progress *progress, uint64_t done, uint64_t total)
{
	if (progress && progress->step)
		progress->step(progress->ctx, done, total);
}

int tce_save_table(struct tce_table *table, struct tce_writer *writer,
		   const struct tce_progress *progress, struct tce_error *err)
{
	const uint64_t entries = table->geometry.entries;
	uint64_t index = 0, first, count;
	uint64_t *words;
	int ret;

	words = malloc(TCE_PAYLOAD_MAX);
	if (!words)
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for a block of entries");
	ret = tce_begin_table(writer, &table->geometry, err);
	if (ret < 0)
		goto out_free;

	for (;;) {
		ret = tce_next_data(table, index, &first, &count, err);
		if (ret <= 0)
			break;
		for (index = first; count; ) {
			/* Up to the next block's beginning: the writer takes whole ones as they are. */
			size_t n = min_u64(count, TCE_BLOCK_MAX - index % TCE_BLOCK_MAX);

			ret = tce_read_words(table, index, words, n, err);
			if (!ret)
				ret = tce_put_words(writer, index, words, n, err);
			if (ret < 0)
				goto out_free;
			index += n;
			count -= n;
			report(progress, index, entries);
		}
	}
	if (!ret)
		ret = tce_end_table(writer, err);

out_free:
	free(words);
	return ret;
}

/*
 * How many words come before the next long stretch of zeros, or before zeros that reach the end. Only
 * every so manieth word is looked at: a long stretch has one of them.
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
 * Make entries of the table what an extent says; @words is room for TCE_BLOCK_MAX of them. Adds what
 * was done to @done.
 */
int tce_load_extent(struct tce_table *table, const struct tce_extent *extent, uint64_t *words,
		    uint64_t *done, const struct tce_progress *progress, struct tce_error *err)
{
	uint64_t skip = 0;
	size_t written;
	int ret;

	/* only updates have that */
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
