// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reads packed streams (stream-pack.c has the format) and gives QEMU's stream back. What
 * a chunk brings is not used before its hash has been checked.
 */
#include <errno.h>
#include <stdlib.h>
#include "stream-private.h"

#define BUFFER_SIZE	(CHUNK_HEADER_SIZE + CHUNK_MAX)
/* More than a window can have: QEMU's count is 32 bits. */
#define ENTRIES_MAX	UINT32_MAX

struct unpacker {
	struct tce_source source;
	struct tce_stream_stats *stats;

	/* packed bytes: [0, used) of @buf are had, the chunk being used is [pos, chunk_end) */
	uint8_t *buf;
	size_t pos, chunk_end, used;
	uint32_t type;			/* of that chunk; 0 before the first */
	uint64_t base;			/* offset of buf[0] in the packed stream */
	uint64_t hash;
	bool eof;

	struct tce_reader *reader;	/* in a table: of its image */
	struct tce_cursor cursor;
	uint64_t left;			/* entries of the table still to come */
	uint64_t *words;		/* TCE_BLOCK_MAX of them */

	uint64_t bytes, tables;		/* given back so far */
	const uint8_t *piece;		/* for the source: what is left of a piece */
	size_t piece_left;

	int status;			/* first failure, and what it was */
	struct tce_error error;
	struct tce_error image_error;	/* the reader's, which may only be that of its source */
};

static uint64_t load_le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

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
	if (type < CHUNK_BYTES || type > CHUNK_END)
		return corrupt(unpacker, "a chunk of an unknown type");
	if (size > CHUNK_MAX || !size || (type == CHUNK_END && size != CHUNK_END_SIZE))
		return corrupt(unpacker, "a chunk of an impossible size");
	ret = fill(unpacker, CHUNK_HEADER_SIZE + size);
	if (ret <= 0)
		return ret < 0 ? ret : torn(unpacker);
	unpacker->hash = stream_chain_hash(unpacker->hash, unpacker->buf + unpacker->pos,
				    unpacker->buf + unpacker->pos + CHUNK_HEADER_SIZE, size);
	if (unpacker->hash != hash)
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
	if (!(geometry.known & TCE_KNOWN_ENTRIES) || !geometry.entries ||
	    geometry.entries > ENTRIES_MAX)
		return corrupt(unpacker, "a table of an impossible size");
	tce_begin_cursor(&unpacker->cursor, unpacker->reader);
	unpacker->left = geometry.entries;
	unpacker->tables++;
	unpacker->stats->entries += geometry.entries;
	unpacker->stats->table_bytes += geometry.entries * 8;
	return 0;
}

static int end_table(struct unpacker *unpacker)
{
	struct tce_geometry geometry;
	int ret;

	ret = tce_next_table(unpacker->reader, &geometry, &unpacker->image_error);
	if (ret < 0)
		return image_failed(unpacker, ret);
	if (ret)
		return corrupt(unpacker, "an image of more than one table");
	if (unpacker->pos != unpacker->chunk_end)
		return corrupt(unpacker, "something follows a table's image");
	tce_destroy_reader(unpacker->reader);
	unpacker->reader = NULL;
	return 0;
}

/* The next entries of the table, as QEMU has them; at most TCE_BLOCK_MAX. */
static int next_words(struct unpacker *unpacker, size_t *count)
{
	size_t i;
	int ret;

	*count = (size_t)min_u64(unpacker->left, TCE_BLOCK_MAX);
	ret = tce_cursor_words(&unpacker->cursor, unpacker->words, *count, &unpacker->image_error);
	if (ret)
		return image_failed(unpacker, ret);
	for (i = 0; i < *count; i++)
		unpacker->words[i] = htobe64(unpacker->words[i]);
	unpacker->left -= *count;
	return unpacker->left ? 0 : end_table(unpacker);
}

/*
 * The next piece of QEMU's stream: at @piece, valid until the next call. Returns 1, 0 at the end,
 * or an error.
 */
static int next_piece(struct unpacker *unpacker, const uint8_t **piece, size_t *len)
{
	size_t count;
	int ret;

	if (!unpacker->reader) {
		ret = next_chunk(unpacker);
		if (ret)
			return ret;
		switch (unpacker->type) {
		case CHUNK_BYTES:
			*piece = unpacker->buf + unpacker->pos;
			*len = unpacker->chunk_end - unpacker->pos;
			unpacker->pos = unpacker->chunk_end;
			unpacker->bytes += *len;
			return 1;
		case CHUNK_END:
			if (load_le64(unpacker->buf + unpacker->pos) != unpacker->bytes ||
			    load_le64(unpacker->buf + unpacker->pos + 8) != unpacker->tables)
				return corrupt(unpacker, "its end record does not agree with it");
			unpacker->pos = unpacker->chunk_end;
			ret = fill(unpacker, 1);
			if (ret)
				return ret < 0 ? ret
					       : corrupt(unpacker,
							 "something follows its end record");
			return 0;
		default:
			ret = begin_table(unpacker);
			if (ret)
				return ret;
		}
	}
	ret = next_words(unpacker, &count);
	if (ret)
		return ret;
	*piece = (const uint8_t *)unpacker->words;
	*len = count * 8;
	unpacker->bytes += *len;
	return 1;
}

