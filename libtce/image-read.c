// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Image reader. Input is untrusted: every size is compared with its limit before it is used, every
 * extent with its hash and its table before it is handed out, and the image with its own hash.
 *
 * A table of a version 2 image has parts: itself and its updates, each in index order. The reader
 * first runs over all their records to find the parts and to check the image's hash, then goes
 * through them side by side, and of what several parts have it hands out the newest.
 */
#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "hash.h"
#include "tce-private.h"
#include "tce_image.pb-c.h"

enum reader_state {
	BETWEEN_TABLES,
	IN_TABLE,
	ENDED,
	FAILED,
};

/**
 * struct part - a table or an update of it
 * @update: it is an update.
 * @offset: of its next record.
 * @next: first entry that its next extent may have.
 * @extents: read so far.
 * @ended: there are no more.
 * @extent: the last one read.
 * @words: its entries.
 */
struct part {
	bool update;
	uint64_t offset;
	uint64_t next;
	uint64_t extents;
	bool ended;
	struct tce_extent extent;
	uint64_t *words;
};

/**
 * struct tce_reader - an image being read
 * @source: where it comes from.
 * @state: where in the image.
 * @offset: bytes read.
 * @record_offset: where the last record began.
 * @hash: of the magic and all records so far.
 * @tables: tables begun.
 * @version: of the image.
 * @in_order: parts are taken as they come.
 * @skipping: payloads are passed over.
 * @geometry: header of this table.
 * @parts: of this table, the oldest first. Read as they come, they are all the first one.
 * @part_count: how many.
 * @side_by_side: all of @parts are being read.
 * @index: first entry that has not been handed out, side by side.
 * @after: offset of what follows the last part.
 * @zstd: context to unpack with.
 * @buf: size word and the record that follows.
 * @stored: payload as stored.
 * @unpacked: list of runs, out of zstd.
 * @made_by: program that wrote the image.
 */
struct tce_reader {
	struct tce_source source;
	enum reader_state state;
	uint64_t offset;
	uint64_t record_offset;
	XXH3_state_t *hash;
	uint64_t tables;
	uint32_t version;
	bool in_order;
	bool skipping;
	struct tce_geometry geometry;
	struct part parts[TCE_PARTS_MAX];
	unsigned int part_count;
	bool side_by_side;
	uint64_t index;
	uint64_t after;
	ZSTD_DCtx *zstd;
	uint8_t buf[4 + TCE_RECORD_MAX];
	uint8_t *stored;
	uint8_t *unpacked;
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

static int seek(struct tce_reader *reader, uint64_t offset, struct tce_error *err)
{
	int ret = -ESPIPE;

	if (offset == reader->offset)
		return TCE_OK;
	if (reader->source.seek)
		ret = reader->source.seek(reader->source.ctx, (int64_t)(offset - reader->offset));
	if (ret == -ESPIPE)
		return fail(reader, err, TCE_ERR_UNSUPPORTED, 0,
			    "this image can only be read from a file");
	if (ret < 0)
		return fail(reader, err, TCE_ERR_IO, -ret, "reading the image");
	reader->offset = offset;
	return TCE_OK;
}

/*
 * Read a record; the caller frees it. What it holds is one of the six kinds, nothing else. With its
 * size word it is the first @length bytes of @reader->buf.
 */
static int read_record(struct tce_reader *reader, TceRecord **record, size_t *length,
		       struct tce_error *err)
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
	*length = 4 + size;
	return TCE_OK;
}

