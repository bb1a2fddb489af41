// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reads packed streams (stream-pack.c has the format), chunk by chunk and table by table. What a
 * chunk brings is not used before its hash has been checked.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "hash.h"
#include "stream-packed.h"

#define BUFFER_SIZE (CHUNK_HEADER_SIZE + CHUNK_MAX)
/* More than all windows of a machine can have. */
#define ENTRIES_MAX (1ULL << 32)

/* Keep an error, with the place in the packed stream where it was found. */
static int failed(struct unpacker *unpacker, int code)
{
	unpacker->error.offset = unpacker->base + unpacker->pos;
	unpacker->error.fields = TCE_ERROR_OFFSET | (unpacker->error.fields & ~TCE_ERROR_OFFSET);
	return unpacker->status = code;
}

/* Have @n bytes from pos on. Returns 1, or 0 when the packed stream ends before. */
static int fill(struct unpacker *unpacker, size_t n)
{
	ssize_t got;

	while (unpacker->used - unpacker->pos < n) {
		if (unpacker->eof)
			return 0;
		if (unpacker->pos) {
			memmove(unpacker->buf, unpacker->buf + unpacker->pos,
				unpacker->used - unpacker->pos);
			unpacker->base += unpacker->pos;
			unpacker->used -= unpacker->pos;
			unpacker->chunk_end -= unpacker->pos;
			unpacker->pos = 0;
		}
		got = unpacker->source.read(unpacker->source.ctx, unpacker->buf + unpacker->used,
					    BUFFER_SIZE - unpacker->used);
		if (got < 0)
			return failed(unpacker,
				      tce_set_error(&unpacker->error, TCE_ERR_IO, (int)-got,
						    "cannot read the packed stream"));
		if (got == 0)
			unpacker->eof = true;
		unpacker->used += (size_t)got;
		unpacker->stats->packed_bytes = unpacker->base + unpacker->used;
	}
	return 1;
}

static int torn(struct unpacker *unpacker)
{
	unpacker->pos = unpacker->used;
	return failed(unpacker, tce_set_error(&unpacker->error, TCE_ERR_TORN, 0,
					      "the packed stream ends without its end record"));
}

static int corrupt(struct unpacker *unpacker, const char *what)
{
	return failed(unpacker, tce_set_error(&unpacker->error, TCE_ERR_CORRUPT, 0,
					      "packed stream: %s", what));
}

/* Go to the next chunk and check it; its payload is then [pos, chunk_end). */
static int next_chunk(struct unpacker *unpacker)
{
	uint32_t type, size;
	uint64_t hash;
	int ret;

	ret = fill(unpacker, CHUNK_HEADER_SIZE);
	if (ret <= 0)
		return ret < 0 ? ret : torn(unpacker);
	type = load_le32(unpacker->buf + unpacker->pos);
	size = load_le32(unpacker->buf + unpacker->pos + 4);
	hash = load_le64(unpacker->buf + unpacker->pos + 8);
	if (type < CHUNK_BYTES || type > CHUNK_CUT)
		return corrupt(unpacker, "a chunk of an unknown type");
	if (size > CHUNK_MAX || !size || (type == CHUNK_END && size != CHUNK_END_SIZE) ||
	    (type == CHUNK_CUT && size != CHUNK_CUT_SIZE))
		return corrupt(unpacker, "a chunk of an impossible size");
	ret = fill(unpacker, CHUNK_HEADER_SIZE + size);
	if (ret <= 0)
		return ret < 0 ? ret : torn(unpacker);
	unpacker->hash = tce_stream_chain_hash(unpacker->hash, unpacker->buf + unpacker->pos,
					       unpacker->buf + unpacker->pos + CHUNK_HEADER_SIZE,
					       size);
	if (!hash_agrees(unpacker->hash, hash))
		return corrupt(unpacker, "a chunk's hash does not agree with what is in it");
	unpacker->type = type;
	if (type == CHUNK_IMAGE)
		unpacker->stats->packed_table_bytes += CHUNK_HEADER_SIZE;
	unpacker->pos += CHUNK_HEADER_SIZE;
	unpacker->chunk_end = unpacker->pos + size;
	return 0;
}

/* Source of the reader of a table's image: the payloads of its chunks. */
static ssize_t image_read(void *ctx, void *buf, size_t len)
{
	struct unpacker *unpacker = ctx;

	if (unpacker->pos == unpacker->chunk_end) {
		if (next_chunk(unpacker))
			return -EIO;
		if (unpacker->type != CHUNK_IMAGE) {
			corrupt(unpacker, "a table's image does not end");
			return -EIO;
		}
	}
	if (len > unpacker->chunk_end - unpacker->pos)
		len = unpacker->chunk_end - unpacker->pos;
	memcpy(buf, unpacker->buf + unpacker->pos, len);
	unpacker->pos += len;
	unpacker->stats->packed_table_bytes += len;
	return (ssize_t)len;
}

