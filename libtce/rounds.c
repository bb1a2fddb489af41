// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A table sent in rounds while its guest runs, by the kernel's dirty log. Little-endian:
 *
 *	u32 magic		bytes 89 54 43 52 (0x89 "TCR")
 *	u32 version		1
 *	u64 entries		of the table
 *	any number of pieces:
 *		u32 ranges	at most 4096
 *		u32 last	1: nothing follows
 *		for each range:	u64 first, u64 count
 *		u64 hash	XXH3-64 of the piece up to here
 *		without ranges nothing, else a TCE image of one table: the ranges' entries one
 *		after the other
 * A round is one piece, or several when it has more ranges.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <xxhash.h>

#include "tce-kvm.h"
#include "tce-private.h"
#include "tce-stream.h"

#define ROUNDS_MAGIC	0x52435489U
#define ROUNDS_VERSION	1
#define RANGES_MAX	4096
#define HEAD_SIZE	16
#define PIECE_MAX	(8 + RANGES_MAX * 16 + 8)

/* The log is fetched in steps of this many entries: a multiple of 32768, as it must be. */
#define LOG_STEP	(1ULL << 24)
#define LOG_WORDS	(LOG_STEP >> KVM_SPAPR_TCE_DIRTY_SHIFT >> 6)

struct range {
	uint64_t first, count;
};

struct tce_sender {
	struct tce_table *table;
	struct tce_sink sink;
	bool logged;			/* the dirty log is on */
	bool began, ended;
	uint64_t bytes;			/* of this round */
	struct range ranges[RANGES_MAX];
	unsigned int count;
	uint64_t bitmap[LOG_WORDS];
	uint64_t words[TCE_BLOCK_MAX];
	uint8_t piece[PIECE_MAX];
};

static uint64_t load_le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static int counted_write(void *ctx, const void *buf, size_t len)
{
	struct tce_sender *sender = ctx;

	sender->bytes += len;
	return sender->sink.write(sender->sink.ctx, buf, len);
}

static int put(struct tce_sender *sender, const void *buf, size_t len, struct tce_error *err)
{
	int ret = counted_write(sender, buf, len);

	return ret ? tce_set_error(err, TCE_ERR_IO, -ret, "cannot send a table") : TCE_OK;
}

int tce_create_sender(struct tce_sender **result, struct tce_table *table,
		      const struct tce_sink *sink, struct tce_error *err)
{
	struct tce_sender *sender;

	if (!(table->geometry.known & TCE_KNOWN_ENTRIES))
		return tce_set_error(err, TCE_ERR_UNKNOWN, 0, "the number of entries is not known");
	sender = calloc(1, sizeof(*sender));
	if (!sender)
		return tce_set_error(err, TCE_ERR_NOMEM, ENOMEM, "no memory to send a table");
	sender->table = table;
	sender->sink = *sink;
	if (table->backend == TCE_BACKEND_KVM) {
		/* started before the first look at the table, so that no change is missed */
		sender->logged = !ioctl(table->fd, KVM_SPAPR_TCE_START_DIRTY_LOG);
		if (!sender->logged && errno != ENOTTY) {
			int ret = tce_set_error(err, TCE_ERR_IO, errno, "cannot start the dirty log");

			free(sender);
			return ret;
		}
	}
	*result = sender;
	return TCE_OK;
}

/* The ranges' entries, zeros that are holes not looked at. */
static int put_range(struct tce_sender *sender, struct tce_writer *writer, uint64_t at,
		     const struct range *range, struct tce_error *err)
{
	uint64_t index = range->first, end = range->first + range->count, first, count;
	int ret;

	while (index < end) {
		ret = tce_next_data(sender->table, index, &first, &count, err);
		if (ret <= 0)
			return ret;
		if (first >= end)
			return TCE_OK;
		count = min_u64(min_u64(count, end - first), TCE_BLOCK_MAX);
		ret = tce_read_words(sender->table, first, sender->words, (size_t)count, err);
		if (!ret)
			ret = tce_put_words(writer, at + (first - range->first), sender->words,
					    (size_t)count, err);
		if (ret)
			return ret;
		index = first + count;
	}
	return TCE_OK;
}

static int put_piece(struct tce_sender *sender, bool last, struct tce_round *round,
		     struct tce_error *err)
{
	struct tce_geometry geometry = { .known = TCE_KNOWN_ENTRIES };
	struct tce_sink sink = { counted_write, sender };
	struct tce_writer *writer;
	uint8_t *p = sender->piece;
	uint64_t at = 0;
	unsigned int i;
	int ret;

