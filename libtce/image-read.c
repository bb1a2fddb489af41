// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Image reader. Input is untrusted: every size is compared with its limit before it is used, every
 * extent with its hash and its table before it is handed out, and the image with its own hash.
 */
#include <stdlib.h>
#include <xxhash.h>
#include <zstd.h>

#include "tce-private.h"
#include "tce_image.pb-c.h"

enum reader_state {
	BETWEEN_TABLES,
	IN_TABLE,
	ENDED,
	FAILED,
};

/**
 * struct tce_reader - an image being read
 * @source: where it comes from.
 * @state: where in the image.
 * @offset: bytes read.
 * @record_offset: where the last record began.
 * @hash: of the magic and all records so far.
 * @tables: tables begun.
 * @geometry: header of this table.
 * @extents: of this table, so far.
 * @next: first entry that the next extent may have.
 * @zstd: context to unpack with.
 * @buf: size word and the record that follows.
 * @stored: payload as stored.
 * @unpacked: list of runs, out of zstd.
 * @words: entries of the extent handed out.
 * @made_by: program that wrote the image.
 */
struct tce_reader {
	struct tce_source source;
	enum reader_state state;
	uint64_t offset;
	uint64_t record_offset;
	XXH3_state_t *hash;
	uint64_t tables;
	struct tce_geometry geometry;
	uint64_t extents;
	uint64_t next;
	ZSTD_DCtx *zstd;
	uint8_t buf[4 + TCE_RECORD_MAX];
	uint8_t *stored;
	uint8_t *unpacked;
	uint64_t *words;
	char made_by[TCE_STRING_MAX + 1];
};

static int fail(struct tce_reader *reader, struct tce_error *err, int code, int sys_errno,
		const char *what)
{
	reader->state = FAILED;
	tce_set_error(err, code, sys_errno, "%s", what);
	if (err) {
		err->fields |= TCE_ERROR_OFFSET;
		err->offset = reader->record_offset;
		if (reader->geometry.known & TCE_KNOWN_LIOBN) {
			err->fields |= TCE_ERROR_LIOBN;
			err->liobn = reader->geometry.liobn;
		}
	}
	return code;
}

static int read_bytes(struct tce_reader *reader, void *buf, size_t len, struct tce_error *err)
{
	size_t got;
	int ret = tce_read_fully(&reader->source, buf, len, &got);

	reader->offset += got;
	if (ret < 0)
		return fail(reader, err, TCE_ERR_IO, -ret, "reading the image");
	if (got < len) {
		ret = fail(reader, err, TCE_ERR_TORN, 0, "the image ends in the middle");
		if (err)
			err->offset = reader->offset;
		return ret;
	}
	return TCE_OK;
}

/* Read a record; the caller frees it. What it holds is one of the five kinds, nothing else. */
static int read_record(struct tce_reader *reader, TceRecord **record, struct tce_error *err)
{
	uint32_t size;
	int ret;

	reader->record_offset = reader->offset;
	ret = read_bytes(reader, reader->buf, 4, err);
	if (ret < 0)
		return ret;
	size = load_le32(reader->buf);
	if (!size || size > TCE_RECORD_MAX)
		return fail(reader, err, TCE_ERR_LIMIT, 0, "a record of impossible size");
	ret = read_bytes(reader, reader->buf + 4, size, err);
	if (ret < 0)
		return ret;

	*record = tce_record__unpack(NULL, size, reader->buf + 4);
	if (!*record)
		return fail(reader, err, TCE_ERR_CORRUPT, 0, "a record that cannot be decoded");
	/* The end record carries this hash, so it cannot be part of it. */
	if ((*record)->kind_case != TCE_RECORD__KIND_END)
		XXH3_64bits_update(reader->hash, reader->buf, 4 + size);
	return TCE_OK;
}

static int read_header(struct tce_reader *reader, struct tce_error *err)
{
	TceRecord *record;
	uint8_t magic[4];
	size_t got;
	int ret;

	ret = tce_read_fully(&reader->source, magic, sizeof(magic), &got);
	reader->offset += got;
	if (ret < 0)
		return fail(reader, err, TCE_ERR_IO, -ret, "reading the image");
	if (got < sizeof(magic) || load_le32(magic) != TCE_IMAGE_MAGIC)
		return fail(reader, err, TCE_ERR_NOT_IMAGE, 0, "not a TCE image");
	XXH3_64bits_update(reader->hash, magic, sizeof(magic));

	ret = read_record(reader, &record, err);
	if (ret < 0)
		return ret;
	if (record->kind_case != TCE_RECORD__KIND_HEADER) {
		ret = fail(reader, err, TCE_ERR_CORRUPT, 0, "no header at the image's beginning");
	} else if (record->header->version != TCE_IMAGE_VERSION) {
		ret = fail(reader, err, TCE_ERR_VERSION, 0, "unknown image version");
		if (err)
			tce_set_error(err, TCE_ERR_VERSION, 0,
				      "the image has version %u, this program knows version %u",
				      record->header->version, TCE_IMAGE_VERSION);
	} else if (record->header->made_by) {
		if (strlen(record->header->made_by) > TCE_STRING_MAX)
			ret = fail(reader, err, TCE_ERR_LIMIT, 0, "a name that is too long");
		else
			strcpy(reader->made_by, record->header->made_by);
	}
	tce_record__free_unpacked(record, NULL);
	return ret;
}

