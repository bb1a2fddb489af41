// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The packed stream, and what writes it. Everything is little-endian:
 *
 *	u32 magic		bytes 89 54 43 53 (0x89 "TCS")
 *	u32 version		1
 *	any number of chunks:
 *		u32 type, u32 size, u64 hash, size bytes
 *
 * A chunk has at most 2^20 bytes and is of one of these types:
 *	1 bytes		of QEMU's stream, as they are
 *	2 image		a piece of a TCE image (proto/tce_image.proto) of one table. The image's
 *			pieces follow each other, the last one ends with the image, and the
 *			table's entries stand there in QEMU's stream as be64. Page shift and bus
 *			offset are not in the image, since in QEMU's stream they come later.
 *	3 end		u64 bytes of QEMU's stream, u64 images.
 *	4 cut		u64 entries: so many at the end of the table before are not in QEMU's
 *			stream, for it ends there. The guest had something that looked like a
 *			table's beginning.
 * What is no smaller as an image is bytes.
 * The hash is XXH3-64 of the size bytes, with as its seed the XXH3-64 of type and size (8 bytes),
 * with as its seed the hash of the chunk before (0 for the first). So no chunk can be changed,
 * dropped, repeated or moved.
 */
#include <errno.h>
#include <stdlib.h>

#include "hash.h"
#include "stream-private.h"

/* Short pieces of the stream are put together up to this size, as long as more is there. */
#define PENDING_MAX (CHUNK_MAX / 16)

/* Any image has more bytes than this many entries. */
#define RAW_MAX 8

/**
 * struct packer - a stream that is being packed
 * @sink: where it goes.
 * @stats: counts it.
 * @writer: of the table that is being packed, or NULL.
 * @pending: CHUNK_HEADER_SIZE and up to PENDING_MAX bytes of the stream that wait.
 * @waiting: how many.
 * @chunk: CHUNK_HEADER_SIZE and up to CHUNK_MAX bytes of the table's image.
 * @used: how many.
 * @words: a copy of a table of one block, which may be smaller as it is, with CHUNK_HEADER_SIZE
 *	bytes in front of it.
 * @word_bytes: bytes of it; 0 for a larger table.
 * @hash: of the chunks so far.
 * @images: written so far.
 * @bytes: of the stream that they and the other chunks stand for.
 */
struct packer {
	struct tce_sink sink;
	struct tce_stream_stats *stats;
	struct tce_writer *writer;
	uint8_t *pending;
	size_t waiting;
	uint8_t *chunk;
	size_t used;
	uint8_t *words;
	size_t word_bytes;
	uint64_t hash;
	uint64_t images;
	uint64_t bytes;
};

uint64_t tce_stream_chain_hash(uint64_t before, const uint8_t head[8], const void *payload,
			       size_t size)
{
	return XXH3_64bits_withSeed(payload, size, XXH3_64bits_withSeed(head, 8, before));
}

static int put(struct packer *packer, const void *bytes, size_t len)
{
	int ret = packer->sink.write(packer->sink.ctx, bytes, len);

	if (!ret)
		packer->stats->packed_bytes += len;
	return ret;
}

static void make_header(struct packer *packer, uint8_t *header, uint32_t type, const void *payload,
			size_t size)
{
	store_le32(header, type);
	store_le32(header + 4, (uint32_t)size);
	packer->hash = tce_stream_chain_hash(packer->hash, header, payload, size);
	store_le64(header + 8, packer->hash);
}

static int write_failed(struct tce_error *err, int ret)
{
	return tce_set_error(err, TCE_ERR_IO, -ret, "cannot write the packed stream");
}

static int put_bytes(struct packer *packer, uint8_t *bytes, size_t len, struct tce_error *err)
{
	size_t size;
	int ret;

	for (; len; bytes += size, len -= size) {
		size = len < CHUNK_MAX ? len : CHUNK_MAX;
		make_header(packer, bytes - CHUNK_HEADER_SIZE, CHUNK_BYTES, bytes, size);
		ret = put(packer, bytes - CHUNK_HEADER_SIZE, CHUNK_HEADER_SIZE + size);
		if (ret)
			return write_failed(err, ret);
	}
	return 0;
}

