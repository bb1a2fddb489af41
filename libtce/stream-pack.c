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
 *	3 end		u64 bytes of QEMU's stream, u64 tables packed. Nothing follows.
 * The hash is XXH3-64 of the size bytes, with as its seed the XXH3-64 of type and size (8 bytes),
 * with as its seed the hash of the chunk before (0 for the first). So no chunk can be changed,
 * dropped, repeated or moved.
 */
#include <errno.h>
#include <stdlib.h>

#include "hash.h"
#include "stream-private.h"

struct packer {
	struct tce_sink sink;
	struct tce_stream_stats *stats;
	struct tce_writer *writer;	/* of the table that is being packed */
	uint8_t *chunk;			/* CHUNK_HEADER_SIZE and up to CHUNK_MAX bytes of image */
	size_t used;
	uint64_t hash;
	uint64_t tables;
};

uint64_t stream_chain_hash(uint64_t before, const uint8_t head[8], const void *payload,
			   size_t size)
{
	return XXH3_64bits_withSeed(payload, size, XXH3_64bits_withSeed(head, 8, before));
}

static int put(struct packer *p, const void *bytes, size_t len)
{
	int r = p->sink.write(p->sink.ctx, bytes, len);

	if (!r)
		p->stats->packed_bytes += len;
	return r;
}

static void make_header(struct packer *p, uint8_t *header, uint32_t type, const void *payload,
			size_t size)
{
	store_le32(header, type);
	store_le32(header + 4, (uint32_t)size);
	p->hash = stream_chain_hash(p->hash, header, payload, size);
	store_le64(header + 8, p->hash);
}

static int write_failed(struct tce_error *err, int r)
{
	return tce_set_error(err, TCE_ERR_IO, -r, "cannot write the packed stream");
}

static int pack_bytes(void *ctx, uint8_t *bytes, size_t len, struct tce_error *err)
{
	struct packer *p = ctx;
	size_t size;
	int r;

	for (; len; bytes += size, len -= size) {
		size = len < CHUNK_MAX ? len : CHUNK_MAX;
		make_header(p, bytes - CHUNK_HEADER_SIZE, CHUNK_BYTES, bytes, size);
		r = put(p, bytes - CHUNK_HEADER_SIZE, CHUNK_HEADER_SIZE + size);
		if (r)
			return write_failed(err, r);
	}
	return 0;
}

/* The chunk of image pieces has room for its header in front, so it is one write. */
static int flush_image(struct packer *p)
{
	size_t size = p->used;
	int r;

	if (!size)
		return 0;
	make_header(p, p->chunk, CHUNK_IMAGE, p->chunk + CHUNK_HEADER_SIZE, size);
	p->used = 0;
	r = put(p, p->chunk, CHUNK_HEADER_SIZE + size);
	if (!r)
		p->stats->packed_table_bytes += CHUNK_HEADER_SIZE + size;
	return r;
}

static int image_write(void *ctx, const void *buf, size_t len)
{
	struct packer *p = ctx;
	size_t size;
	int r;

	for (; len; buf = (const uint8_t *)buf + size, len -= size) {
		if (p->used == CHUNK_MAX) {
			r = flush_image(p);
			if (r)
				return r;
		}
		size = len < CHUNK_MAX - p->used ? len : CHUNK_MAX - p->used;
		memcpy(p->chunk + CHUNK_HEADER_SIZE + p->used, buf, size);
		p->used += size;
	}
	return 0;
}

static int pack_begin(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct packer *p = ctx;
	struct tce_sink sink = { image_write, p };
	struct tce_geometry geometry = {
		.known = TCE_KNOWN_LIOBN | TCE_KNOWN_ENTRIES,
		.liobn = table->geometry.liobn,
		.entries = table->geometry.entries,
	};
	int r;

	p->tables++;
	r = tce_create_writer(&p->writer, &sink, NULL, err);
	return r ? r : tce_begin_table(p->writer, &geometry, err);
}

static int pack_words(void *ctx, uint64_t index, uint64_t *words, size_t count,
		      struct tce_error *err)
{
	struct packer *p = ctx;

	return tce_put_words(p->writer, index, words, count, err);
}

static int pack_end(void *ctx, struct tce_error *err)
{
	struct packer *p = ctx;
	int r;

	r = tce_end_table(p->writer, err);
	if (!r)
		r = tce_end_image(p->writer, err);
	tce_destroy_writer(p->writer);
	p->writer = NULL;
	if (r)
		return r;
	r = flush_image(p);
	return r ? write_failed(err, r) : 0;
}

static int pack_finish(struct packer *p, struct tce_error *err)
{
	uint8_t chunk[CHUNK_HEADER_SIZE + CHUNK_END_SIZE];
	int r;

	store_le64(chunk + CHUNK_HEADER_SIZE, p->stats->bytes);
	store_le64(chunk + CHUNK_HEADER_SIZE + 8, p->tables);
	make_header(p, chunk, CHUNK_END, chunk + CHUNK_HEADER_SIZE, CHUNK_END_SIZE);
	r = put(p, chunk, sizeof(chunk));
	return r ? write_failed(err, r) : 0;
}

int tce_pack_stream(const struct tce_source *source, const struct tce_sink *sink,
		    const struct tce_stream_hooks *hooks, struct tce_stream_stats *stats,
		    struct tce_error *err)
{
	struct tce_stream_stats own;
	struct packer p = { .sink = *sink, .stats = stats ? stats : &own };
	struct stream_output output = { pack_bytes, pack_begin, pack_words, pack_end, &p };
	uint8_t header[PACKED_HEADER_SIZE];
	int r;

	memset(p.stats, 0, sizeof(*p.stats));
	p.chunk = malloc(CHUNK_HEADER_SIZE + CHUNK_MAX);
	if (!p.chunk)
		return tce_set_error(err, TCE_ERR_NOMEM, ENOMEM, "packer");
	store_le32(header, PACKED_MAGIC);
	store_le32(header + 4, PACKED_VERSION);
	r = put(&p, header, sizeof(header));
	if (r)
		r = write_failed(err, r);
	else
		r = stream_scan(source, &output, hooks, p.stats, err);
	if (!r)
		r = pack_finish(&p, err);
	tce_destroy_writer(p.writer);
	free(p.chunk);
	return r;
}