int tce_create_reader(struct tce_reader **result, const struct tce_source *source,
		      struct tce_error *err)
{
	struct tce_reader *reader;
	int ret;

	if (!source || !source->read)
		return tce_set_error(err, TCE_ERR_ARG, 0, "no source");

	reader = calloc(1, sizeof(*reader));
	if (!reader)
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for an image reader");
	reader->source = *source;
	reader->hash = XXH3_createState();
	reader->zstd = ZSTD_createDCtx();
	reader->stored = malloc(TCE_PAYLOAD_MAX);
	reader->unpacked = malloc(TCE_PAYLOAD_MAX);
	reader->words = malloc(TCE_PAYLOAD_MAX);
	if (!reader->hash || !reader->zstd || !reader->stored || !reader->unpacked ||
	    !reader->words) {
		ret = tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for an image reader");
		goto out_destroy;
	}
	XXH3_64bits_reset(reader->hash);

	ret = read_header(reader, err);
	if (ret < 0)
		goto out_destroy;
	*result = reader;
	return TCE_OK;

out_destroy:
	tce_destroy_reader(reader);
	return ret;
}

const char *tce_reader_made_by(const struct tce_reader *reader)
{
	return reader->made_by;
}

uint64_t tce_reader_offset(const struct tce_reader *reader)
{
	return reader->offset;
}

static int begin_table(struct tce_reader *reader, const TceTableHeader *table,
		       struct tce_error *err)
{
	struct tce_geometry *geometry = &reader->geometry;
	int ret;

	memset(geometry, 0, sizeof(*geometry));
	if (table->has_liobn) {
		geometry->known |= TCE_KNOWN_LIOBN;
		geometry->liobn = table->liobn;
	}
	if (table->has_page_shift) {
		geometry->known |= TCE_KNOWN_PAGE_SHIFT;
		geometry->page_shift = table->page_shift;
	}
	if (table->has_bus_offset) {
		geometry->known |= TCE_KNOWN_BUS_OFFSET;
		geometry->bus_offset = table->bus_offset;
	}
	if (!table->has_entries_rounded || !table->entries_rounded)
		geometry->known |= TCE_KNOWN_ENTRIES;
	geometry->entries = table->entries;
	geometry->flags = table->flags;
	if (table->origin) {
		if (strlen(table->origin) > TCE_STRING_MAX)
			return fail(reader, err, TCE_ERR_LIMIT, 0, "an origin that is too long");
		strcpy(geometry->origin, table->origin);
	}

	ret = tce_check_geometry(geometry, err);
	if (ret < 0) {
		struct tce_error inner = TCE_ERROR_INIT;

		/* The message is right; only this reader knows the place. */
		if (err)
			inner = *err;
		return fail(reader, err, ret, 0, inner.message);
	}
	reader->extents = 0;
	reader->next = 0;
	reader->tables++;
	reader->state = IN_TABLE;
	return 1;
}

static int end_image(struct tce_reader *reader, const TceImageEnd *end, struct tce_error *err)
{
	if (end->tables != reader->tables)
		return fail(reader, err, TCE_ERR_CORRUPT, 0, "tables of the image are missing");
	if (end->hash != XXH3_64bits_digest(reader->hash))
		return fail(reader, err, TCE_ERR_CORRUPT, 0, "the hash of the image is wrong");
	reader->state = ENDED;
	return 0;
}

int tce_next_table(struct tce_reader *reader, struct tce_geometry *geometry,
		   struct tce_error *err)
{
	TceRecord *record;
	int ret;

	while (reader->state == IN_TABLE) {
		struct tce_extent extent;

		ret = tce_next_extent(reader, &extent, err);
		if (ret < 0)
			return ret;
	}
	if (reader->state == ENDED)
		return 0;
	if (reader->state != BETWEEN_TABLES)
		return tce_set_error(err, TCE_ERR_ARG, 0, "reading goes on after an error");

	reader->geometry.known = 0;
	ret = read_record(reader, &record, err);
	if (ret < 0)
		return ret;
	if (record->kind_case == TCE_RECORD__KIND_TABLE)
		ret = begin_table(reader, record->table, err);
	else if (record->kind_case == TCE_RECORD__KIND_END)
		ret = end_image(reader, record->end, err);
	else
		ret = fail(reader, err, TCE_ERR_CORRUPT, 0, "a record in a wrong place");
	if (ret > 0)
		*geometry = reader->geometry;
	tce_record__free_unpacked(record, NULL);
	return ret;
}

