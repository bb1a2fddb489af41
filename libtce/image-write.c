// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Image writer: cuts a table into blocks, and each block into the extents that say it shortest.
 *
 * What is decided, is decided from the contents of aligned blocks of TCE_BLOCK_MAX entries and
 * from nothing else, so one table always gives the same bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "hash.h"
#include "tce-private.h"
#include "tce_image.pb-c.h"

/* A run at a block's end that is this long waits for the next block, where it may go on. */
#define TAIL_MIN	64

/* What is tried on a part of a block before the whole of it: this many bytes, in as many places. */
#define SAMPLE_BYTES	1024
#define SAMPLE_PLACES	4

/* zstd is used where it makes a payload this many times smaller. */
#define SQUEEZE_RATIO	4

/* Small pieces are collected up to this size before the sink gets them. */
#define OUT_SIZE	65536

enum writer_state {
	BETWEEN_TABLES,
	IN_TABLE,
	ENDED,
	FAILED,
};

/**
 * struct tce_writer - an image being written
 * @sink: where it goes.
 * @state: which calls are allowed.
 * @size: bytes written.
 * @hash: of the magic and all records so far.
 * @version: of the image.
 * @update: in an update, which is written as it comes: see encode_update().
 * @parts: the table and its updates so far.
 * @tables: tables begun.
 * @liobn: of this table, for errors.
 * @liobn_known: @liobn is valid.
 * @entries: of this table.
 * @extents: of this table, so far.
 * @next: first entry that may still be put.
 * @run: run that reaches the end of what was encoded, not yet written.
 * @block: copy of the block that @next is in, when @filled is not 0.
 * @filled: entries of @block that have been put.
 * @packed: list of runs of a block.
 * @squeezed: zstd's output.
 * @squeezed_size: room in it.
 * @zstd: its context.
 * @out: small pieces waiting for the sink.
 * @out_used: bytes of @out.
 *
 * The last six are there only inside a table.
 */
struct tce_writer {
	struct tce_sink sink;
	enum writer_state state;
	uint64_t size;
	XXH3_state_t *hash;
	uint32_t version;
	bool update;
	unsigned int parts;
	uint64_t tables;
	uint64_t liobn;
	bool liobn_known;
	uint64_t entries;
	uint64_t extents;
	uint64_t next;
	struct tce_run run;
	uint64_t *block;
	size_t filled;
	void *packed;
	uint8_t *squeezed;
	size_t squeezed_size;
	ZSTD_CCtx *zstd;
	uint8_t *out;
	size_t out_used;
};

static int fail(struct tce_writer *writer, struct tce_error *err, int code, int sys_errno,
		const char *what)
{
	writer->state = FAILED;
	tce_set_error(err, code, sys_errno, "%s", what);
	if (err && writer->liobn_known) {
		err->fields |= TCE_ERROR_LIOBN;
		err->liobn = writer->liobn;
	}
	return code;
}

static int flush_out(struct tce_writer *writer, struct tce_error *err)
{
	int ret;

	if (!writer->out_used)
		return TCE_OK;
	ret = writer->sink.write(writer->sink.ctx, writer->out, writer->out_used);
	if (ret < 0)
		return fail(writer, err, TCE_ERR_IO, -ret, "writing the image");
	writer->out_used = 0;
	return TCE_OK;
}

static int write_bytes(struct tce_writer *writer, const void *buf, size_t len,
		       struct tce_error *err)
{
	int ret;

	if (len > OUT_SIZE - writer->out_used) {
		ret = flush_out(writer, err);
		if (ret < 0)
			return ret;
	}
	if (!writer->out || len > OUT_SIZE) {
		ret = writer->sink.write(writer->sink.ctx, buf, len);
		if (ret < 0)
			return fail(writer, err, TCE_ERR_IO, -ret, "writing the image");
	} else {
		memcpy(writer->out + writer->out_used, buf, len);
		writer->out_used += len;
	}
	writer->size += len;
	return TCE_OK;
}

static int write_record(struct tce_writer *writer, const TceRecord *record,
			struct tce_error *err)
{
	uint8_t buf[4 + TCE_RECORD_MAX];
	size_t size = tce_record__get_packed_size(record);

