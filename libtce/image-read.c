// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Image reader: from the header to the end record, table by table.
 */
#include <stdlib.h>

#include "image-private.h"

static int read_header(struct tce_reader *reader, struct tce_error *err)
{
	TceRecord *record;
	uint8_t magic[4];
	size_t got;
	int ret;

	ret = tce_read_fully(&reader->source, magic, sizeof(magic), &got);
	reader->offset += got;
	if (ret < 0)
		return tce_fail_reader(reader, err, TCE_ERR_IO, -ret, "reading the image");
	if (got < sizeof(magic) || load_le32(magic) != TCE_IMAGE_MAGIC)
		return tce_fail_reader(reader, err, TCE_ERR_NOT_IMAGE, 0, "not a TCE image");
	XXH3_64bits_update(reader->hash, magic, sizeof(magic));

	ret = tce_read_hashed_record(reader, &record, err);
	if (ret < 0)
		return ret;
	if (record->kind_case != TCE_RECORD__KIND_HEADER) {
		ret = tce_fail_reader(reader, err, TCE_ERR_CORRUPT, 0,
				      "no header at the image's beginning");
	} else if (record->header->version < TCE_IMAGE_VERSION ||
		   record->header->version > TCE_UPDATES_VERSION) {
		ret = tce_fail_reader(reader, err, TCE_ERR_VERSION, 0, "unknown image version");
		if (err)
			tce_set_error(
				err, TCE_ERR_VERSION, 0,
				"the image has version %u, this program knows versions %u and %u",
				record->header->version, TCE_IMAGE_VERSION, TCE_UPDATES_VERSION);
	} else if (record->header->made_by) {
		if (strlen(record->header->made_by) > TCE_STRING_MAX)
			ret = tce_fail_reader(reader, err, TCE_ERR_LIMIT, 0,
					      "a name that is too long");
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

uint32_t tce_reader_version(const struct tce_reader *reader)
{
	return reader->version;
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
	geometry->has_vm = table->has_vm;
	geometry->vm = table->vm;
	if (table->origin) {
		if (strlen(table->origin) > TCE_STRING_MAX)
			return tce_fail_reader(reader, err, TCE_ERR_LIMIT, 0,
					       "an origin that is too long");
		strcpy(geometry->origin, table->origin);
	}

	ret = tce_check_geometry(geometry, err);
	if (ret < 0) {
		struct tce_error inner = TCE_ERROR_INIT;

		/* The message is right; only this reader knows the place. */
		if (err)
			inner = *err;
		return tce_fail_reader(reader, err, ret, 0, inner.message);
	}
	tce_begin_part(&reader->parts[0], false, reader->offset);
	reader->tables++;
	reader->state = IN_TABLE;
	if (reader->version >= TCE_UPDATES_VERSION && !reader->in_order) {
		ret = tce_scan_parts(reader, err);
		if (ret < 0)
			return ret;
	}
	return 1;
}

static int end_image(struct tce_reader *reader, const TceImageEnd *end, struct tce_error *err)
{
	if (end->tables != reader->tables)
		return tce_fail_reader(reader, err, TCE_ERR_CORRUPT, 0,
				       "tables of the image are missing");
	if (!hash_agrees(end->hash, XXH3_64bits_digest(reader->hash)))
		return tce_fail_reader(reader, err, TCE_ERR_CORRUPT, 0,
				       "the hash of the image is wrong");
	reader->state = ENDED;
	return 0;
}

int tce_next_table(struct tce_reader *reader, struct tce_geometry *geometry, struct tce_error *err)
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
	ret = tce_read_hashed_record(reader, &record, err);
	if (ret < 0)
		return ret;
	if (record->kind_case == TCE_RECORD__KIND_TABLE)
		ret = begin_table(reader, record->table, err);
	else if (record->kind_case == TCE_RECORD__KIND_END)
		ret = end_image(reader, record->end, err);
	else
		ret = tce_fail_reader(reader, err, TCE_ERR_CORRUPT, 0, "a record in a wrong place");
	if (ret > 0)
		*geometry = reader->geometry;
	tce_record__free_unpacked(record, NULL);
	return ret;
}

int tce_next_extent(struct tce_reader *reader, struct tce_extent *extent, struct tce_error *err)
{
	int ret;

	if (reader->state == FAILED)
		return tce_set_error(err, TCE_ERR_ARG, 0, "reading goes on after an error");
	if (reader->state != IN_TABLE)
		return 0;
	if (reader->side_by_side)
		return tce_next_side_by_side(reader, extent, err);
	ret = tce_read_extent(reader, &reader->parts[0], extent, err);
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
	ret = tce_read_hashed_record(reader, &record, err);
	if (ret < 0)
		return ret;
	if (record->kind_case == TCE_RECORD__KIND_UPDATE &&
	    reader->version >= TCE_UPDATES_VERSION) {
		tce_begin_part(&reader->parts[0], true, reader->offset);
		reader->state = IN_TABLE;
		ret = 1;
	} else if (record->kind_case == TCE_RECORD__KIND_END) {
		ret = end_image(reader, record->end, err);
	} else {
		ret = tce_fail_reader(reader, err, TCE_ERR_CORRUPT, 0, "a record in a wrong place");
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
