/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A migration stream there and back, and what was seen of its tables on the way.
 */
#ifndef TCE_TESTS_STREAM_TRIP_H
#define TCE_TESTS_STREAM_TRIP_H

#include "stream-maker.h"
#include "tce-stream.h"
#include "unit.h"

/**
 * struct seen - what the hooks have seen
 * @tables: the tables that have ended.
 * @count: how many.
 * @words: entries of the last table.
 * @xor: what the entries are changed by.
 */
struct seen {
	struct tce_stream_table tables[8];
	size_t count;
	uint64_t words[64];
	uint64_t xor ;
};

/* Hooks, of which the context is a struct seen. */
int see_begin(void *ctx, const struct tce_stream_table *table, struct tce_error *err);
int see_words(void *ctx, const struct tce_stream_table *table, uint64_t index, uint64_t *words,
	      size_t count, struct tce_error *err);
int see_end(void *ctx, const struct tce_stream_table *table, struct tce_error *err);

/* Pack a stream that comes in pieces of @piece bytes, or of any size. */
int pack(const uint8_t *data, size_t size, struct memory *packed, size_t piece,
	 struct tce_stream_stats *stats, struct tce_error *err);

int unpack(const uint8_t *data, size_t size, struct memory *out,
	   const struct tce_stream_hooks *hooks, struct tce_stream_stats *stats,
	   struct tce_error *err);

/* Pack, unpack both ways, compare. Returns what packing returned. */
int round_trip(const struct maker *m, size_t piece, struct tce_stream_stats *stats);

/* What comes next is not understood: it passes, and the reason says @says. Frees @m. */
void check_untouched(struct maker *m, const char *says);

/* The stream fails with @code, and the message says @says. Frees @m. */
void check_refused(struct maker *m, int code, const char *says);

#endif