	/* Cannot be: every string in a record is at most TCE_STRING_MAX long. */
	if (size > TCE_RECORD_MAX)
		return fail(writer, err, TCE_ERR_LIMIT, 0, "a record is too large");
	store_le32(buf, (uint32_t)size);
	tce_record__pack(record, buf + 4);
	XXH3_64bits_update(writer->hash, buf, 4 + size);
	return write_bytes(writer, buf, 4 + size, err);
}

static int write_extent(struct tce_writer *writer, TceExtent *extent, const void *payload,
			struct tce_error *err)
{
	TceRecord record = TCE_RECORD__INIT;
	uint8_t meta[7 * 8];
	int ret;

	store_le64(meta, extent->first);
	store_le64(meta + 8, extent->count);
	store_le64(meta + 16, (uint64_t)extent->kind);
	store_le64(meta + 24, extent->tce);
	store_le64(meta + 32, (uint64_t)extent->stride);
	store_le64(meta + 40, extent->stored_size);
	store_le64(meta + 48, extent->unpacked_size);
	extent->hash = XXH3_64bits_withSeed(payload, extent->stored_size,
					    XXH3_64bits(meta, sizeof(meta)));

	record.kind_case = TCE_RECORD__KIND_EXTENT;
	record.extent = extent;
	ret = write_record(writer, &record, err);
	if (!ret && extent->stored_size)
		ret = write_bytes(writer, payload, extent->stored_size, err);
	writer->extents++;
	return ret;
}

static int write_run(struct tce_writer *writer, const struct tce_run *run, struct tce_error *err)
{
	TceExtent extent = TCE_EXTENT__INIT;

	extent.kind = TCE_EXTENT_KIND__TCE_RUN;
	extent.first = run->first;
	extent.count = run->count;
	extent.has_tce = 1;
	extent.tce = run->tce;
	extent.has_stride = run->stride != 0;
	extent.stride = (int64_t)run->stride;
	return write_extent(writer, &extent, "", err);
}

static int write_pending_run(struct tce_writer *writer, struct tce_error *err)
{
	struct tce_run run = writer->run;

	if (!run.count)
		return TCE_OK;
	writer->run.count = 0;
	return write_run(writer, &run, err);
}

/*
 * Would zstd leave at most a quarter of this? Literals and lists of runs are mostly addresses. It
 * may get them down to a half, but needs many times longer for that than all the rest takes, and a
 * guest may be standing still meanwhile.
 */
static bool worth_squeezing(struct tce_writer *writer, const uint8_t *payload, size_t size)
{
	const size_t piece = SAMPLE_BYTES / SAMPLE_PLACES;
	const size_t apart = (size - piece) / (SAMPLE_PLACES - 1);
	uint8_t sample[SAMPLE_BYTES];
	size_t n, i;

	if (size <= SAMPLE_BYTES)
		return size >= 64;
	for (i = 0; i < SAMPLE_PLACES; i++)
		memcpy(sample + i * piece, payload + i * apart, piece);
	n = ZSTD_compressCCtx(writer->zstd, writer->squeezed, writer->squeezed_size, sample,
			      sizeof(sample), 1);
	return !ZSTD_isError(n) && n <= sizeof(sample) / SQUEEZE_RATIO;
}

static int write_payload(struct tce_writer *writer, TceExtent *extent, const uint8_t *payload,
			 size_t size, struct tce_error *err)
{
	extent->has_stored_size = 1;
	extent->stored_size = (uint32_t)size;
	/* the guest stands still while the last update is written */
	if (!writer->update && worth_squeezing(writer, payload, size)) {
		size_t n = ZSTD_compressCCtx(writer->zstd, writer->squeezed, writer->squeezed_size,
					     payload, size, 1);

		if (ZSTD_isError(n))
			return fail(writer, err, TCE_ERR_NOMEM, 0, ZSTD_getErrorName(n));
		if (n <= size / SQUEEZE_RATIO) {
			extent->stored_size = (uint32_t)n;
			extent->has_unpacked_size = 1;
			extent->unpacked_size = (uint32_t)size;
			payload = writer->squeezed;
		}
	}
	return write_extent(writer, extent, payload, err);
}