static int pack_flush(void *ctx, struct tce_error *err)
{
	struct packer *packer = ctx;
	size_t waiting = packer->waiting;

	packer->waiting = 0;
	return put_bytes(packer, packer->pending + CHUNK_HEADER_SIZE, waiting, err);
}

static int add_bytes(struct packer *packer, uint8_t *bytes, size_t len, struct tce_error *err)
{
	int ret;

	if (len > PENDING_MAX - packer->waiting) {
		ret = pack_flush(packer, err);
		if (ret)
			return ret;
	}
	if (len > PENDING_MAX)
		return put_bytes(packer, bytes, len, err);
	memcpy(packer->pending + CHUNK_HEADER_SIZE + packer->waiting, bytes, len);
	packer->waiting += len;
	return 0;
}

static int pack_bytes(void *ctx, uint8_t *bytes, size_t len, struct tce_error *err)
{
	struct packer *packer = ctx;

	packer->bytes += len;
	return add_bytes(packer, bytes, len, err);
}

/* The chunk of image pieces has room for its header in front, so it is one write. */
static int flush_image(struct packer *packer)
{
	size_t size = packer->used;
	int ret;

	if (!size)
		return 0;
	make_header(packer, packer->chunk, CHUNK_IMAGE, packer->chunk + CHUNK_HEADER_SIZE, size);
	packer->used = 0;
	ret = put(packer, packer->chunk, CHUNK_HEADER_SIZE + size);
	if (!ret)
		packer->stats->packed_table_bytes += CHUNK_HEADER_SIZE + size;
	return ret;
}

static int image_write(void *ctx, const void *buf, size_t len)
{
	struct packer *packer = ctx;
	size_t size;
	int ret;

	for (; len; buf = (const uint8_t *)buf + size, len -= size) {
		if (packer->used == CHUNK_MAX) {
			ret = flush_image(packer);
			if (ret)
				return ret;
		}
		size = len < CHUNK_MAX - packer->used ? len : CHUNK_MAX - packer->used;
		memcpy(packer->chunk + CHUNK_HEADER_SIZE + packer->used, buf, size);
		packer->used += size;
	}
	return 0;
}

static int pack_begin(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct packer *packer = ctx;
	struct tce_sink sink = { image_write, packer };
	struct tce_geometry geometry = {
		.known = TCE_KNOWN_LIOBN | TCE_KNOWN_ENTRIES,
		.liobn = table->geometry.liobn,
		.entries = table->geometry.entries,
	};
	int ret;

	packer->word_bytes = 0;
	if (geometry.entries <= RAW_MAX)
		return 0;
	/* The image of a table of one block waits until all of it is there. */
	if (geometry.entries > TCE_BLOCK_MAX) {
		ret = pack_flush(packer, err);
		if (ret)
			return ret;
	}
	ret = tce_create_writer(&packer->writer, &sink, NULL, err);
	return ret ? ret : tce_begin_table(packer->writer, &geometry, err);
}

static int pack_words(void *ctx, uint64_t index, uint64_t *words, size_t count,
		      struct tce_error *err)
{
	struct packer *packer = ctx;
	const size_t size = count * sizeof(*words);
	size_t i;
	int ret = 0;

	packer->bytes += size;
	if (packer->writer)
		ret = tce_put_words(packer->writer, index, words, count, err);
	packer->word_bytes = index ? 0 : size;
	for (i = 0; !index && i < count; i++)
		words[i] = htobe64(words[i]);
	if (!index)
		memcpy(packer->words + CHUNK_HEADER_SIZE, words, size);
	return ret;
}

static int end_image(struct packer *packer, struct tce_error *err)
{
	int ret;

	ret = tce_end_table(packer->writer, err);
	if (!ret)
		ret = tce_end_image(packer->writer, err);
	tce_destroy_writer(packer->writer);
	packer->writer = NULL;
	return ret;
}

