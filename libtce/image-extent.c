// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Extents of an image: each one is checked against its own hash, its table and its form before it
 * is handed out.
 */
#include <stdlib.h>

#include "image-private.h"

uint64_t tce_hash_extent(const TceExtent *extent, const void *payload)
{
	const uint64_t meta[] = {
		htole64(extent->first),
		htole64(extent->count),
		htole64((uint64_t)extent->kind),
		htole64(extent->tce),
		htole64((uint64_t)extent->stride),
		htole64(extent->stored_size),
		htole64(extent->unpacked_size),
	};

	return XXH3_64bits_withSeed(payload, extent->stored_size, XXH3_64bits(meta, sizeof(meta)));
}

void tce_begin_part(struct part *part, bool update, uint64_t offset)
{
	part->update = update;
	part->offset = offset;
	part->next = 0;
	part->extents = 0;
	part->ended = false;
	part->extent.first = 0;
	part->extent.count = 0;
}

/* Are the fields those that an extent of this kind has, and the sizes possible? */
static bool extent_is_sound(const TceExtent *extent, bool update)
{
	uint64_t size = extent->has_unpacked_size ? extent->unpacked_size : extent->stored_size;

	switch (extent->kind) {
	case TCE_EXTENT_KIND__TCE_RUN:
		return extent->has_tce && !extent->has_stored_size && !extent->has_unpacked_size &&
		       ((update && !extent->tce && !extent->stride) ||
			!tce_run_has_zero(extent->tce, (uint64_t)extent->stride, extent->count));
	case TCE_EXTENT_KIND__TCE_WORDS:
		if (extent->count > TCE_BLOCK_MAX || size != extent->count * sizeof(uint64_t))
			return false;
		break;
	case TCE_EXTENT_KIND__TCE_RUNS:
		if (extent->count > TCE_BLOCK_MAX)
			return false;
		break;
	default:
		return false;
	}
	return !extent->has_tce && !extent->has_stride && extent->stored_size &&
	       extent->stored_size <= TCE_PAYLOAD_MAX && size && size <= TCE_PAYLOAD_MAX;
}

static int unpack(struct tce_reader *reader, void *buf, const TceExtent *extent,
		  struct tce_error *err)
{
	size_t n = ZSTD_decompressDCtx(reader->zstd, buf, extent->unpacked_size, reader->stored,
				       extent->stored_size);

	if (ZSTD_isError(n) || n != extent->unpacked_size)
		return tce_fail_reader(reader, err, TCE_ERR_CORRUPT, 0,
				       "a payload that zstd cannot unpack");
	return TCE_OK;
}

/* Read the payload and make words of it. */
static int read_payload(struct tce_reader *reader, struct part *part, const TceExtent *extent,
			struct tce_error *err)
{
	bool words = extent->kind == TCE_EXTENT_KIND__TCE_WORDS;
	bool packed = extent->has_unpacked_size;
	struct tce_bytes list;
	void *stored;
	int ret;

	if (extent->kind != TCE_EXTENT_KIND__TCE_RUN && !part->words) {
		part->words = malloc(TCE_PAYLOAD_MAX);
		if (!part->words)
			return tce_fail_reader(reader, err, TCE_ERR_NOMEM, 0,
					       "no memory for a block of entries");
	}
	stored = words && !packed ? (void *)part->words : reader->stored;
	ret = tce_read_image_bytes(reader, stored, extent->stored_size, err);
	if (ret < 0)
		return ret;

	if (!hash_agrees(extent->hash, tce_hash_extent(extent, stored)))
		return tce_fail_reader(reader, err, TCE_ERR_CORRUPT, 0,
				       "the hash of an extent is wrong");

	if (extent->kind == TCE_EXTENT_KIND__TCE_RUN)
		return TCE_OK;
	if (words) {
		ret = packed ? unpack(reader, part->words, extent, err) : TCE_OK;
		if (!ret)
			swap_words_le(part->words, extent->count);
		return ret;
	}

	list.next = reader->stored;
	list.end = reader->stored + extent->stored_size;
	if (packed) {
		ret = unpack(reader, reader->unpacked, extent, err);
		if (ret < 0)
			return ret;
		list.next = reader->unpacked;
		list.end = reader->unpacked + extent->unpacked_size;
	}
	if (!tce_unpack_runs(list, part->words, extent->count))
		return tce_fail_reader(reader, err, TCE_ERR_CORRUPT, 0, "a malformed list of runs");
	return TCE_OK;
}

static int take_extent(struct tce_reader *reader, struct part *part, const TceExtent *extent,
		       struct tce_extent *result, struct tce_error *err)
{
	const uint64_t entries = reader->geometry.entries;
	int ret;

	if (extent->first < part->next || !extent->count)
		return tce_fail_reader(reader, err, TCE_ERR_CORRUPT, 0,
				       "extents that overlap or are empty");
	if (extent->first >= entries || extent->count > entries - extent->first) {
		tce_fail_reader(reader, err, TCE_ERR_RANGE, 0,
				"an extent past the end of the table");
		if (err) {
			err->fields |= TCE_ERROR_INDEX;
			err->index = extent->first;
		}
		return TCE_ERR_RANGE;
	}
	if (!extent_is_sound(extent, part->update))
		return tce_fail_reader(reader, err, TCE_ERR_LIMIT, 0,
				       "an extent of impossible form or size");
	if (reader->skipping && extent->stored_size)
		ret = tce_seek_image(reader, reader->offset + extent->stored_size, err);
	else
		ret = read_payload(reader, part, extent, err);
	if (ret < 0)
		return ret;

	result->first = extent->first;
	result->count = extent->count;
	result->words = extent->kind == TCE_EXTENT_KIND__TCE_RUN ? NULL : part->words;
	result->tce = extent->tce;
	result->stride = (uint64_t)extent->stride;
	part->next = extent->first + extent->count;
	part->extents++;
	return 1;
}

/* The next extent of a part, at which the source is: 0 at the part's end. */
int tce_read_extent(struct tce_reader *reader, struct part *part, struct tce_extent *extent,
		    struct tce_error *err)
{
	TceRecord *record;
	int ret;

	ret = tce_read_hashed_record(reader, &record, err);
	if (ret < 0)
		return ret;
	if (record->kind_case == TCE_RECORD__KIND_EXTENT)
		ret = take_extent(reader, part, record->extent, extent, err);
	else if (record->kind_case != TCE_RECORD__KIND_TABLE_END)
		ret = tce_fail_reader(reader, err, TCE_ERR_CORRUPT, 0, "a record in a wrong place");
	else if (record->table_end->extents != part->extents)
		ret = tce_fail_reader(reader, err, TCE_ERR_CORRUPT, 0,
				      "extents of the table are missing");
	tce_record__free_unpacked(record, NULL);
	return ret;
}