/* An error of the reader, unless it only passes on one of ours. */
static int image_failed(struct unpacker *unpacker, int ret)
{
	if (unpacker->status)
		return unpacker->status;
	unpacker->error = unpacker->image_error;
	return failed(unpacker, ret);
}

static int begin_table(struct unpacker *unpacker)
{
	struct tce_source source = { .read = image_read, .ctx = unpacker };
	struct tce_geometry geometry;
	int ret;

	ret = tce_create_reader(&unpacker->reader, &source, &unpacker->image_error);
	if (ret)
		return image_failed(unpacker, ret);
	ret = tce_next_table(unpacker->reader, &geometry, &unpacker->image_error);
	if (ret < 0)
		return image_failed(unpacker, ret);
	if (!ret)
		return corrupt(unpacker, "an image without a table");
	/* QEMU's count is 32 bits. */
	if (!(geometry.known & TCE_KNOWN_ENTRIES) || geometry.entries > UINT32_MAX)
		return corrupt(unpacker, "a table of an impossible size");
	tce_begin_cursor(&unpacker->cursor, unpacker->reader);
	unpacker->left = geometry.entries;
	unpacker->image_ended = false;
	unpacker->tables++;
	unpacker->stats->entries += geometry.entries;
	unpacker->stats->table_bytes += geometry.entries * sizeof(uint64_t);
	return 0;
}

/* The image's end, and the chunk that says whether all of its entries were in QEMU's stream. */
static int end_image(struct unpacker *unpacker)
{
	struct tce_geometry geometry;
	uint64_t missing;
	int ret;

	ret = tce_next_table(unpacker->reader, &geometry, &unpacker->image_error);
	if (ret < 0)
		return image_failed(unpacker, ret);
	if (ret)
		return corrupt(unpacker, "an image of more than one table");
	if (unpacker->pos != unpacker->chunk_end)
		return corrupt(unpacker, "something follows a table's image");
	unpacker->image_ended = true;
	ret = fill(unpacker, CHUNK_HEADER_SIZE);
	if (ret <= 0)
		return ret < 0 ? ret : torn(unpacker);
	if (load_le32(unpacker->buf + unpacker->pos) != CHUNK_CUT)
		return 0;
	ret = next_chunk(unpacker);
	if (ret)
		return ret;
	missing = load_le64(unpacker->buf + unpacker->pos);
	unpacker->pos = unpacker->chunk_end;
	if (missing > unpacker->left)
		return corrupt(unpacker, "more of a table is missing than it has");
	unpacker->left -= missing;
	unpacker->stats->entries -= missing;
	unpacker->stats->table_bytes -= missing * sizeof(uint64_t);
	return 0;
}

static void end_table(struct unpacker *unpacker)
{
	tce_destroy_reader(unpacker->reader);
	unpacker->reader = NULL;
}

/* May that many more be written? Only what is written counts: a table can be cut. */
static int check_work(struct unpacker *unpacker, size_t count)
{
	const uint64_t allowed = tce_stream_allow_entries(unpacker->base + unpacker->pos);

	unpacker->made += count;
	if (unpacker->made <= min_u64(allowed, ENTRIES_MAX))
		return 0;
	return failed(unpacker,
		      tce_set_error(&unpacker->error, TCE_ERR_LIMIT, 0,
				    "packed stream: more than %" PRIu64
				    " entries of tables in its first %" PRIu64 " bytes",
				    unpacker->made - count, unpacker->base + unpacker->pos));
}

/* The next entries of the table, as QEMU has them; at most TCE_BLOCK_MAX. */
static int next_words(struct unpacker *unpacker, size_t *count)
{
	size_t i;
	int ret;

	*count = (size_t)min_u64(unpacker->left, TCE_BLOCK_MAX);
	ret = check_work(unpacker, *count);
	if (ret)
		return ret;
	ret = tce_cursor_words(&unpacker->cursor, unpacker->words, *count, &unpacker->image_error);
	if (ret)
		return image_failed(unpacker, ret);
	/* After its last extent, not all that the image says may have been there. */
	if (!unpacker->image_ended && (unpacker->cursor.at_end || *count == unpacker->left)) {
		ret = end_image(unpacker);
		if (ret)
			return ret;
		*count = (size_t)min_u64(unpacker->left, *count);
	}
	for (i = 0; i < *count; i++)
		unpacker->words[i] = htobe64(unpacker->words[i]);
	unpacker->left -= *count;
	if (!unpacker->left)
		end_table(unpacker);
	return 0;
}

