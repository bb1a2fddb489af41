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
static int failed(struct unpacker *u, int code)
{
	u->error.offset = u->base + u->pos;
	u->error.fields = TCE_ERROR_OFFSET | (u->error.fields & ~TCE_ERROR_OFFSET);
	return u->status = code;
}

/* Have @n bytes from pos on. Returns 1, or 0 when the packed stream ends before. */
static int fill(struct unpacker *u, size_t n)
{
	ssize_t got;

	while (u->used - u->pos < n) {
		if (u->eof)
			return 0;
		if (u->pos) {
			memmove(u->buf, u->buf + u->pos, u->used - u->pos);
			u->base += u->pos;
			u->used -= u->pos;
			u->pos = 0;
		}
		got = u->source.read(u->source.ctx, u->buf + u->used, BUFFER_SIZE - u->used);
		if (got < 0)
			return failed(u, tce_set_error(&u->error, TCE_ERR_IO, (int)-got,
						       "cannot read the packed stream"));
		if (got == 0)
			u->eof = true;
		u->used += (size_t)got;
		u->stats->packed_bytes = u->base + u->used;
	}
	return 1;
}

static int torn(struct unpacker *u)
{
	u->pos = u->used;
	return failed(u, tce_set_error(&u->error, TCE_ERR_TORN, 0,
				       "the packed stream ends without its end record"));
}

static int corrupt(struct unpacker *u, const char *what)
{
	return failed(u, tce_set_error(&u->error, TCE_ERR_CORRUPT, 0, "packed stream: %s", what));
}

/* Go to the next chunk and check it; its payload is then [pos, chunk_end). */
static int next_chunk(struct unpacker *u)
{
	uint32_t type, size;
	uint64_t hash;
	int r;

	r = fill(u, CHUNK_HEADER_SIZE);
	if (r <= 0)
		return r < 0 ? r : torn(u);
	type = load_le32(u->buf + u->pos);
	size = load_le32(u->buf + u->pos + 4);
	hash = load_le64(u->buf + u->pos + 8);
	if (type < CHUNK_BYTES || type > CHUNK_END)
		return corrupt(u, "a chunk of an unknown type");
	if (size > CHUNK_MAX || !size || (type == CHUNK_END && size != CHUNK_END_SIZE))
		return corrupt(u, "a chunk of an impossible size");
	r = fill(u, CHUNK_HEADER_SIZE + size);
	if (r <= 0)
		return r < 0 ? r : torn(u);
	u->hash = stream_chain_hash(u->hash, u->buf + u->pos,
				    u->buf + u->pos + CHUNK_HEADER_SIZE, size);
	if (u->hash != hash)
		return corrupt(u, "a chunk's hash does not agree with what is in it");
	u->type = type;
	if (type == CHUNK_IMAGE)
		u->stats->packed_table_bytes += CHUNK_HEADER_SIZE;
	u->pos += CHUNK_HEADER_SIZE;
	u->chunk_end = u->pos + size;
	return 0;
}

/* Source of the reader of a table's image: the payloads of its chunks. */
static ssize_t image_read(void *ctx, void *buf, size_t len)
{
	struct unpacker *u = ctx;

	if (u->pos == u->chunk_end) {
		if (next_chunk(u))
			return -EIO;
		if (u->type != CHUNK_IMAGE) {
			corrupt(u, "a table's image does not end");
			return -EIO;
		}
	}
	if (len > u->chunk_end - u->pos)
		len = u->chunk_end - u->pos;
	memcpy(buf, u->buf + u->pos, len);
	u->pos += len;
	u->stats->packed_table_bytes += len;
	return (ssize_t)len;
}

/* An error of the reader, unless it only passes on one of ours. */
static int image_failed(struct unpacker *u, int r)
{
	if (u->status)
		return u->status;
	u->error = u->image_error;
	return failed(u, r);
}