/* Are the fields those that an extent of this kind has, and the sizes possible? */
static bool extent_is_sound(const TceExtent *extent)
{
	uint64_t size = extent->has_unpacked_size ? extent->unpacked_size : extent->stored_size;

	switch (extent->kind) {
	case TCE_EXTENT_KIND__TCE_RUN:
		return extent->has_tce && !extent->has_stored_size && !extent->has_unpacked_size &&
		       !tce_run_has_zero(extent->tce, (uint64_t)extent->stride, extent->count);
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
		return fail(reader, err, TCE_ERR_CORRUPT, 0, "a payload that zstd cannot unpack");
	return TCE_OK;
}

/* Read the payload and make words of it. */
static int read_payload(struct tce_reader *reader, const TceExtent *extent, struct tce_error *err)
{
	bool words = extent->kind == TCE_EXTENT_KIND__TCE_WORDS;
	bool packed = extent->has_unpacked_size;
	uint8_t meta[7 * 8];
	void *stored = words && !packed ? (void *)reader->words : reader->stored;
	struct tce_bytes list;
	int ret;

	ret = read_bytes(reader, stored, extent->stored_size, err);
	if (ret < 0)
		return ret;

	store_le64(meta, extent->first);
	store_le64(meta + 8, extent->count);
	store_le64(meta + 16, (uint64_t)extent->kind);
	store_le64(meta + 24, extent->tce);
	store_le64(meta + 32, (uint64_t)extent->stride);
	store_le64(meta + 40, extent->stored_size);
	store_le64(meta + 48, extent->unpacked_size);
	if (extent->hash != XXH3_64bits_withSeed(stored, extent->stored_size,
						 XXH3_64bits(meta, sizeof(meta))))
		return fail(reader, err, TCE_ERR_CORRUPT, 0, "the hash of an extent is wrong");

	if (extent->kind == TCE_EXTENT_KIND__TCE_RUN)
		return TCE_OK;
	if (words) {
		ret = packed ? unpack(reader, reader->words, extent, err) : TCE_OK;
		if (!ret)
			swap_words_le(reader->words, extent->count);
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
	if (!tce_unpack_runs(list, reader->words, extent->count))
		return fail(reader, err, TCE_ERR_CORRUPT, 0, "a malformed list of runs");
	return TCE_OK;
}

static int take_extent(struct tce_reader *reader, const TceExtent *extent,
		       struct tce_extent *result, struct tce_error *err)
{
	const uint64_t entries = reader->geometry.entries;
	int ret;

	if (extent->first < reader->next || !extent->count)
		return fail(reader, err, TCE_ERR_CORRUPT, 0, "extents that overlap or are empty");
	if (extent->first >= entries || extent->count > entries - extent->first) {
		fail(reader, err, TCE_ERR_RANGE, 0, "an extent past the end of the table");
		if (err) {
			err->fields |= TCE_ERROR_INDEX;
			err->index = extent->first;
		}
		return TCE_ERR_RANGE;
	}
	if (!extent_is_sound(extent))
		return fail(reader, err, TCE_ERR_LIMIT, 0, "an extent of impossible form or size");
	ret = read_payload(reader, extent, err);
	if (ret < 0)
		return ret;

	result->first = extent->first;
	result->count = extent->count;
	result->words = extent->kind == TCE_EXTENT_KIND__TCE_RUN ? NULL : reader->words;
	result->tce = extent->tce;
	result->stride = (uint64_t)extent->stride;
	reader->next = extent->first + extent->count;
	reader->extents++;
	return 1;
}

int tce_next_extent(struct tce_reader *reader, struct tce_extent *extent, struct tce_error *err)
{
	TceRecord *record;
	int ret;

	if (reader->state == FAILED)
		return tce_set_error(err, TCE_ERR_ARG, 0, "reading goes on after an error");
	if (reader->state != IN_TABLE)
		return 0;

	ret = read_record(reader, &record, err);
	if (ret < 0)
		return ret;
	if (record->kind_case == TCE_RECORD__KIND_EXTENT) {
		ret = take_extent(reader, record->extent, extent, err);
	} else if (record->kind_case == TCE_RECORD__KIND_TABLE_END) {
		if (record->table_end->extents != reader->extents)
			ret = fail(reader, err, TCE_ERR_CORRUPT, 0,
				   "extents of the table are missing");
		else
			reader->state = BETWEEN_TABLES;
	} else {
		ret = fail(reader, err, TCE_ERR_CORRUPT, 0, "a record in a wrong place");
	}
	tce_record__free_unpacked(record, NULL);
	return ret;
}

void tce_destroy_reader(struct tce_reader *reader)
{
	if (!reader)
		return;
	free(reader->words);
	free(reader->unpacked);
	free(reader->stored);
	ZSTD_freeDCtx(reader->zstd);
	if (reader->hash)
		XXH3_freeState(reader->hash);
	free(reader);
}
