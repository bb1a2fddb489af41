/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A packed stream as the pieces of QEMU's stream that it stands for.
 */
#ifndef STREAM_PACKED_H
#define STREAM_PACKED_H

#include "stream-private.h"

/**
 * struct unpacker - a packed stream that is being read
 * @source: where it comes from.
 * @stats: counts it.
 * @buf: [0, @used) is what has been read; the chunk being used is [@pos, @chunk_end).
 * @pos: see @buf.
 * @chunk_end: see @buf.
 * @used: see @buf.
 * @type: of that chunk; 0 before the first.
 * @base: offset of @buf[0] in the packed stream.
 * @hash: of the chunks so far.
 * @eof: the source has ended.
 * @look_only: nobody wants the bytes that a table stands for.
 * @ended: the end record has been seen.
 * @reader: in a table: of its image.
 * @cursor: its entries.
 * @left: how many of them are still to come.
 * @image_ended: the image has been read to its end.
 * @words: TCE_BLOCK_MAX entries.
 * @made: entries that were written out so far.
 * @bytes: of QEMU's stream, given back so far.
 * @tables: packed ones so far.
 * @piece: for a source: what is left of a piece.
 * @piece_left: bytes of it.
 * @status: the first failure, and
 * @error: what it was.
 * @image_error: the reader's, which may only be that of its source.
 */
struct unpacker {
	struct tce_source source;
	struct tce_stream_stats *stats;
	uint8_t *buf;
	size_t pos, chunk_end, used;
	uint32_t type;
	uint64_t base;
	uint64_t hash;
	bool eof;
	bool look_only;
	bool ended;
	struct tce_reader *reader;
	struct tce_cursor cursor;
	uint64_t left;
	bool image_ended;
	uint64_t *words;
	uint64_t made;
	uint64_t bytes, tables;
	const uint8_t *piece;
	size_t piece_left;
	int status;
	struct tce_error error;
	struct tce_error image_error;
};

static inline uint64_t load_le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* Read the magic and the version. To be closed, also when this fails. */
int tce_open_unpacker(struct unpacker *unpacker);
void tce_close_unpacker(struct unpacker *unpacker);

/*
 * The next piece of QEMU's stream: at @piece, valid until the next call. Returns 1, 0 at the end,
 * or an error.
 */
int tce_next_piece(struct unpacker *unpacker, const uint8_t **piece, size_t *len);

/*
 * A table without making bytes of it. The first says whether the packed image of a table of
 * @entries comes next: 1, 0, or an error. After 1, the second gives its extents: 1, 0 at the
 * table's end, or an error.
 */
int tce_begin_packed_table(struct unpacker *unpacker, uint64_t entries);
int tce_next_packed_extent(struct unpacker *unpacker, struct tce_extent *extent);

#endif
