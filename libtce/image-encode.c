// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Cuts a table into blocks, and each block into the extents that take the fewest bytes. All
 * decisions depend only on the contents of aligned blocks of TCE_BLOCK_MAX entries, so the same
 * table always gives the same bytes.
 */
#include "image-private.h"

/* A run at a block's end that is this long waits for the next block, where it may go on. */
#define TAIL_MIN 64

/* What is tried on a part of a block before the whole of it: this many bytes, in as many places. */
#define SAMPLE_BYTES  1024
#define SAMPLE_PLACES 4

/* zstd is used where it makes a payload this many times smaller, and not on the smallest. */
#define SQUEEZE_RATIO 4
#define SQUEEZE_MIN   64

static int write_extent(struct tce_writer *writer, TceExtent *extent, const void *payload,
			struct tce_error *err)
{
	TceRecord record = TCE_RECORD__INIT;
	int ret;

	extent->hash = tce_hash_extent(extent, payload);
	record.kind_case = TCE_RECORD__KIND_EXTENT;
	record.extent = extent;
	ret = tce_write_record(writer, &record, err);
	if (!ret && extent->stored_size)
		ret = tce_write_image_bytes(writer, payload, extent->stored_size, err);
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

int tce_write_pending_run(struct tce_writer *writer, struct tce_error *err)
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
		return size >= SQUEEZE_MIN;
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
	/* The guest stands still while the last update is written. */
	if (!writer->update && worth_squeezing(writer, payload, size)) {
		size_t n = ZSTD_compressCCtx(writer->zstd, writer->squeezed, writer->squeezed_size,
					     payload, size, 1);

		if (ZSTD_isError(n))
			return tce_fail_writer(writer, err, TCE_ERR_NOMEM, 0, ZSTD_getErrorName(n));
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
int tce_encode_block(struct tce_writer *writer, uint64_t first, const uint64_t *words, size_t count,
		     struct tce_error *err)
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
		ret = tce_write_pending_run(writer, err);
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

int tce_encode_filled(struct tce_writer *writer, struct tce_error *err)
{
	size_t filled = writer->filled;

	writer->filled = 0;
	if (!filled)
		return TCE_OK;
	return tce_encode_block(writer, (writer->next - 1) / TCE_BLOCK_MAX * TCE_BLOCK_MAX,
				writer->block, filled, err);
}

int tce_put_zeros(struct tce_writer *writer, uint64_t index, uint64_t count, struct tce_error *err)
{
	struct tce_run run = { .first = index, .count = count };

	if (!count)
		return TCE_OK;
	writer->next = index + count;
	return write_run(writer, &run, err);
}

/* What changed, at most a block of it. Nothing waits for what may follow, which is elsewhere. */
int tce_encode_update(struct tce_writer *writer, uint64_t first, const uint64_t *words,
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
