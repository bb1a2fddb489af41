/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The picture of a table: once, for --map, or again and again, for --watch.
 */
#ifndef TCE_TOOLS_MAP_H
#define TCE_TOOLS_MAP_H

#include "dump/dump.h"

/* A picture is at most so wide and so high, in cells. */
#define MAP_COLUMNS_MAX 512
#define MAP_ROWS_MAX	16

/* Lines above it. On a narrow terminal the first takes two. */
#define MAP_HEADER	 2
#define MAP_HEADER_WIDTH 72

/**
 * struct map - a picture of a table
 * @columns: cells in a row.
 * @cells: cells in all.
 * @per_cell: entries that a cell stands for.
 * @used: of the entries of each cell, those that are not zero.
 * @sums: of each cell: changes when an entry does.
 */
struct map {
	uint64_t columns;
	uint64_t cells;
	uint64_t per_cell;
	uint64_t used[MAP_COLUMNS_MAX * MAP_ROWS_MAX];
	uint64_t sums[MAP_COLUMNS_MAX * MAP_ROWS_MAX];
};

/**
 * map_columns() - how many cells fit into a row
 *
 * Return: as many as the terminal on standard output has room for; 64 where there is none.
 */
uint64_t map_columns(void);

/**
 * fill_map() - make the picture of the table that a source stands at
 * @map: filled in.
 * @source: the source.
 * @geometry: header of the table.
 * @columns: cells in a row.
 * @rows: rows, at most.
 * @totals: receives the sums.
 * @err: what failed.
 *
 * Return: 0, or a negative status.
 */
int fill_map(struct map *map, struct source *source, const struct tce_geometry *geometry,
	     uint64_t columns, uint64_t rows, struct totals *totals, struct tce_error *err);

/**
 * print_map() - print a picture
 * @geometry: header of the table.
 * @map: the picture.
 * @totals: the sums.
 * @before: the picture before, of as many cells: what has changed is shown in reverse; or NULL.
 * @line_end: what each line ends with.
 */
void print_map(const struct tce_geometry *geometry, const struct map *map,
	       const struct totals *totals, const struct map *before, const char *line_end);

#endif /* TCE_TOOLS_MAP_H */