	store_le32(p, sender->count);
	store_le32(p + 4, last);
	for (i = 0, p += 8; i < sender->count; i++, p += 16) {
		store_le64(p, sender->ranges[i].first);
		store_le64(p + 8, sender->ranges[i].count);
		geometry.entries += sender->ranges[i].count;
	}
	store_le64(p, XXH3_64bits(sender->piece, (size_t)(p - sender->piece)));
	ret = put(sender, sender->piece, (size_t)(p + 8 - sender->piece), err);
	if (ret || !sender->count)
		return ret;

	ret = tce_create_writer(&writer, &sink, NULL, err);
	if (ret)
		return ret;
	ret = tce_begin_table(writer, &geometry, err);
	for (i = 0; !ret && i < sender->count; i++) {
		ret = put_range(sender, writer, at, &sender->ranges[i], err);
		at += sender->ranges[i].count;
	}
	if (!ret)
		ret = tce_end_table(writer, err);
	if (!ret)
		ret = tce_end_image(writer, err);
	tce_destroy_writer(writer);
	sender->count = 0;
	round->entries += geometry.entries;
	return ret;
}

static int add_range(struct tce_sender *sender, uint64_t first, uint64_t count,
		     struct tce_round *round, struct tce_error *err)
{
	struct range *before = sender->count ? &sender->ranges[sender->count - 1] : NULL;

	if (before && before->first + before->count == first) {
		before->count += count;
		return TCE_OK;
	}
	if (sender->count == RANGES_MAX) {
		int ret = put_piece(sender, false, round, err);

		if (ret)
			return ret;
	}
	sender->ranges[sender->count++] = (struct range) { first, count };
	return TCE_OK;
}

/* Fetching clears: what is changed from here on is in the next round, sent twice at the worst. */
static int add_logged(struct tce_sender *sender, struct tce_round *round, struct tce_error *err)
{
	const uint64_t entries = sender->table->geometry.entries;
	const uint64_t group = 1ULL << KVM_SPAPR_TCE_DIRTY_SHIFT;
	struct kvm_spapr_tce_dirty_log log = { .bitmap = (uintptr_t)sender->bitmap };
	const uint8_t *bits = (const uint8_t *)sender->bitmap;
	uint64_t n, groups, first;
	int ret;

	for (log.first = 0; log.first < entries; log.first += log.count) {
		log.count = min_u64(entries - log.first, LOG_STEP);
		if (ioctl(sender->table->fd, KVM_SPAPR_TCE_GET_DIRTY_LOG, &log))
			return tce_set_table_error(sender->table, err, TCE_ERR_IO, errno, log.first,
						   "cannot fetch the dirty log");
		groups = (log.count + group - 1) / group;
		for (n = 0; n < groups; n++) {
			if (!(bits[n / 8] >> n % 8 & 1))
				continue;
			first = log.first + n * group;
			ret = add_range(sender, first, min_u64(group, entries - first), round, err);
			if (ret)
				return ret;
		}
	}
	return TCE_OK;
}

int tce_send_round(struct tce_sender *sender, bool last, struct tce_round *round,
		   struct tce_error *err)
{
	struct tce_round own;
	uint8_t head[HEAD_SIZE];
	int ret = TCE_OK;

	if (!round)
		round = &own;
	*round = (struct tce_round) { .logged = sender->logged && sender->began };
	if (sender->ended)
		return tce_set_error(err, TCE_ERR_ARG, 0, "the last round has been sent");
	sender->bytes = 0;
	if (!sender->began) {
		store_le32(head, ROUNDS_MAGIC);
		store_le32(head + 4, ROUNDS_VERSION);
		store_le64(head + 8, sender->table->geometry.entries);
		ret = put(sender, head, sizeof(head), err);
	}
	if (!ret && round->logged)
		ret = add_logged(sender, round, err);
	else if (!ret)
		ret = add_range(sender, 0, sender->table->geometry.entries, round, err);
	if (!ret)
		ret = put_piece(sender, last, round, err);
	sender->began = true;
	sender->ended = last || ret;
	round->bytes = sender->bytes;
	return ret;
}

void tce_destroy_sender(struct tce_sender *sender)
{
	if (!sender)
		return;
	if (sender->logged)
		ioctl(sender->table->fd, KVM_SPAPR_TCE_STOP_DIRTY_LOG);
	free(sender);
}

static int take(const struct tce_source *source, void *buf, size_t len, struct tce_error *err)
{
	size_t got;
	int ret = tce_read_fully(source, buf, len, &got);

	if (ret < 0)
		return tce_set_error(err, TCE_ERR_IO, -ret, "cannot receive a table");
	if (got < len)
		return tce_set_error(err, TCE_ERR_TORN, 0, "the table's last round is missing");
	return TCE_OK;
}

static int corrupt(struct tce_error *err, const char *what)
{
	return tce_set_error(err, TCE_ERR_CORRUPT, 0, "received table: %s", what);
}