/* The same for the records that the image's hash is of, which the end record carries. */
static int read_hashed(struct tce_reader *reader, TceRecord **record, struct tce_error *err)
{
	size_t length;
	int ret = read_record(reader, record, &length, err);

	if (!ret && !reader->side_by_side && (*record)->kind_case != TCE_RECORD__KIND_END)
		XXH3_64bits_update(reader->hash, reader->buf, length);
	return ret;
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

	ret = read_hashed(reader, &record, err);
	if (ret < 0)
		return ret;
	if (record->kind_case != TCE_RECORD__KIND_HEADER) {
		ret = fail(reader, err, TCE_ERR_CORRUPT, 0, "no header at the image's beginning");
	} else if (record->header->version < TCE_IMAGE_VERSION ||
		   record->header->version > TCE_UPDATES_VERSION) {
		ret = fail(reader, err, TCE_ERR_VERSION, 0, "unknown image version");
		if (err)
			tce_set_error(err, TCE_ERR_VERSION, 0,
				      "the image has version %u, this program knows versions %u and %u",
				      record->header->version, TCE_IMAGE_VERSION,
				      TCE_UPDATES_VERSION);
	} else if (record->header->made_by) {
		if (strlen(record->header->made_by) > TCE_STRING_MAX)
			ret = fail(reader, err, TCE_ERR_LIMIT, 0, "a name that is too long");
		else
			strcpy(reader->made_by, record->header->made_by);
	}
	reader->version = ret ? 0 : record->header->version;
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
	if (!reader->hash || !reader->zstd || !reader->stored || !reader->unpacked) {
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

static void begin_part(struct part *part, bool update, uint64_t offset)
{
	part->update = update;
	part->offset = offset;
	part->next = 0;
	part->extents = 0;
	part->ended = false;
	part->extent.first = 0;
	part->extent.count = 0;
}

/* Run over the records of the table, to its end or to that of an update. */
static int scan_part(struct tce_reader *reader, struct tce_error *err)
{
	uint64_t extents = 0, size;
	TceRecord *record;
	int ret;

	for (;; extents++) {
		ret = read_hashed(reader, &record, err);
		if (ret < 0)
			return ret;
		if (record->kind_case != TCE_RECORD__KIND_EXTENT)
			break;
		size = record->extent->stored_size;
		tce_record__free_unpacked(record, NULL);
		if (size > TCE_PAYLOAD_MAX)
			return fail(reader, err, TCE_ERR_LIMIT, 0,
				    "an extent of impossible form or size");
		ret = seek(reader, reader->offset + size, err);
		if (ret < 0)
			return ret;
	}
	if (record->kind_case != TCE_RECORD__KIND_TABLE_END)
		ret = fail(reader, err, TCE_ERR_CORRUPT, 0, "a record in a wrong place");
	else if (record->table_end->extents != extents)
		ret = fail(reader, err, TCE_ERR_CORRUPT, 0, "extents of the table are missing");
	tce_record__free_unpacked(record, NULL);
	return ret;
}

/* Find the parts of the table. */
static int scan_parts(struct tce_reader *reader, struct tce_error *err)
{
	TceRecord *record;
	size_t length;
	bool more;
	int ret;

	reader->part_count = 0;
	do {
		if (reader->part_count == TCE_PARTS_MAX)
			return fail(reader, err, TCE_ERR_LIMIT, 0, "too many updates");
		begin_part(&reader->parts[reader->part_count], reader->part_count > 0,
			   reader->offset);
		reader->part_count++;
		ret = scan_part(reader, err);
		if (ret < 0)
			return ret;
		reader->after = reader->offset;
		ret = read_record(reader, &record, &length, err);
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
	begin_part(&reader->parts[0], false, reader->offset);
	reader->tables++;
	reader->state = IN_TABLE;
	if (reader->version >= TCE_UPDATES_VERSION && !reader->in_order) {
		ret = scan_parts(reader, err);
		if (ret < 0)
			return ret;
	}
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
	ret = read_hashed(reader, &record, err);
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
		return fail(reader, err, TCE_ERR_CORRUPT, 0, "a payload that zstd cannot unpack");
	return TCE_OK;
}

/* Read the payload and make words of it. */
static int read_payload(struct tce_reader *reader, struct part *part, const TceExtent *extent,
			struct tce_error *err)
{
	bool words = extent->kind == TCE_EXTENT_KIND__TCE_WORDS;
	bool packed = extent->has_unpacked_size;
	uint8_t meta[7 * 8];
	struct tce_bytes list;
	void *stored;
	int ret;

	if (extent->kind != TCE_EXTENT_KIND__TCE_RUN && !part->words) {
		part->words = malloc(TCE_PAYLOAD_MAX);
		if (!part->words)
			return fail(reader, err, TCE_ERR_NOMEM, 0, "no memory for a block of entries");
	}
	stored = words && !packed ? (void *)part->words : reader->stored;
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
		return fail(reader, err, TCE_ERR_CORRUPT, 0, "a malformed list of runs");
	return TCE_OK;
}

static int take_extent(struct tce_reader *reader, struct part *part, const TceExtent *extent,
		       struct tce_extent *result, struct tce_error *err)
{
	const uint64_t entries = reader->geometry.entries;
	int ret;

	if (extent->first < part->next || !extent->count)
		return fail(reader, err, TCE_ERR_CORRUPT, 0, "extents that overlap or are empty");
	if (extent->first >= entries || extent->count > entries - extent->first) {
		fail(reader, err, TCE_ERR_RANGE, 0, "an extent past the end of the table");
		if (err) {
			err->fields |= TCE_ERROR_INDEX;
			err->index = extent->first;
		}
		return TCE_ERR_RANGE;
	}
	if (!extent_is_sound(extent, part->update))
		return fail(reader, err, TCE_ERR_LIMIT, 0, "an extent of impossible form or size");
	if (reader->skipping && extent->stored_size)
		ret = seek(reader, reader->offset + extent->stored_size, err);
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
static int read_extent(struct tce_reader *reader, struct part *part, struct tce_extent *extent,
		       struct tce_error *err)
{
	TceRecord *record;
	int ret;

	ret = read_hashed(reader, &record, err);
	if (ret < 0)
		return ret;
	if (record->kind_case == TCE_RECORD__KIND_EXTENT)
		ret = take_extent(reader, part, record->extent, extent, err);
	else if (record->kind_case != TCE_RECORD__KIND_TABLE_END)
		ret = fail(reader, err, TCE_ERR_CORRUPT, 0, "a record in a wrong place");
	else if (record->table_end->extents != part->extents)
		ret = fail(reader, err, TCE_ERR_CORRUPT, 0, "extents of the table are missing");
	tce_record__free_unpacked(record, NULL);
	return ret;
}

/* Have in each part the first extent that ends after @reader->index. */
static int advance_parts(struct tce_reader *reader, struct tce_error *err)
{
	unsigned int i;
	int ret;

	for (i = 0; i < reader->part_count; i++) {
		struct part *part = &reader->parts[i];

		while (!part->ended && part->extent.first + part->extent.count <= reader->index) {
			ret = seek(reader, part->offset, err);
			if (!ret)
				ret = read_extent(reader, part, &part->extent, err);
			if (ret < 0)
				return ret;
			part->ended = !ret;
			part->offset = reader->offset;
		}
	}
	return TCE_OK;
}

/* Of all parts, the newest that has the next entry, as far as no newer one begins. */
static int next_side_by_side(struct tce_reader *reader, struct tce_extent *result,
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
		for (i = reader->part_count; i-- && !extent; ) {
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
		/* no part has these, or an update says that they are zero now */
		if (!extent || (!extent->words && !extent->tce && !extent->stride))
			continue;
		result->words = extent->words ? extent->words + skip : NULL;
		result->tce = extent->tce + skip * extent->stride;
		result->stride = extent->stride;
		return 1;
	}
	ret = seek(reader, reader->after, err);
	if (ret < 0)
		return ret;
	reader->side_by_side = false;
	reader->state = BETWEEN_TABLES;
	return 0;
}

int tce_next_extent(struct tce_reader *reader, struct tce_extent *extent, struct tce_error *err)
{
	int ret;

	if (reader->state == FAILED)
		return tce_set_error(err, TCE_ERR_ARG, 0, "reading goes on after an error");
	if (reader->state != IN_TABLE)
		return 0;
	if (reader->side_by_side)
		return next_side_by_side(reader, extent, err);
	ret = read_extent(reader, &reader->parts[0], extent, err);
	if (!ret)
		reader->state = BETWEEN_TABLES;
	return ret;
}

int tce_skip_table(struct tce_reader *reader, struct tce_error *err)
{
	struct tce_extent extent;
	int ret;

	/* Side by side, all is read: parts go back and forth among their payloads. */
	reader->skipping = !reader->side_by_side;
	while ((ret = tce_next_extent(reader, &extent, err)) > 0)
		;
	reader->skipping = false;
	return ret;
}

void tce_read_in_order(struct tce_reader *reader)
{
	reader->in_order = true;
}

int tce_next_update(struct tce_reader *reader, struct tce_error *err)
{
	TceRecord *record;
	int ret;

	if (reader->state != BETWEEN_TABLES)
		return tce_set_error(err, TCE_ERR_ARG, 0, "reading goes on after an error");
	ret = read_hashed(reader, &record, err);
	if (ret < 0)
		return ret;
	if (record->kind_case == TCE_RECORD__KIND_UPDATE &&
	    reader->version >= TCE_UPDATES_VERSION) {
		begin_part(&reader->parts[0], true, reader->offset);
		reader->state = IN_TABLE;
		ret = 1;
	} else if (record->kind_case == TCE_RECORD__KIND_END) {
		ret = end_image(reader, record->end, err);
	} else {
		ret = fail(reader, err, TCE_ERR_CORRUPT, 0, "a record in a wrong place");
	}
	tce_record__free_unpacked(record, NULL);
	return ret;
}

void tce_destroy_reader(struct tce_reader *reader)
{
	unsigned int i;

	if (!reader)
		return;
	for (i = 0; i < TCE_PARTS_MAX; i++)
		free(reader->parts[i].words);
	free(reader->unpacked);
	free(reader->stored);
	ZSTD_freeDCtx(reader->zstd);
	if (reader->hash)
		XXH3_freeState(reader->hash);
	free(reader);
}
