// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A table sent or saved in rounds while its guest runs, by the kernel's dirty log: an image of
 * version 2 (proto/tce_image.proto), the first round of which is the table and each one after it an
 * update.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "tce-kvm.h"
#include "tce-private.h"

#define WORD_BITS 64 /* of the dirty log */
/* The log is fetched in steps of this many entries: a multiple of 32768, as it must be. */
#define LOG_STEP  (1ULL << 24)
#define LOG_WORDS ((LOG_STEP >> KVM_SPAPR_TCE_DIRTY_SHIFT) / WORD_BITS)

struct tce_sender {
	struct tce_table *table;
	struct tce_sink sink;
	struct tce_writer *writer;
	bool logged; /* the dirty log is on */
	bool ended;
	bool updating;	       /* this round's update has begun */
	uint64_t first, count; /* changed entries that are not put yet */
	uint64_t *words;       /* during an update */
	uint64_t bitmap[LOG_WORDS];
};

int tce_create_sender(struct tce_sender **result, struct tce_table *table,
		      const struct tce_sink *sink, struct tce_error *err)
{
	struct tce_sender *sender;

	if (!(table->geometry.known & TCE_KNOWN_ENTRIES))
		return tce_set_error(err, TCE_ERR_UNKNOWN, 0, "the number of entries is not known");
	sender = calloc(1, sizeof(*sender));
	if (!sender)
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory to send a table");
	sender->table = table;
	sender->sink = *sink;
	if (table->backend == TCE_BACKEND_KVM) {
		/* It starts before the first look at the table, so that no change is missed. */
		sender->logged = !ioctl(table->fd, KVM_SPAPR_TCE_START_DIRTY_LOG);
		if (!sender->logged && errno != ENOTTY) {
			int ret = tce_set_error(err, TCE_ERR_IO, errno,
						"cannot start the dirty log");

			free(sender);
			return ret;
		}
	}
	*result = sender;
	return TCE_OK;
}

/* A round in which nothing has changed is nothing. */
static int begin_update(struct tce_sender *sender, struct tce_error *err)
{
	int ret = tce_begin_update(sender->writer, err);

	if (ret)
		return ret;
	sender->updating = true;
	sender->words = malloc(TCE_PAYLOAD_MAX);
	if (!sender->words)
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for a block of entries");
	return TCE_OK;
}

/* Entries as they are now, the zeros too: they may have been others. */
static int put_entries(struct tce_sender *sender, uint64_t index, uint64_t count,
		       struct tce_error *err)
{
	const uint64_t end = index + count;
	uint64_t first, n;
	int ret = TCE_OK;

	if (count && !sender->updating) {
		ret = begin_update(sender, err);
		if (ret)
			return ret;
	}
	for (; !ret && index < end; index += n) {
		n = min_u64(end - index, TCE_BLOCK_MAX - index % TCE_BLOCK_MAX);
		if (count > TCE_BLOCK_MAX) {
			/* This is long enough to look for holes. */
			ret = tce_next_data(sender->table, index, &first, &n, err);
			if (ret < 0)
				return ret;
			first = ret ? min_u64(first, end) : end;
			ret = tce_put_zeros(sender->writer, index, first - index, err);
			index = first;
			n = min_u64(n, min_u64(end - index, TCE_BLOCK_MAX - index % TCE_BLOCK_MAX));
		}
		if (!ret && index < end)
			ret = tce_read_words(sender->table, index, sender->words, (size_t)n, err);
		if (!ret && index < end)
			ret = tce_put_words(sender->writer, index, sender->words, (size_t)n, err);
	}
	return ret;
}

/* Put what was added so far. */
static int put_added(struct tce_sender *sender, struct tce_round *round, struct tce_error *err)
{
	uint64_t count = sender->count;

	sender->count = 0;
	round->entries += count;
	return put_entries(sender, sender->first, count, err);
}

static int add_range(struct tce_sender *sender, uint64_t first, uint64_t count,
		     struct tce_round *round, struct tce_error *err)
{
	int ret = TCE_OK;

	if (sender->count && sender->first + sender->count == first) {
		sender->count += count;
		return TCE_OK;
	}
	ret = put_added(sender, round, err);
	sender->first = first;
	sender->count = count;
	return ret;
}

