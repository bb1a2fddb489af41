/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the two files that compare sources.
 */
#ifndef TCE_TOOLS_DIFF_H
#define TCE_TOOLS_DIFF_H

#include "dump/dump.h"

#define DIFF_BLOCK	4096

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
 */
struct diff {
	struct side a;
	struct side b;
	uint64_t entries;
	uint64_t differences;
	uint64_t lines_max;
};

/**
 * print_place() - begin a line of the result with a table's name
 * @geometry: header of the table.
 */
void print_place(const struct tce_geometry *geometry);

/**
 * compare_tables() - compare the tables that both sides stand at
 * @diff: the comparison.
 * @differ: set when they differ.
 * @err: what failed.
 *
 * Return: 0, or a negative status.
 */
int compare_tables(struct diff *diff, bool *differ, struct tce_error *err);

#endif /* TCE_TOOLS_DIFF_H */