/* Zeros are cleared, a log group at a time, so that a sparse table stays one. */
static int store(struct tce_table *table, uint64_t index, const uint64_t *words, size_t count,
		 struct tce_error *err)
{
	const size_t group = 1 << KVM_SPAPR_TCE_DIRTY_SHIFT;
	size_t i, n;
	uint64_t any;
	int ret;

	for (; count; index += n, words += n, count -= n) {
		n = count < group ? count : group;
		for (i = 0, any = 0; i < n; i++)
			any |= words[i];
		ret = any ? tce_write_words(table, index, words, n, NULL, err) :
			    tce_clear_words(table, index, n, err);
		if (ret)
			return ret;
	}
	return TCE_OK;
}

static int receive_image(struct tce_table *table, const struct tce_source *source,
			 const uint8_t *ranges, unsigned int count, uint64_t *words,
			 struct tce_error *err)
{
	struct tce_geometry geometry;
	struct tce_reader *reader;
	struct tce_cursor cursor;
	uint64_t total = 0, index, end;
	size_t step;
	unsigned int i;
	int ret;

	for (i = 0; i < count; i++)
		total += load_le64(ranges + 16 * i + 8);
	ret = tce_create_reader(&reader, source, err);
	if (ret)
		return ret;
	ret = tce_next_table(reader, &geometry, err);
	if (ret > 0 && geometry.entries != total)
		ret = corrupt(err, "the image is not that of the ranges");
	else if (ret >= 0)
		ret = ret ? TCE_OK : corrupt(err, "an image without a table");
	tce_begin_cursor(&cursor, reader);
	for (i = 0; !ret && i < count; i++) {
		index = load_le64(ranges + 16 * i);
		end = index + load_le64(ranges + 16 * i + 8);
		for (; !ret && index < end; index += step) {
			step = (size_t)min_u64(end - index, TCE_BLOCK_MAX);
			ret = tce_cursor_words(&cursor, words, step, err);
			if (!ret)
				ret = store(table, index, words, step, err);
		}
	}
	if (!ret) {
		ret = tce_next_table(reader, &geometry, err);
		if (ret > 0)
			ret = corrupt(err, "an image of more than one table");
	}
	tce_destroy_reader(reader);
	return ret;
}

int tce_receive_table(struct tce_table *table, const struct tce_source *source,
		      struct tce_error *err)
{
	uint64_t entries = table->geometry.entries, next, first, count;
	uint64_t *words = malloc(TCE_BLOCK_MAX * sizeof(*words));
	uint8_t *piece = malloc(PIECE_MAX);
	uint32_t ranges, last = 0, i;
	uint8_t head[HEAD_SIZE];
	size_t size;
	int ret;

	if (!words || !piece) {
		ret = tce_set_error(err, TCE_ERR_NOMEM, ENOMEM, "no memory to receive a table");
		goto out;
	}
	ret = take(source, head, sizeof(head), err);
	if (ret)
		goto out;
	if (load_le32(head) != ROUNDS_MAGIC)
		ret = tce_set_error(err, TCE_ERR_NOT_IMAGE, 0, "not a table in rounds");
	else if (load_le32(head + 4) != ROUNDS_VERSION)
		ret = tce_set_error(err, TCE_ERR_VERSION, 0, "version %u of rounds is not known",
				    load_le32(head + 4));
	else if (load_le64(head + 8) != entries)
		ret = tce_set_error(err, TCE_ERR_GEOMETRY, 0,
				    "the table sent has %llu entries, the one to fill %llu",
				    (unsigned long long)load_le64(head + 8),
				    (unsigned long long)entries);
	while (!ret && !last) {
		ret = take(source, piece, 8, err);
		if (ret)
			break;
		ranges = load_le32(piece);
		last = load_le32(piece + 4);
		if (ranges > RANGES_MAX || last > 1) {
			ret = tce_set_error(err, TCE_ERR_LIMIT, 0, "a round of %u ranges", ranges);
			break;
		}
		size = 8 + (size_t)ranges * 16;
		ret = take(source, piece + 8, size, err);
		if (ret)
			break;
		if (load_le64(piece + size) != XXH3_64bits(piece, size)) {
			ret = corrupt(err, "a round's hash does not agree with it");
			break;
		}
		for (i = 0, next = 0; !ret && i < ranges; i++) {
			first = load_le64(piece + 8 + 16 * i);
			count = load_le64(piece + 16 + 16 * i);
			if (first < next || first >= entries || !count || count > entries - first)
				ret = corrupt(err, "a range is not inside the table");
			next = first + count;
		}
		if (!ret && ranges)
			ret = receive_image(table, source, piece + 8, ranges, words, err);
	}
out:
	free(words);
	free(piece);
	return ret;
}