static int begin_table(struct unpacker *u)
{
	struct tce_source source = { .read = image_read, .ctx = u };
	struct tce_geometry geometry;
	int r;

	r = tce_create_reader(&u->reader, &source, &u->image_error);
	if (r)
		return image_failed(u, r);
	r = tce_next_table(u->reader, &geometry, &u->image_error);
	if (r < 0)
		return image_failed(u, r);
	if (!r)
		return corrupt(u, "an image without a table");
	if (!(geometry.known & TCE_KNOWN_ENTRIES) || !geometry.entries ||
	    geometry.entries > ENTRIES_MAX)
		return corrupt(u, "a table of an impossible size");
	tce_begin_cursor(&u->cursor, u->reader);
	u->left = geometry.entries;
	u->tables++;
	u->stats->entries += geometry.entries;
	u->stats->table_bytes += geometry.entries * 8;
	return 0;
}

static int end_table(struct unpacker *u)
{
	struct tce_geometry geometry;
	int r;

	r = tce_next_table(u->reader, &geometry, &u->image_error);
	if (r < 0)
		return image_failed(u, r);
	if (r)
		return corrupt(u, "an image of more than one table");
	if (u->pos != u->chunk_end)
		return corrupt(u, "something follows a table's image");
	tce_destroy_reader(u->reader);
	u->reader = NULL;
	return 0;
}

/* The next entries of the table, as QEMU has them; at most TCE_BLOCK_MAX. */
static int next_words(struct unpacker *u, size_t *count)
{
	size_t i;
	int r;

	*count = (size_t)min_u64(u->left, TCE_BLOCK_MAX);
	r = tce_cursor_words(&u->cursor, u->words, *count, &u->image_error);
	if (r)
		return image_failed(u, r);
	for (i = 0; i < *count; i++)
		u->words[i] = htobe64(u->words[i]);
	u->left -= *count;
	return u->left ? 0 : end_table(u);
}

/*
 * The next piece of QEMU's stream: at @piece, valid until the next call. Returns 1, 0 at the end, or
 * an error.
 */
static int next_piece(struct unpacker *u, const uint8_t **piece, size_t *len)
{
	size_t count;
	int r;

	if (!u->reader) {
		r = next_chunk(u);
		if (r)
			return r;
		switch (u->type) {
		case CHUNK_BYTES:
			*piece = u->buf + u->pos;
			*len = u->chunk_end - u->pos;
			u->pos = u->chunk_end;
			u->bytes += *len;
			return 1;
		case CHUNK_END:
			if (load_le64(u->buf + u->pos) != u->bytes ||
			    load_le64(u->buf + u->pos + 8) != u->tables)
				return corrupt(u, "its end record does not agree with it");
			u->pos = u->chunk_end;
			r = fill(u, 1);
			if (r)
				return r < 0 ? r : corrupt(u, "something follows its end record");
			return 0;
		default:
			r = begin_table(u);
			if (r)
				return r;
		}
	}
	r = next_words(u, &count);
	if (r)
		return r;
	*piece = (const uint8_t *)u->words;
	*len = count * 8;
	u->bytes += *len;
	return 1;
}

static int open_unpacker(struct unpacker *u)
{
	int r;

	u->buf = malloc(BUFFER_SIZE);
	u->words = malloc(TCE_BLOCK_MAX * sizeof(*u->words));
	if (!u->buf || !u->words)
		return failed(u, tce_set_error(&u->error, TCE_ERR_NOMEM, ENOMEM, "unpacker"));
	r = fill(u, 4);
	if (r < 0)
		return r;
	if (!r || load_le32(u->buf) != PACKED_MAGIC)
		return failed(u, tce_set_error(&u->error, TCE_ERR_NOT_IMAGE, 0,
					       "not a packed stream"));
	r = fill(u, PACKED_HEADER_SIZE);
	if (r <= 0)
		return r < 0 ? r : torn(u);
	if (load_le32(u->buf + 4) != PACKED_VERSION)
		return failed(u, tce_set_error(&u->error, TCE_ERR_VERSION, 0,
					       "version %u of packed streams is not known",
					       load_le32(u->buf + 4)));
	u->pos = PACKED_HEADER_SIZE;
	return 0;
}

