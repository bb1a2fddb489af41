// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Image writer: takes the entries of tables in index order, in pieces of any size.
 */
#include <stdlib.h>

#include "image-private.h"

static void free_buffers(struct tce_writer *writer)
{
	free(writer->out);
	ZSTD_freeCCtx(writer->zstd);
	free(writer->squeezed);
	free(writer->packed);
	free(writer->block);
	writer->out = NULL;
	writer->zstd = NULL;
	writer->squeezed = NULL;
	writer->packed = NULL;
	writer->block = NULL;
}

/* An update needs two of them, and is to be quick. */
static int get_buffers(struct tce_writer *writer, bool update, struct tce_error *err)
{
	writer->out = malloc(OUT_SIZE);
	writer->packed = malloc(TCE_PAYLOAD_MAX);
	if (!update) {
		writer->block = malloc(TCE_PAYLOAD_MAX);
		writer->squeezed_size = ZSTD_compressBound(TCE_PAYLOAD_MAX);
		writer->squeezed = malloc(writer->squeezed_size);
		writer->zstd = ZSTD_createCCtx();
	}
	if (writer->out && writer->packed &&
	    (update || (writer->block && writer->squeezed && writer->zstd)))
		return TCE_OK;
	free_buffers(writer);
	return tce_fail_writer(writer, err, TCE_ERR_NOMEM, 0, "no memory for an image writer");
}

static int create_writer(struct tce_writer **result, const struct tce_sink *sink,
			 const char *made_by, uint32_t version, struct tce_error *err)
{
	TceRecord record = TCE_RECORD__INIT;
	TceImageHeader header = TCE_IMAGE_HEADER__INIT;
	struct tce_writer *writer;
	uint8_t magic[4];
	int ret;

	if (!sink || !sink->write || (made_by && strlen(made_by) > TCE_STRING_MAX))
		return tce_set_error(err, TCE_ERR_ARG, 0, "no sink, or too long a name");

	writer = calloc(1, sizeof(*writer));
	if (!writer)
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for an image writer");
	writer->sink = *sink;
	writer->version = version;
	writer->hash = XXH3_createState();
	if (!writer->hash) {
		ret = tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for an image writer");
		goto out_destroy;
	}

	XXH3_64bits_reset(writer->hash);
	store_le32(magic, TCE_IMAGE_MAGIC);
	XXH3_64bits_update(writer->hash, magic, sizeof(magic));
	ret = tce_write_image_bytes(writer, magic, sizeof(magic), err);
	if (ret < 0)
		goto out_destroy;

	record.kind_case = TCE_RECORD__KIND_HEADER;
	record.header = &header;
	header.version = version;
	/* The message is only read, though its type cannot say so. */
	header.made_by = (char *)(uintptr_t)made_by;
	ret = tce_write_record(writer, &record, err);
	if (ret < 0)
		goto out_destroy;

	*result = writer;
	return TCE_OK;

out_destroy:
	tce_destroy_writer(writer);
	return ret;
}

int tce_create_writer(struct tce_writer **result, const struct tce_sink *sink, const char *made_by,
		      struct tce_error *err)
{
	return create_writer(result, sink, made_by, TCE_IMAGE_VERSION, err);
}

int tce_create_updates_writer(struct tce_writer **result, const struct tce_sink *sink,
			      struct tce_error *err)
{
	return create_writer(result, sink, NULL, TCE_UPDATES_VERSION, err);
}

int tce_begin_table(struct tce_writer *writer, const struct tce_geometry *geometry,
		    struct tce_error *err)
{
	TceRecord record = TCE_RECORD__INIT;
	TceTableHeader table = TCE_TABLE_HEADER__INIT;
	int ret;

	if (writer->state != BETWEEN_TABLES)
		return tce_set_error(err, TCE_ERR_ARG, 0, "a table was begun inside another");
	if (!memchr(geometry->origin, 0, sizeof(geometry->origin)))
		return tce_set_error(err, TCE_ERR_ARG, 0, "an origin without an end");
	ret = tce_check_geometry(geometry, err);
	if (!ret)
		ret = get_buffers(writer, false, err);
	if (ret < 0)
		return ret;

