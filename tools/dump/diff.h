/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the two files that compare sources.
 */
#ifndef TCE_TOOLS_DIFF_H
#define TCE_TOOLS_DIFF_H

#include "dump/dump.h"

#define DIFF_BLOCK 4096

/**
 * struct side - one of the two sources
 * @source: the source.
 * @choice: which tables of it.
 * @geometry: header of the table.
 * @extent: piece that is being compared; no piece when its count is 0.
 * @left: entries of @extent that are still to be compared.
 * @ended: no piece follows.
 * @block: some of its entries.
 */
struct side {
	struct source *source;
	const struct choice *choice;
	struct tce_geometry geometry;
	struct tce_extent extent;
	uint64_t left;
	bool ended;
	uint64_t block[DIFF_BLOCK];
};

/**
 * struct diff - a comparison
 * @a: one side.
 * @b: the other.
 * @entries: of the tables that are being compared.
 * @differences: entries of them that differ.
 * @lines_max: how many of these are printed.
 * @json: print JSON.
 * @differ: something differs.
 * @tables: how many tables the result has so far.
 */
struct diff {
	struct side a;
	struct side b;
	uint64_t entries;
	uint64_t differences;
	uint64_t lines_max;
	bool json;
	bool differ;
	uint64_t tables;
};

/**
 * compare_tables() - compare the tables that both sides stand at
 * @diff: the comparison; its @differ is set when they differ.
 * @err: what failed.
 *
 * Return: 0, or a negative status.
 */
int compare_tables(struct diff *diff, struct tce_error *err);

/*
 * diff-print.c: the result, from begin_result() to end_result(), for people or as JSON. Between
 * begin_table() and end_table() come the first differences of a table. Nothing is printed with
 * --quiet.
 */
void begin_result(struct diff *diff, const char *left, const char *right);
void print_only_in(struct diff *diff, const struct tce_geometry *geometry, bool left,
		   const char *name);
bool print_geometry_difference(struct diff *diff, const struct tce_geometry *a,
			       const struct tce_geometry *b);
void begin_table(struct diff *diff, const struct tce_geometry *geometry);
void print_difference(struct diff *diff, uint64_t index, uint64_t a, uint64_t b);
void end_table(struct diff *diff);
void end_result(struct diff *diff, int compared);

#endif /* TCE_TOOLS_DIFF_H */