static void close_unpacker(struct unpacker *u)
{
	tce_destroy_reader(u->reader);
	free(u->words);
	free(u->buf);
}

/* Source of the scanner: the pieces one after the other. */
static ssize_t piece_read(void *ctx, void *buf, size_t len)
{
	struct unpacker *u = ctx;
	int r;

	if (!u->piece_left) {
		r = next_piece(u, &u->piece, &u->piece_left);
		if (r <= 0)
			return r < 0 ? -EIO : 0;
	}
	if (len > u->piece_left)
		len = u->piece_left;
	memcpy(buf, u->piece, len);
	u->piece += len;
	u->piece_left -= len;
	return (ssize_t)len;
}

static int put(const struct tce_sink *sink, const void *bytes, size_t len, struct tce_error *err)
{
	int r = sink->write(sink->ctx, bytes, len);

	return r ? tce_set_error(err, TCE_ERR_IO, -r, "cannot write QEMU's stream") : 0;
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
	struct unpacker u = { .source = *source, .stats = &packed };
	struct tce_sink to = *sink;
	struct stream_output output = { write_bytes, NULL, write_words, NULL, &to };
	struct tce_source pieces = { .read = piece_read, .ctx = &u };
	const uint8_t *piece = NULL;
	size_t len = 0;
	int r;

	if (!stats)
		stats = &own;
	memset(stats, 0, sizeof(*stats));
	r = open_unpacker(&u);
	if (r)
		goto out;
	if (hooks) {
		r = stream_scan(&pieces, &output, hooks, stats, err);
		if (u.status)
			r = u.status;
	} else {
		while ((r = next_piece(&u, &piece, &len)) > 0) {
			r = put(&to, piece, len, err);
			if (r)
				break;
		}
	}
out:
	if (u.status && err) {
		memcpy(u.error.file, err->file, sizeof(u.error.file));
		*err = u.error;
	}
	if (!hooks) {
		*stats = packed;
		stats->bytes = u.bytes;
		stats->tables = u.tables;
	}
	stats->packed_bytes = packed.packed_bytes;
	stats->packed_table_bytes = packed.packed_table_bytes;
	close_unpacker(&u);
	return r;
}

/* A stream of either kind whose first bytes have been looked at. */
struct probed {
	struct tce_source source;
	uint8_t bytes[TCE_STREAM_PROBE];
	size_t had, given;
};

static ssize_t probed_read(void *ctx, void *buf, size_t len)
{
	struct probed *p = ctx;

	if (p->given == p->had)
		return p->source.read(p->source.ctx, buf, len);
	if (len > p->had - p->given)
		len = p->had - p->given;
	memcpy(buf, p->bytes + p->given, len);
	p->given += len;
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
	struct probed p = { .source = *source };
	struct tce_source again = { .read = probed_read, .ctx = &p };
	struct tce_stream_stats own;
	ssize_t got;

	if (!stats)
		stats = &own;
	memset(stats, 0, sizeof(*stats));
	while (p.had < sizeof(p.bytes)) {
		got = source->read(source->ctx, p.bytes + p.had, sizeof(p.bytes) - p.had);
		if (got < 0)
			return tce_set_error(err, TCE_ERR_IO, (int)-got, "cannot read the stream");
		if (got == 0)
			break;
		p.had += (size_t)got;
	}
	if (p.had == sizeof(p.bytes) && load_le32(p.bytes) == PACKED_MAGIC)
		return tce_unpack_stream(&again, &nowhere, hooks ? hooks : &no_hooks, stats, err);
	return stream_scan(&again, NULL, hooks, stats, err);
}