	table.entries = geometry->entries;
	table.has_entries_rounded = !(geometry->known & TCE_KNOWN_ENTRIES);
	table.entries_rounded = table.has_entries_rounded;
	table.has_liobn = (geometry->known & TCE_KNOWN_LIOBN) != 0;
	table.liobn = geometry->liobn;
	table.has_page_shift = (geometry->known & TCE_KNOWN_PAGE_SHIFT) != 0;
	table.page_shift = geometry->page_shift;
	table.has_bus_offset = (geometry->known & TCE_KNOWN_BUS_OFFSET) != 0;
	table.bus_offset = geometry->bus_offset;
	table.flags = geometry->flags;
	table.has_vm = geometry->has_vm;
	table.vm = geometry->vm;
	if (geometry->origin[0])
		table.origin = (char *)(uintptr_t)geometry->origin;
	record.kind_case = TCE_RECORD__KIND_TABLE;
	record.table = &table;

	writer->liobn_known = table.has_liobn;
	writer->liobn = geometry->liobn;
	writer->entries = geometry->entries;
	writer->extents = 0;
	writer->next = 0;
	writer->run.count = 0;
	writer->filled = 0;
	writer->tables++;
	writer->parts = 1;
	writer->state = IN_TABLE;
	return tce_write_record(writer, &record, err);
}

int tce_begin_update(struct tce_writer *writer, struct tce_error *err)
{
	TceRecord record = TCE_RECORD__INIT;
	TceUpdate update = TCE_UPDATE__INIT;
	int ret;

	if (writer->state != BETWEEN_TABLES || writer->version != TCE_UPDATES_VERSION ||
	    writer->tables != 1)
		return tce_set_error(err, TCE_ERR_ARG, 0, "an update of nothing");
	if (writer->parts == TCE_PARTS_MAX)
		return tce_set_error(err, TCE_ERR_LIMIT, 0, "more than %u updates",
				     TCE_PARTS_MAX - 1);
	ret = get_buffers(writer, true, err);
	if (ret < 0)
		return ret;
	record.kind_case = TCE_RECORD__KIND_UPDATE;
	record.update = &update;
	writer->extents = 0;
	writer->next = 0;
	writer->update = true;
	writer->parts++;
	writer->state = IN_TABLE;
	return tce_write_record(writer, &record, err);
}

/* May entries be put there? */
static int check_place(struct tce_writer *writer, uint64_t index, uint64_t count,
		       struct tce_error *err)
{
	if (writer->state != IN_TABLE)
		return tce_set_error(err, TCE_ERR_ARG, 0, "entries outside a table");
	if (index < writer->next)
		return tce_set_error(err, TCE_ERR_ARG, 0, "entries out of order");
	if (index <= writer->entries && count <= writer->entries - index)
		return TCE_OK;
	tce_fail_writer(writer, err, TCE_ERR_RANGE, 0, "entries past the end of the table");
	if (err) {
		err->fields |= TCE_ERROR_INDEX;
		err->index = index;
	}
	return TCE_ERR_RANGE;
}

/* The block begun before, if it is another one than that of @index: there comes nothing more for
 * it. */
static int leave_block(struct tce_writer *writer, uint64_t index, struct tce_error *err)
{
	if (writer->filled && (writer->next - 1) / TCE_BLOCK_MAX != index / TCE_BLOCK_MAX)
		return tce_encode_filled(writer, err);
	return TCE_OK;
}

/* Room for @count entries in the writer's own block, what was skipped before them made zero. */
static uint64_t *extend_block(struct tce_writer *writer, uint64_t index, size_t count)
{
	size_t place = index % TCE_BLOCK_MAX;

	memset(writer->block + writer->filled, 0,
	       (place - writer->filled) * sizeof(*writer->block));
	writer->filled = place + count;
	writer->next = index + count;
	return writer->block + place;
}

int tce_put_words(struct tce_writer *writer, uint64_t index, const uint64_t *words, size_t count,
		  struct tce_error *err)
{
	int ret = check_place(writer, index, count, err);

	while (!ret && count) {
		size_t n = min_u64(count, TCE_BLOCK_MAX - index % TCE_BLOCK_MAX);

		if (writer->update) {
			ret = tce_encode_update(writer, index, words, n, err);
		} else {
			ret = leave_block(writer, index, err);
			if (!ret && n == TCE_BLOCK_MAX) {
				writer->next = index + n;
				ret = tce_encode_block(writer, index, words, n, err);
			} else if (!ret) {
				memcpy(extend_block(writer, index, n), words, n * sizeof(*words));
			}
		}
		index += n;
		words += n;
		count -= n;
	}
	return ret;
}