static int write_literal(struct tce_writer *writer, uint64_t first, const uint64_t *words,
			 size_t count, struct tce_error *err)
{
	TceExtent extent = TCE_EXTENT__INIT;

	extent.kind = TCE_EXTENT_KIND__TCE_WORDS;
	extent.first = first;
	extent.count = count;
	if (__BYTE_ORDER == __BIG_ENDIAN) {
		/* The caller's words stay as they are; the block of the writer may be them. */
		memcpy(writer->packed, words, count * sizeof(*words));
		swap_words_le(writer->packed, count);
		return write_payload(writer, &extent, writer->packed, count * sizeof(*words), err);
	}
	return write_payload(writer, &extent, (const uint8_t *)words, count * sizeof(*words), err);
}

/* Do runs say these words in clearly fewer bytes? A few places tell. */
static bool worth_packing(struct tce_writer *writer, const uint64_t *words, size_t count)
{
	const size_t piece = SAMPLE_BYTES / SAMPLE_PLACES / sizeof(*words);
	size_t total = 0, seen = 0, i;

	if (count <= SAMPLE_PLACES * piece)
		return true;
	for (i = 0; i < SAMPLE_PLACES; i++) {
		const uint64_t *place = words + (count - piece) / (SAMPLE_PLACES - 1) * i;
		size_t gap = tce_count_zeros(place, piece);
		size_t end = piece, size, runs;

		while (end > gap && !place[end - 1])
			end--;
		seen += piece;
		if (gap == end)
			continue;
		size = tce_pack_runs(place + gap, end - gap, writer->packed, TCE_PAYLOAD_MAX,
				     &runs);
		total += size;
	}
	return total < seen * sizeof(*words) / 4 * 3;
}

/* Write words of one block; the first and the last are not zero. */
static int write_words(struct tce_writer *writer, uint64_t first, const uint64_t *words,
		       size_t count, struct tce_error *err)
{
	TceExtent extent = TCE_EXTENT__INIT;
	size_t size, runs;

	if (!worth_packing(writer, words, count))
		return write_literal(writer, first, words, count, err);

	size = tce_pack_runs(words, count, writer->packed, TCE_PAYLOAD_MAX, &runs);
	if (size && runs == 1) {
		struct tce_run run = { .first = first, .count = count, .tce = words[0] };

		if (count > 1)
			run.stride = words[1] - words[0];
		return write_run(writer, &run, err);
	}
	if (!size || size >= count * sizeof(*words))
		return write_literal(writer, first, words, count, err);

	extent.kind = TCE_EXTENT_KIND__TCE_RUNS;
	extent.first = first;
	extent.count = count;
	return write_payload(writer, &extent, writer->packed, size, err);
}

/* Encode @count words of the aligned block that begins at entry @first. */
static int encode_block(struct tce_writer *writer, uint64_t first, const uint64_t *words,
			size_t count, struct tce_error *err)
{
	struct tce_run *run = &writer->run;
	size_t begin = 0, end = count, tail = 0;
	uint64_t stride;
	int ret;

	if (run->count) {
		if (run->first + run->count == first)
			begin = tce_extend_run(words, count, run->tce + run->count * run->stride,
					       run->stride);
		run->count += begin;
		if (begin == TCE_BLOCK_MAX)
			return TCE_OK;
		ret = write_pending_run(writer, err);
		if (ret < 0)
			return ret;
	}

	begin += tce_count_zeros(words + begin, count - begin);
	while (end > begin && !words[end - 1])
		end--;
	if (begin == end)
		return TCE_OK;

	if (end == TCE_BLOCK_MAX) {
		tail = tce_measure_tail(words + begin, end - begin, &stride);
		if (tail < TAIL_MIN)
			tail = 0;
		end -= tail;
	}
	if (end > begin) {
		size_t last = end;

		/* The tail may have had zeros before it. */
		while (!words[last - 1])
			last--;
		ret = write_words(writer, first + begin, words + begin, last - begin, err);
		if (ret < 0)
			return ret;
	}
	if (tail) {
		run->first = first + end;
		run->count = tail;
		run->tce = words[end];
		run->stride = stride;
	}
	return TCE_OK;
}