/* Fetching clears: what is changed from here on is in the next round, sent twice at the worst. */
static int put_logged(struct tce_sender *sender, struct tce_round *round, struct tce_error *err)
{
	const uint64_t entries = sender->table->geometry.entries;
	const uint64_t group = 1ULL << KVM_SPAPR_TCE_DIRTY_SHIFT;
	struct kvm_spapr_tce_dirty_log log = { .bitmap = (uintptr_t)sender->bitmap };
	uint64_t word, first;
	size_t i;
	int ret;

	for (log.first = 0; log.first < entries; log.first += log.count) {
		log.count = min_u64(entries - log.first, LOG_STEP);
		if (ioctl(sender->table->fd, KVM_SPAPR_TCE_GET_DIRTY_LOG, &log))
			return tce_set_table_error(sender->table, err, TCE_ERR_IO, errno, log.first,
						   "cannot fetch the dirty log");
		for (i = 0; i * WORD_BITS * group < log.count; i++) {
			for (word = le64toh(sender->bitmap[i]); word; word &= word - 1) {
				first = log.first +
					(i * WORD_BITS + (unsigned int)__builtin_ctzll(word)) *
						group;
				ret = add_range(sender, first, min_u64(group, entries - first),
						round, err);
				if (ret)
					return ret;
			}
		}
	}
	return put_added(sender, round, err);
}

static int put_update(struct tce_sender *sender, struct tce_round *round, struct tce_error *err)
{
	int ret;

	round->logged = sender->logged;
	if (sender->logged) {
		ret = put_logged(sender, round, err);
	} else {
		round->entries = sender->table->geometry.entries;
		ret = put_entries(sender, 0, round->entries, err);
	}
	if (!ret && sender->updating)
		ret = tce_end_table(sender->writer, err);
	sender->updating = false;
	free(sender->words);
	sender->words = NULL;
	return ret;
}

static int put_table(struct tce_sender *sender, struct tce_round *round, struct tce_error *err)
{
	int ret = tce_create_updates_writer(&sender->writer, &sender->sink, err);

	round->entries = sender->table->geometry.entries;
	return ret ? ret : tce_save_table(sender->table, sender->writer, NULL, err);
}

int tce_send_round(struct tce_sender *sender, bool last, struct tce_round *round,
		   struct tce_error *err)
{
	struct tce_round own;
	uint64_t before = 0;
	int ret;

	if (!round)
		round = &own;
	*round = (struct tce_round){ 0 };
	if (sender->ended)
		return tce_set_error(err, TCE_ERR_ARG, 0, "the last round has been sent");
	if (sender->writer) {
		before = tce_writer_size(sender->writer);
		ret = put_update(sender, round, err);
	} else {
		ret = put_table(sender, round, err);
	}
	if (!ret && last)
		ret = tce_end_image(sender->writer, err);
	sender->ended = last || ret;
	if (sender->writer)
		round->bytes = tce_writer_size(sender->writer) - before;
	return ret;
}

void tce_destroy_sender(struct tce_sender *sender)
{
	if (!sender)
		return;
	if (sender->logged)
		ioctl(sender->table->fd, KVM_SPAPR_TCE_STOP_DIRTY_LOG);
	tce_destroy_writer(sender->writer);
	free(sender);
}

/* Do these translate the same bus addresses, as far as both are known? */
static bool windows_agree(const struct tce_geometry *one, const struct tce_geometry *other)
{
	const unsigned int known = one->known & other->known;

	if (known & TCE_KNOWN_PAGE_SHIFT && one->page_shift != other->page_shift)
		return false;
	return !(known & TCE_KNOWN_BUS_OFFSET) || one->bus_offset == other->bus_offset;
}

int tce_receive_table(struct tce_table *table, const struct tce_source *source,
		      struct tce_error *err)
{
	uint64_t *words = malloc(TCE_PAYLOAD_MAX), done = 0;
	struct tce_geometry geometry;
	struct tce_extent extent;
	struct tce_reader *reader;
	int ret;

	if (!words)
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory to receive a table");
	ret = tce_create_reader(&reader, source, err);
	if (ret)
		goto out_free;
	tce_read_in_order(reader);
	ret = tce_next_table(reader, &geometry, err);
	if (!ret)
		ret = tce_set_error(err, TCE_ERR_CORRUPT, 0, "an image without a table");
	else if (ret > 0 && geometry.entries != table->geometry.entries)
		ret = tce_set_error(err, TCE_ERR_GEOMETRY, 0,
				    "the table sent has %" PRIu64
				    " entries, the one to fill %" PRIu64,
				    geometry.entries, table->geometry.entries);
	else if (ret > 0 && !windows_agree(&geometry, &table->geometry))
		ret = tce_set_error(err, TCE_ERR_GEOMETRY, 0,
				    "the table sent has another window than the one to fill");
	while (ret > 0) {
		while ((ret = tce_next_extent(reader, &extent, err)) > 0) {
			ret = tce_load_extent(table, &extent, words, &done, NULL, err);
			if (ret < 0)
				break;
		}
		if (!ret)
			ret = tce_next_update(reader, err);
	}
	tce_destroy_reader(reader);
out_free:
	free(words);
	return ret;
}