/* Whole blocks that go on with the run which waits for more: how many of @count entries that is. */
static uint64_t skip_blocks(struct tce_writer *writer, uint64_t index, uint64_t count, uint64_t tce,
			    uint64_t stride)
{
	struct tce_run *run = &writer->run;
	const uint64_t whole = count / TCE_BLOCK_MAX * TCE_BLOCK_MAX;

	if (writer->update || writer->filled || index % TCE_BLOCK_MAX || !run->count ||
	    run->first + run->count != index || run->stride != stride ||
	    run->tce + run->count * stride != tce || tce_run_has_zero(tce, stride, whole))
		return 0;
	run->count += whole;
	writer->next = index + whole;
	return whole;
}

/* Nothing is written of zeros, but nothing may be put among them any more. */
static int put_zero_run(struct tce_writer *writer, const struct tce_extent *run,
			struct tce_error *err)
{
	const uint64_t end = run->first + run->count;
	int ret = leave_block(writer, end - 1, err);

	if (ret < 0)
		return ret;
	/* Then all of it is in the block that has been begun. */
	if (writer->filled)
		memset(extend_block(writer, run->first, (size_t)run->count), 0,
		       (size_t)run->count * sizeof(*writer->block));
	writer->next = end;
	return TCE_OK;
}

int tce_put_run(struct tce_writer *writer, const struct tce_extent *run, struct tce_error *err)
{
	uint64_t skip = 0;
	int ret = check_place(writer, run->first, run->count, err);

	if (!ret && writer->update)
		return tce_set_error(err, TCE_ERR_ARG, 0, "a run in an update");
	if (!ret && run->count && !run->tce && !run->stride)
		return put_zero_run(writer, run, err);
	while (!ret && skip < run->count) {
		uint64_t index = run->first + skip;
		size_t n = min_u64(run->count - skip, TCE_BLOCK_MAX - index % TCE_BLOCK_MAX);

		ret = leave_block(writer, index, err);
		if (ret < 0)
			break;
		tce_expand_extent(run, skip, extend_block(writer, index, n), n);
		skip += n;
		/* Then it is known whether the run goes on. */
		if (writer->filled == TCE_BLOCK_MAX)
			ret = tce_encode_filled(writer, err);
		if (!ret)
			skip += skip_blocks(writer, index + n, run->count - skip,
					    run->tce + skip * run->stride, run->stride);
	}
	return ret;
}

int tce_end_table(struct tce_writer *writer, struct tce_error *err)
{
	TceRecord record = TCE_RECORD__INIT;
	TceTableEnd end = TCE_TABLE_END__INIT;
	int ret;

	if (writer->state != IN_TABLE)
		return tce_set_error(err, TCE_ERR_ARG, 0, "a table was ended that was not begun");
	ret = tce_encode_filled(writer, err);
	if (!ret)
		ret = tce_write_pending_run(writer, err);
	if (ret < 0)
		return ret;

	end.extents = writer->extents;
	record.kind_case = TCE_RECORD__KIND_TABLE_END;
	record.table_end = &end;
	writer->state = BETWEEN_TABLES;
	ret = tce_write_record(writer, &record, err);
	if (!ret)
		ret = tce_flush_writer(writer, err);
	free_buffers(writer);
	writer->liobn_known = false;
	return ret;
}

int tce_end_image(struct tce_writer *writer, struct tce_error *err)
{
	TceRecord record = TCE_RECORD__INIT;
	TceImageEnd end = TCE_IMAGE_END__INIT;
	int ret;

	if (writer->state != BETWEEN_TABLES)
		return tce_set_error(err, TCE_ERR_ARG, 0, "an image was ended inside a table");
	end.tables = writer->tables;
	end.hash = XXH3_64bits_digest(writer->hash);
	record.kind_case = TCE_RECORD__KIND_END;
	record.end = &end;
	ret = tce_write_record(writer, &record, err);
	if (!ret)
		writer->state = ENDED;
	return ret;
}

uint64_t tce_writer_size(const struct tce_writer *writer)
{
	return writer->size;
}

void tce_destroy_writer(struct tce_writer *writer)
{
	if (!writer)
		return;
	free_buffers(writer);
	if (writer->hash)
		XXH3_freeState(writer->hash);
	free(writer);
}
