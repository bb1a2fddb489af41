// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Gives QEMU's stream back that was packed, and looks through streams of either kind.
 */
#include <errno.h>

#include "stream-packed.h"

/* Source of the scanner: the pieces one after the other. */
static ssize_t piece_read(void *ctx, void *buf, size_t len)
{
	struct unpacker *unpacker = ctx;
	int ret;

	if (!unpacker->piece_left) {
		ret = tce_next_piece(unpacker, &unpacker->piece, &unpacker->piece_left);
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

static int table_begin(void *ctx, uint64_t entries)
{
	struct unpacker *unpacker = ctx;

	return unpacker->piece_left ? 0 : tce_begin_packed_table(unpacker, entries);
}

static int table_next(void *ctx, struct tce_extent *extent)
{
	return tce_next_packed_extent(ctx, extent);
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
	return put(ctx, words, count * sizeof(*words), err);
}

/* Without looking at what is in it. */
static int copy_pieces(struct unpacker *unpacker, const struct tce_sink *sink,
		       struct tce_error *err)
{
	const uint8_t *piece;
	size_t len;
	int ret;

	while ((ret = tce_next_piece(unpacker, &piece, &len)) > 0) {
		ret = put(sink, piece, len, err);
		if (ret)
			break;
	}
	return ret;
}

/* What was scanned to its end must be the end of the packed stream, too. */
static int finish_scan(struct unpacker *unpacker)
{
	const uint8_t *piece;
	size_t len;
	int ret;

	do {
		ret = tce_next_piece(unpacker, &piece, &len);
	} while (ret > 0 && unpacker->type == CHUNK_BYTES);
	return ret < 0 ? ret : 0;
}

/* Scan what is in it, for @hooks; to @sink, or nowhere. */
static int scan_pieces(struct unpacker *unpacker, struct tce_sink *sink,
		       const struct tce_stream_hooks *hooks, struct tce_stream_stats *stats,
		       struct tce_error *err)
{
	const struct stream_output output = {
		.bytes = write_bytes,
		.words = write_words,
		.ctx = sink,
	};
	const struct stream_tables tables = { table_begin, table_next, unpacker };
	const struct tce_source pieces = { .read = piece_read, .ctx = unpacker };
	int ret;

	ret = tce_stream_scan(&pieces, sink ? NULL : &tables, sink ? &output : NULL, hooks, stats,
			      err);
	if (!ret && !sink && stats->understood)
		ret = finish_scan(unpacker);
	return ret;
}

/* Give back to @sink, or only look when that is NULL. */
static int unpack(const struct tce_source *source, const struct tce_sink *sink,
		  const struct tce_stream_hooks *hooks, struct tce_stream_stats *stats,
		  struct tce_error *err)
{
	struct tce_stream_stats packed = { 0 };
	struct unpacker unpacker = { .source = *source, .stats = &packed, .look_only = !sink };
	struct tce_sink to = sink ? *sink : (struct tce_sink){ 0 };
	const bool look = hooks || !sink;
	int ret;

	memset(stats, 0, sizeof(*stats));
	ret = tce_open_unpacker(&unpacker);
	if (!ret && look)
		ret = scan_pieces(&unpacker, sink ? &to : NULL, hooks, stats, err);
	else if (!ret)
		ret = copy_pieces(&unpacker, &to, err);
	if (unpacker.status) {
		ret = unpacker.status;
		if (err) {
			memcpy(unpacker.error.file, err->file, sizeof(unpacker.error.file));
			*err = unpacker.error;
		}
	}
	if (!look) {
		*stats = packed;
		stats->bytes = unpacker.bytes;
		stats->tables = unpacker.tables;
	}
	stats->packed_bytes = packed.packed_bytes;
	stats->packed_table_bytes = packed.packed_table_bytes;
	stats->trailing |= packed.trailing;
	tce_close_unpacker(&unpacker);
	return ret;
}

int tce_unpack_stream(const struct tce_source *source, const struct tce_sink *sink,
		      const struct tce_stream_hooks *hooks, struct tce_stream_stats *stats,
		      struct tce_error *err)
{
	struct tce_stream_stats own;

	return unpack(source, sink, hooks, stats ? stats : &own, err);
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

static int probed_seek(void *ctx, int64_t distance)
{
	struct probed *probed = ctx;

	if (probed->given != probed->had || !probed->source.seek)
		return -ESPIPE;
	return probed->source.seek(probed->source.ctx, distance);
}

bool tce_probe_stream(const uint8_t bytes[TCE_STREAM_PROBE])
{
	return load_le32(bytes) == PACKED_MAGIC || !memcmp(bytes, "QEVM", 4);
}

int tce_scan_stream(const struct tce_source *source, const struct tce_stream_hooks *hooks,
		    struct tce_stream_stats *stats, struct tce_error *err)
{
	struct probed probed = { .source = *source };
	struct tce_source again = { .read = probed_read, .ctx = &probed, .seek = probed_seek };
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
		return unpack(&again, NULL, hooks, stats, err);
	return tce_stream_scan(&again, NULL, NULL, hooks, stats, err);
}