static int open_unpacker(struct unpacker *unpacker)
{
	int ret;

	unpacker->buf = malloc(BUFFER_SIZE);
	unpacker->words = malloc(TCE_BLOCK_MAX * sizeof(*unpacker->words));
	if (!unpacker->buf || !unpacker->words)
		return failed(unpacker,
			      tce_set_error(&unpacker->error, TCE_ERR_NOMEM, ENOMEM, "unpacker"));
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
					       "version %unpacker of packed streams is not known",
					       load_le32(unpacker->buf + 4)));
	unpacker->pos = PACKED_HEADER_SIZE;
	return 0;
}

static void close_unpacker(struct unpacker *unpacker)
{
	tce_destroy_reader(unpacker->reader);
	free(unpacker->words);
	free(unpacker->buf);
}

/* Source of the scanner: the pieces one after the other. */
static ssize_t piece_read(void *ctx, void *buf, size_t len)
{
	struct unpacker *unpacker = ctx;
	int ret;

	if (!unpacker->piece_left) {
		ret = next_piece(unpacker, &unpacker->piece, &unpacker->piece_left);
		if (ret <= 0)
			return ret < 0 ? -EIO : 0;
	}
	if (len > unpacker->piece_left)
		len = unpacker->piece_left;
	memcpy(buf, unpacker->piece, len);
	unpacker->piece += len;
	unpacker->piece_left -= len;
	return (ssize_t)len;
}

static int put(const struct tce_sink *sink, const void *bytes, size_t len, struct tce_error *err)
{
	int ret = sink->write(sink->ctx, bytes, len);

	return ret ? tce_set_error(err, TCE_ERR_IO, -ret, "cannot write QEMU's stream") : 0;
}

static int write_bytes(void *ctx, uint8_t *bytes, size_t len, struct tce_error *err)
{
	return put(ctx, bytes, len, err);
}

static int write_words(void *ctx, uint64_t index, uint64_t *words, size_t count,
		       struct tce_error *err)
{
	size_t i;

	for (i = 0; i < count; i++)
		words[i] = htobe64(words[i]);
	return put(ctx, words, count * 8, err);
}

int tce_unpack_stream(const struct tce_source *source, const struct tce_sink *sink,
		      const struct tce_stream_hooks *hooks, struct tce_stream_stats *stats,
		      struct tce_error *err)
{
	struct tce_stream_stats own, packed = { 0 };
	struct unpacker unpacker = { .source = *source, .stats = &packed };
	struct tce_sink to = *sink;
	struct stream_output output = { write_bytes, NULL, write_words, NULL, &to };
	struct tce_source pieces = { .read = piece_read, .ctx = &unpacker };
	const uint8_t *piece = NULL;
	size_t len = 0;
	int ret;

	if (!stats)
		stats = &own;
	memset(stats, 0, sizeof(*stats));
	ret = open_unpacker(&unpacker);
	if (ret)
		goto out;
	if (hooks) {
		ret = stream_scan(&pieces, &output, hooks, stats, err);
		if (unpacker.status)
			ret = unpacker.status;
	} else {
		while ((ret = next_piece(&unpacker, &piece, &len)) > 0) {
			ret = put(&to, piece, len, err);
			if (ret)
				break;
		}
	}
out:
	if (unpacker.status && err) {
		memcpy(unpacker.error.file, err->file, sizeof(unpacker.error.file));
		*err = unpacker.error;
	}
	if (!hooks) {
		*stats = packed;
		stats->bytes = unpacker.bytes;
		stats->tables = unpacker.tables;
	}
	stats->packed_bytes = packed.packed_bytes;
	stats->packed_table_bytes = packed.packed_table_bytes;
	close_unpacker(&unpacker);
	return ret;
}

/* A stream of either kind whose first bytes have been looked at. */
struct probed {
	struct tce_source source;
	uint8_t bytes[TCE_STREAM_PROBE];
	size_t had, given;
};

static ssize_t probed_read(void *ctx, void *buf, size_t len)
{
	struct probed *probed = ctx;

	if (probed->given == probed->had)
		return probed->source.read(probed->source.ctx, buf, len);
	if (len > probed->had - probed->given)
		len = probed->had - probed->given;
	memcpy(buf, probed->bytes + probed->given, len);
	probed->given += len;
	return (ssize_t)len;
}

bool tce_probe_stream(const uint8_t bytes[TCE_STREAM_PROBE])
{
	return load_le32(bytes) == PACKED_MAGIC || !memcmp(bytes, "QEVM", 4);
}

static int drop_bytes(void *ctx, const void *buf, size_t len)
{
	return 0;
}

int tce_scan_stream(const struct tce_source *source, const struct tce_stream_hooks *hooks,
		    struct tce_stream_stats *stats, struct tce_error *err)
{
	static const struct tce_stream_hooks no_hooks;
	struct tce_sink nowhere = { drop_bytes, NULL };
	struct probed probed = { .source = *source };
	struct tce_source again = { .read = probed_read, .ctx = &probed };
	struct tce_stream_stats own;
	ssize_t got;

	if (!stats)
		stats = &own;
	memset(stats, 0, sizeof(*stats));
	while (probed.had < sizeof(probed.bytes)) {
		got = source->read(source->ctx, probed.bytes + probed.had,
				   sizeof(probed.bytes) - probed.had);
		if (got < 0)
			return tce_set_error(err, TCE_ERR_IO, (int)-got, "cannot read the stream");
		if (got == 0)
			break;
		probed.had += (size_t)got;
	}
	if (probed.had == sizeof(probed.bytes) && load_le32(probed.bytes) == PACKED_MAGIC)
		return tce_unpack_stream(&again, &nowhere, hooks ? hooks : &no_hooks, stats, err);
	return stream_scan(&again, NULL, hooks, stats, err);
}
