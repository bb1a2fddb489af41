// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A table of a version 2 image has parts: itself and its updates, each in index order. The reader
 * first runs over all their records to find the parts and to check the image's hash, then goes
 * through them side by side, and of what several parts have it hands out the newest.
 */
#include "image-private.h"

/* Run over the records of the table, to its end or to that of an update. */
static int scan_part(struct tce_reader *reader, struct tce_error *err)
{
	uint64_t extents = 0, size;
	TceRecord *record;
	int ret;

	for (;; extents++) {
		ret = tce_read_hashed_record(reader, &record, err);
		if (ret < 0)
			return ret;
		if (record->kind_case != TCE_RECORD__KIND_EXTENT)
			break;
		size = record->extent->stored_size;
		tce_record__free_unpacked(record, NULL);
		if (size > TCE_PAYLOAD_MAX)
			return tce_fail_reader(reader, err, TCE_ERR_LIMIT, 0,
					       "an extent of impossible form or size");
		ret = tce_seek_image(reader, reader->offset + size, err);
		if (ret < 0)
			return ret;
	}
	if (record->kind_case != TCE_RECORD__KIND_TABLE_END)
		ret = tce_fail_reader(reader, err, TCE_ERR_CORRUPT, 0, "a record in a wrong place");
	else if (record->table_end->extents != extents)
		ret = tce_fail_reader(reader, err, TCE_ERR_CORRUPT, 0,
				      "extents of the table are missing");
	tce_record__free_unpacked(record, NULL);
	return ret;
}

/* Find the parts of the table. */
int tce_scan_parts(struct tce_reader *reader, struct tce_error *err)
{
	TceRecord *record;
	size_t length;
	bool more;
	int ret;

	reader->part_count = 0;
	do {
		if (reader->part_count == TCE_PARTS_MAX)
			return tce_fail_reader(reader, err, TCE_ERR_LIMIT, 0, "too many updates");
		tce_begin_part(&reader->parts[reader->part_count], reader->part_count > 0,
			       reader->offset);
		reader->part_count++;
		ret = scan_part(reader, err);
		if (ret < 0)
			return ret;
		reader->after = reader->offset;
		ret = tce_read_record(reader, &record, &length, err);
		if (ret < 0)
			return ret;
		more = record->kind_case == TCE_RECORD__KIND_UPDATE;
		tce_record__free_unpacked(record, NULL);
		if (more)
			XXH3_64bits_update(reader->hash, reader->buf, length);
	} while (more);
	reader->index = 0;
	reader->side_by_side = true;
	return TCE_OK;
}

/* Have in each part the first extent that ends after @reader->index. */
static int advance_parts(struct tce_reader *reader, struct tce_error *err)
{
	unsigned int i;
	int ret;

	for (i = 0; i < reader->part_count; i++) {
		struct part *part = &reader->parts[i];

		while (!part->ended && part->extent.first + part->extent.count <= reader->index) {
			ret = tce_seek_image(reader, part->offset, err);
			if (!ret)
				ret = tce_read_extent(reader, part, &part->extent, err);
			if (ret < 0)
				return ret;
			part->ended = !ret;
			part->offset = reader->offset;
		}
	}
	return TCE_OK;
}

/* Of all parts, the newest that has the next entry, as far as no newer one begins. */
int tce_next_side_by_side(struct tce_reader *reader, struct tce_extent *result,
			  struct tce_error *err)
{
	const struct tce_extent *extent;
	uint64_t end, skip;
	unsigned int i;
	int ret;

	for (;;) {
		ret = advance_parts(reader, err);
		if (ret < 0)
			return ret;
		extent = NULL;
		end = UINT64_MAX;
		for (i = reader->part_count; i-- && !extent;) {
			const struct part *part = &reader->parts[i];

			if (part->ended)
				continue;
			if (part->extent.first <= reader->index)
				extent = &part->extent;
			else
				end = min_u64(end, part->extent.first);
		}
		if (!extent && end == UINT64_MAX)
			break;
		skip = reader->index - (extent ? extent->first : 0);
		if (extent)
			end = min_u64(end, extent->first + extent->count);
		result->first = reader->index;
		result->count = end - reader->index;
		reader->index = end;
		/* No part has these, or an update says that they are zero now. */
		if (!extent || (!extent->words && !extent->tce && !extent->stride))
			continue;
		result->words = extent->words ? extent->words + skip : NULL;
		result->tce = extent->tce + skip * extent->stride;
		result->stride = extent->stride;
		return 1;
	}
	ret = tce_seek_image(reader, reader->after, err);
	if (ret < 0)
		return ret;
	reader->side_by_side = false;
	reader->state = BETWEEN_TABLES;
	return 0;
}
