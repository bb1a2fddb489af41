// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Back end for tables that are files of host-endian words: the table fd of a patched kernel, plain
 * files, memfds. Holes are the file's.
 */
#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tce-private.h"

#define WORD sizeof(uint64_t)

static int file_read(struct tce_table *table, uint64_t index, uint64_t *words, size_t count,
		     struct tce_error *err)
{
	uint8_t *p = (uint8_t *)words;
	uint64_t offset = index * WORD;
	size_t left = count * WORD;

	while (left) {
		ssize_t n = pread(table->fd, p, left, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return tce_set_table_error(table, err, TCE_ERR_IO, errno, offset / WORD,
						   "reading the table");
		if (!n)
			return tce_set_table_error(table, err, TCE_ERR_IO, 0, offset / WORD,
						   "the table has become shorter");
		p += n;
		offset += (uint64_t)n;
		left -= (size_t)n;
	}
	return TCE_OK;
}

static int file_next_data(struct tce_table *table, uint64_t index, uint64_t *first, uint64_t *count,
			  struct tce_error *err)
{
	const uint64_t entries = table->geometry.entries;
	off_t data, hole;
	uint64_t end;

	if (table->keep_position) {
		*first = index;
		*count = entries - index;
		return 1;
	}
	data = lseek(table->fd, (off_t)(index * WORD), SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		return 0;
	if (data < 0 && errno == EINVAL) {
		/* A file system that knows no holes. */
		*first = index;
		*count = entries - index;
		return 1;
	}
	hole = data < 0 ? -1 : lseek(table->fd, data, SEEK_HOLE);
	if (hole < 0)
		return tce_set_table_error(table, err, TCE_ERR_IO, errno, index,
					   "looking for the next data in the table");

	*first = (uint64_t)data / WORD;
	if (*first >= entries)
		return 0;
	end = min_u64(((uint64_t)hole + WORD - 1) / WORD, entries);
	/* What has become a hole between the two looks is still one entry of it. */
	*count = end > *first ? end - *first : 1;
	return 1;
}

static int refuse(const struct tce_table *table, uint64_t index, uint64_t tce,
		  struct tce_error *err)
{
	char what[128];

	snprintf(what, sizeof(what), "IOBA 0x%" PRIx64 ": the kernel refuses TCE 0x%016" PRIx64,
		 tce_ioba(&table->geometry, index), tce);
	return tce_set_table_error(table, err, TCE_ERR_REFUSED, 0, index, what);
}

static int file_write(struct tce_table *table, uint64_t index, const uint64_t *words, size_t count,
		      size_t *written, struct tce_error *err)
{
	const uint8_t *p = (const uint8_t *)words;
	const size_t size = count * WORD;
	size_t done = 0;

	while (done < size) {
		ssize_t n = pwrite(table->fd, p + done, size - done, (off_t)(index * WORD + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int sys_errno = n < 0 ? errno : ENOSPC;

			*written = done / WORD;
			/* The kernel stops at a bad entry, then finds it first and says EINVAL. */
			if (table->backend == TCE_BACKEND_KVM && sys_errno == EINVAL) {
				return refuse(table, index + *written, words[*written], err);
			}
			return tce_set_table_error(table, err, TCE_ERR_IO, sys_errno,
						   index + *written, "writing the table");
		}
		done += (size_t)n;
	}
	*written = count;
	return TCE_OK;
}

static int write_zeros(struct tce_table *table, uint64_t index, uint64_t count,
		       struct tce_error *err)
{
	static const uint64_t zeros[512];

	while (count) {
		size_t n = min_u64(count, ARRAY_SIZE(zeros)), written;
		int ret = file_write(table, index, zeros, n, &written, err);

		if (ret < 0)
			return ret;
		index += n;
		count -= n;
	}
	return TCE_OK;
}

static int file_clear(struct tce_table *table, uint64_t index, uint64_t count,
		      struct tce_error *err)
{
	if (fallocate(table->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(index * WORD),
		      (off_t)(count * WORD)) == 0)
		return TCE_OK;
	if (errno == EOPNOTSUPP && table->backend == TCE_BACKEND_FILE)
		return write_zeros(table, index, count, err);
	return tce_set_table_error(table, err, TCE_ERR_IO, errno, index, "clearing entries");
}

const struct tce_table_ops tce_file_ops = {
	.read = file_read,
	.next_data = file_next_data,
	.write = file_write,
	.clear = file_clear,
};