static int put_image(struct packer *packer, struct tce_error *err)
{
	int ret = pack_flush(packer, err);

	if (ret)
		return ret;
	packer->images++;
	ret = flush_image(packer);
	return ret ? write_failed(err, ret) : 0;
}

/* What comes in front of the image's own chunks must have gone before. */
static int pack_end(void *ctx, struct tce_error *err)
{
	struct packer *packer = ctx;
	int ret;

	if (packer->writer) {
		ret = end_image(packer, err);
		if (ret)
			return ret;
		/* An image also cuts the bytes around it in two. */
		if (!packer->word_bytes ||
		    packer->used + 2 * CHUNK_HEADER_SIZE < packer->word_bytes)
			return put_image(packer, err);
	}
	packer->used = 0;
	packer->stats->packed_table_bytes += packer->word_bytes;
	return add_bytes(packer, packer->words + CHUNK_HEADER_SIZE, packer->word_bytes, err);
}

static int pack_cut(void *ctx, uint64_t missing, struct tce_error *err)
{
	struct packer *packer = ctx;
	uint8_t chunk[CHUNK_HEADER_SIZE + CHUNK_CUT_SIZE];
	int ret;

	if (!packer->writer)
		return pack_end(packer, err);
	ret = end_image(packer, err);
	if (!ret)
		ret = put_image(packer, err);
	if (ret)
		return ret;
	store_le64(chunk + CHUNK_HEADER_SIZE, missing);
	make_header(packer, chunk, CHUNK_CUT, chunk + CHUNK_HEADER_SIZE, CHUNK_CUT_SIZE);
	ret = put(packer, chunk, sizeof(chunk));
	return ret ? write_failed(err, ret) : 0;
}

static int pack_finish(struct packer *packer, struct tce_error *err)
{
	uint8_t chunk[CHUNK_HEADER_SIZE + CHUNK_END_SIZE];
	int ret;

	store_le64(chunk + CHUNK_HEADER_SIZE, packer->bytes);
	store_le64(chunk + CHUNK_HEADER_SIZE + 8, packer->images);
	make_header(packer, chunk, CHUNK_END, chunk + CHUNK_HEADER_SIZE, CHUNK_END_SIZE);
	ret = put(packer, chunk, sizeof(chunk));
	return ret ? write_failed(err, ret) : 0;
}

int tce_pack_stream(const struct tce_source *source, const struct tce_sink *sink,
		    const struct tce_stream_hooks *hooks, struct tce_stream_stats *stats,
		    struct tce_error *err)
{
	struct tce_stream_stats own;
	struct packer packer = { .sink = *sink, .stats = stats ? stats : &own };
	struct stream_output output = {
		.bytes = pack_bytes,
		.flush = pack_flush,
		.begin_table = pack_begin,
		.words = pack_words,
		.end_words = pack_end,
		.cut_words = pack_cut,
		.ctx = &packer,
	};
	uint8_t header[PACKED_HEADER_SIZE];
	int ret;

	memset(packer.stats, 0, sizeof(*packer.stats));
	packer.pending = malloc(CHUNK_HEADER_SIZE + PENDING_MAX);
	packer.chunk = malloc(CHUNK_HEADER_SIZE + CHUNK_MAX);
	packer.words = malloc(CHUNK_HEADER_SIZE + TCE_PAYLOAD_MAX);
	if (!packer.pending || !packer.chunk || !packer.words) {
		ret = tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory to pack a stream");
		goto out;
	}
	store_le32(header, PACKED_MAGIC);
	store_le32(header + 4, PACKED_VERSION);
	ret = put(&packer, header, sizeof(header));
	if (ret)
		ret = write_failed(err, ret);
	else
		ret = tce_stream_scan(source, NULL, &output, hooks, packer.stats, err);
	if (!ret)
		ret = pack_flush(&packer, err);
	if (!ret)
		ret = pack_finish(&packer, err);
out:
	tce_destroy_writer(packer.writer);
	free(packer.words);
	free(packer.chunk);
	free(packer.pending);
	return ret;
}
