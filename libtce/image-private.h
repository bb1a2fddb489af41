/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the image reader share, and those of the image writer.
 */
#ifndef IMAGE_PRIVATE_H
#define IMAGE_PRIVATE_H

#include <zstd.h>

#include "hash.h"
#include "tce-private.h"
#include "tce_image.pb-c.h"

/* Small pieces of an image are collected up to this size before the sink gets them. */
#define OUT_SIZE 65536

/* Where a reader or a writer is. */
enum image_state {
	BETWEEN_TABLES,
	IN_TABLE,
	ENDED,
	FAILED,
};

/**
 * struct part - a table or an update of it
 * @update: it is an update.
 * @offset: of its next record.
 * @next: first entry that its next extent may have.
 * @extents: read so far.
 * @ended: there are no more.
 * @extent: the last one read.
 * @words: its entries.
 */
struct part {
	bool update;
	uint64_t offset;
	uint64_t next;
	uint64_t extents;
	bool ended;
	struct tce_extent extent;
	uint64_t *words;
};

/**
 * struct tce_reader - an image being read
 * @source: where it comes from.
 * @state: where in the image.
 * @offset: bytes read.
 * @record_offset: where the last record began.
 * @hash: of the magic and all records so far.
 * @tables: tables begun.
 * @version: of the image.
 * @in_order: parts are taken as they come.
 * @skipping: payloads are passed over.
 * @geometry: header of this table.
 * @parts: of this table, the oldest first. Read as they come, they are all the first one.
 * @part_count: how many.
 * @side_by_side: all of @parts are being read.
 * @index: first entry that has not been handed out, side by side.
 * @after: offset of what follows the last part.
 * @zstd: context to unpack with.
 * @buf: size word and the record that follows.
 * @stored: payload as stored.
 * @unpacked: list of runs, out of zstd.
 * @made_by: program that wrote the image.
 */
struct tce_reader {
	struct tce_source source;
	enum image_state state;
	uint64_t offset;
	uint64_t record_offset;
	XXH3_state_t *hash;
	uint64_t tables;
	uint32_t version;
	bool in_order;
	bool skipping;
	struct tce_geometry geometry;
	struct part parts[TCE_PARTS_MAX];
	unsigned int part_count;
	bool side_by_side;
	uint64_t index;
	uint64_t after;
	ZSTD_DCtx *zstd;
	uint8_t buf[4 + TCE_RECORD_MAX];
	uint8_t *stored;
	uint8_t *unpacked;
	char made_by[TCE_STRING_MAX + 1];
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
	enum image_state state;
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

/* The hash that an extent's record has: of what the record says and of the payload. */
uint64_t tce_hash_extent(const TceExtent *extent, const void *payload);

/* image-input.c: the bytes and the records of an image */
int tce_fail_reader(struct tce_reader *reader, struct tce_error *err, int code, int sys_errno,
		    const char *what);
int tce_read_image_bytes(struct tce_reader *reader, void *buf, size_t len, struct tce_error *err);
int tce_seek_image(struct tce_reader *reader, uint64_t offset, struct tce_error *err);
int tce_read_record(struct tce_reader *reader, TceRecord **record, size_t *length,
		    struct tce_error *err);
int tce_read_hashed_record(struct tce_reader *reader, TceRecord **record, struct tce_error *err);

/* image-extent.c: the extents of a part */
void tce_begin_part(struct part *part, bool update, uint64_t offset);
int tce_read_extent(struct tce_reader *reader, struct part *part, struct tce_extent *extent,
		    struct tce_error *err);

/* image-parts.c: a table and its updates, side by side */
int tce_scan_parts(struct tce_reader *reader, struct tce_error *err);
int tce_next_side_by_side(struct tce_reader *reader, struct tce_extent *extent,
			  struct tce_error *err);

/* image-output.c: the bytes and the records of an image that is being written */
int tce_fail_writer(struct tce_writer *writer, struct tce_error *err, int code, int sys_errno,
		    const char *what);
int tce_flush_writer(struct tce_writer *writer, struct tce_error *err);
int tce_write_image_bytes(struct tce_writer *writer, const void *buf, size_t len,
			  struct tce_error *err);
int tce_write_record(struct tce_writer *writer, const TceRecord *record, struct tce_error *err);

/* image-encode.c: the extents that say a block shortest */
int tce_write_pending_run(struct tce_writer *writer, struct tce_error *err);
int tce_encode_block(struct tce_writer *writer, uint64_t first, const uint64_t *words, size_t count,
		     struct tce_error *err);
int tce_encode_filled(struct tce_writer *writer, struct tce_error *err);
int tce_encode_update(struct tce_writer *writer, uint64_t first, const uint64_t *words,
		      size_t count, struct tce_error *err);

#endif