static int encode_filled(struct tce_writer *writer, struct tce_error *err)
{
	size_t filled = writer->filled;

	writer->filled = 0;
	if (!filled)
		return TCE_OK;
	return encode_block(writer, (writer->next - 1) / TCE_BLOCK_MAX * TCE_BLOCK_MAX,
			    writer->block, filled, err);
}

int tce_put_zeros(struct tce_writer *writer, uint64_t index, uint64_t count,
		  struct tce_error *err)
{
	struct tce_run run = { .first = index, .count = count };

	if (!count)
		return TCE_OK;
	writer->next = index + count;
	return write_run(writer, &run, err);
}

/* What changed, at most a block of it. Nothing waits for what may follow, which is elsewhere. */
static int encode_update(struct tce_writer *writer, uint64_t first, const uint64_t *words,
			 size_t count, struct tce_error *err)
{
	size_t begin = tce_count_zeros(words, count), end = count;
	int ret;

	while (end > begin && !words[end - 1])
		end--;
	ret = tce_put_zeros(writer, first, begin, err);
	if (!ret && end > begin)
		ret = write_words(writer, first + begin, words + begin, end - begin, err);
	if (!ret)
		ret = tce_put_zeros(writer, first + end, count - end, err);
	writer->next = first + count;
	return ret;
}

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
	return fail(writer, err, TCE_ERR_NOMEM, 0, "no memory for an image writer");
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
	ret = write_bytes(writer, magic, sizeof(magic), err);
	if (ret < 0)
		goto out_destroy;

	record.kind_case = TCE_RECORD__KIND_HEADER;
	record.header = &header;
	header.version = version;
	/* The message is only read, though its type cannot say so. */
	header.made_by = (char *)(uintptr_t)made_by;
	ret = write_record(writer, &record, err);
	if (ret < 0)
		goto out_destroy;

	*result = writer;
	return TCE_OK;

out_destroy:
	tce_destroy_writer(writer);
	return ret;
}

int tce_create_writer(struct tce_writer **result, const struct tce_sink *sink,
		      const char *made_by, struct tce_error *err)
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
	return write_record(writer, &record, err);
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
	return write_record(writer, &record, err);
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
	fail(writer, err, TCE_ERR_RANGE, 0, "entries past the end of the table");
	if (err) {
		err->fields |= TCE_ERROR_INDEX;
		err->index = index;
	}
	return TCE_ERR_RANGE;
}

/* The block begun before, if it is another one than that of @index: there comes nothing more for it. */
static int leave_block(struct tce_writer *writer, uint64_t index, struct tce_error *err)
{
	if (writer->filled && (writer->next - 1) / TCE_BLOCK_MAX != index / TCE_BLOCK_MAX)
		return encode_filled(writer, err);
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
			ret = encode_update(writer, index, words, n, err);
		} else {
			ret = leave_block(writer, index, err);
			if (!ret && n == TCE_BLOCK_MAX) {
				writer->next = index + n;
				ret = encode_block(writer, index, words, n, err);
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

int tce_put_run(struct tce_writer *writer, const struct tce_extent *run, struct tce_error *err)
{
	uint64_t skip = 0;
	int ret = check_place(writer, run->first, run->count, err);

	if (!ret && writer->update)
		return tce_set_error(err, TCE_ERR_ARG, 0, "a run in an update");
	while (!ret && skip < run->count) {
		uint64_t index = run->first + skip;
		size_t n = min_u64(run->count - skip, TCE_BLOCK_MAX - index % TCE_BLOCK_MAX);

		ret = leave_block(writer, index, err);
		if (ret < 0)
			break;
		tce_expand_extent(run, skip, extend_block(writer, index, n), n);
		skip += n;
		/* then it is known whether the run goes on */
		if (writer->filled == TCE_BLOCK_MAX)
			ret = encode_filled(writer, err);
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
	ret = encode_filled(writer, err);
	if (!ret)
		ret = write_pending_run(writer, err);
	if (ret < 0)
		return ret;

	end.extents = writer->extents;
	record.kind_case = TCE_RECORD__KIND_TABLE_END;
	record.table_end = &end;
	writer->state = BETWEEN_TABLES;
	ret = write_record(writer, &record, err);
	if (!ret)
		ret = flush_out(writer, err);
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
	ret = write_record(writer, &record, err);
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