static int end_stream(struct unpacker *unpacker)
{
	int ret;

	if (load_le64(unpacker->buf + unpacker->pos) != unpacker->bytes ||
	    load_le64(unpacker->buf + unpacker->pos + 8) != unpacker->tables)
		return corrupt(unpacker, "its end record does not agree with it");
	unpacker->pos = unpacker->chunk_end;
	ret = fill(unpacker, 1);
	if (ret > 0)
		unpacker->stats->trailing = true;
	unpacker->ended = true;
	return ret < 0 ? ret : 0;
}

/* Go to the next chunk outside tables, or begin a table. Return: 1, 0 at the end, or an error. */
static int next_part(struct unpacker *unpacker)
{
	int ret = next_chunk(unpacker);

	if (ret)
		return ret;
	switch (unpacker->type) {
	case CHUNK_BYTES:
		return 1;
	case CHUNK_IMAGE:
		ret = begin_table(unpacker);
		return ret ? ret : 1;
	case CHUNK_END:
		return end_stream(unpacker);
	default:
		return corrupt(unpacker, "a cut of a table that is not there");
	}
}

int tce_next_piece(struct unpacker *unpacker, const uint8_t **piece, size_t *len)
{
	int ret;

	/* A table of which nothing was there has no piece. */
	for (*len = 0; !*len; unpacker->bytes += *len) {
		if (unpacker->ended)
			return 0;
		if (!unpacker->reader && unpacker->pos == unpacker->chunk_end) {
			ret = next_part(unpacker);
			if (ret <= 0)
				return ret;
		}
		if (unpacker->reader) {
			if (unpacker->look_only)
				return corrupt(unpacker, "a table where QEMU's stream has none");
			ret = next_words(unpacker, len);
			if (ret)
				return ret;
			*piece = (const uint8_t *)unpacker->words;
			*len *= sizeof(uint64_t);
		} else {
			*piece = unpacker->buf + unpacker->pos;
			*len = unpacker->chunk_end - unpacker->pos;
			unpacker->pos = unpacker->chunk_end;
		}
	}
	return 1;
}

int tce_begin_packed_table(struct unpacker *unpacker, uint64_t entries)
{
	int ret;

	if (unpacker->reader || unpacker->pos != unpacker->chunk_end || unpacker->ended)
		return 0;
	ret = next_part(unpacker);
	if (ret <= 0 || !unpacker->reader)
		return ret < 0 ? ret : 0;
	/* Then its entries are bytes like others. */
	return unpacker->left == entries;
}

int tce_next_packed_extent(struct unpacker *unpacker, struct tce_extent *extent)
{
	int ret;

	if (!unpacker->reader)
		return 0;
	ret = tce_next_extent(unpacker->reader, extent, &unpacker->image_error);
	if (ret < 0)
		return image_failed(unpacker, ret);
	if (ret)
		return 1;
	unpacker->bytes += unpacker->left * sizeof(uint64_t);
	ret = end_image(unpacker);
	end_table(unpacker);
	return ret;
}

int tce_open_unpacker(struct unpacker *unpacker)
{
	int ret;

	unpacker->buf = malloc(BUFFER_SIZE);
	unpacker->words = malloc(TCE_BLOCK_MAX * sizeof(*unpacker->words));
	if (!unpacker->buf || !unpacker->words)
		return failed(unpacker, tce_set_error(&unpacker->error, TCE_ERR_NOMEM, 0,
						      "no memory to unpack a stream"));
	ret = fill(unpacker, 4);
	if (ret < 0)
		return ret;
	if (!ret || load_le32(unpacker->buf) != PACKED_MAGIC)
		return failed(unpacker, tce_set_error(&unpacker->error, TCE_ERR_NOT_IMAGE, 0,
						      "not a packed stream"));
	ret = fill(unpacker, PACKED_HEADER_SIZE);
	if (ret <= 0)
		return ret < 0 ? ret : torn(unpacker);
	if (load_le32(unpacker->buf + 4) != PACKED_VERSION)
		return failed(unpacker, tce_set_error(&unpacker->error, TCE_ERR_VERSION, 0,
						      "version %u of packed streams is not known",
						      load_le32(unpacker->buf + 4)));
	unpacker->pos = PACKED_HEADER_SIZE;
	unpacker->chunk_end = unpacker->pos;
	return 0;
}

void tce_close_unpacker(struct unpacker *unpacker)
{
	tce_destroy_reader(unpacker->reader);
	free(unpacker->words);
	free(unpacker->buf);
}
