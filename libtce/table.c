// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tables behind one interface: what a file descriptor is, and the checks that every back end
 * shares.
 */
#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tce-private.h"

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
	table->geometry.has_vm = info->has_vm;
	table->geometry.vm = info->vm;
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
				     "a file of %jd bytes is not an array of TCEs",
				     (intmax_t)st->st_size);
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
	int flags, ret;

	table = calloc(1, sizeof(*table));
	if (!table)
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for a table");
	table->fd = tce_duplicate_fd(fd);
	flags = table->fd < 0 ? -1 : fcntl(table->fd, F_GETFL);
	if (flags < 0 || fstat(table->fd, &st) < 0) {
		ret = tce_set_error(err, TCE_ERR_IO, errno, "file descriptor %d", fd);
		goto out_close;
	}
	table->access = flags & O_ACCMODE;
	table->appends = flags & O_APPEND;
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
					     "LIOBN is 0x%" PRIx64 ", not 0x%" PRIx64, merged.liobn,
					     by_hand->liobn);
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
					     "bus offset is 0x%" PRIx64 ", not 0x%" PRIx64,
					     merged.bus_offset, by_hand->bus_offset);
		merged.bus_offset = by_hand->bus_offset;
	}
	if (by_hand->known & TCE_KNOWN_ENTRIES) {
		uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE) / sizeof(uint64_t);

		if (told & TCE_KNOWN_ENTRIES ? by_hand->entries != merged.entries :
					       by_hand->entries > merged.entries ||
						       merged.entries - by_hand->entries >= page)
			return tce_set_error(err, TCE_ERR_GEOMETRY, 0,
					     "the table has %s%" PRIu64 " entries, not %" PRIu64,
					     told & TCE_KNOWN_ENTRIES ? "" : "up to ",
					     merged.entries, by_hand->entries);
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
	if (table->access == O_RDONLY)
		return tce_set_error(err, TCE_ERR_UNSUPPORTED, 0,
				     "the table is open for reading only");
	if (table->appends)
		return tce_set_error(err, TCE_ERR_UNSUPPORTED, 0,
				     "the table is open for appending");
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

int tce_clear_words(struct tce_table *table, uint64_t index, uint64_t count, struct tce_error *err)
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
