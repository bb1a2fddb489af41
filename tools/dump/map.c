// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Occupancy of tables as a picture in the terminal: a cell is a stretch of the window, the darker
 * the more of its entries are used.
 */
#include <inttypes.h>
#include <langinfo.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dump/map.h"

/* If there is no terminal to ask. */
#define COLUMNS_DEFAULT 64
#define COLUMNS_MIN	8

/* What stands in a row beside the cells: two blanks, an address and two bars. */
#define MARGIN 23

/* Weights of entries in a cell's sum: any odd numbers with many bits. */
#define WEIGHT_FIRST 0x9e3779b97f4a7c15ULL
#define WEIGHT_STEP  0xbf58476d1ce4e5b9ULL

uint64_t map_columns(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col)
		return COLUMNS_DEFAULT;
	if (size.ws_col < COLUMNS_MIN + MARGIN)
		return COLUMNS_MIN;
	return size.ws_col - MARGIN < MAP_COLUMNS_MAX ? size.ws_col - MARGIN : MAP_COLUMNS_MAX;
}

/*
 * The sum of weighted entries, modulo 2^64, in one step for a run of any length. It does not
 * depend on how the entries were cut into runs.
 */
static uint64_t sum_run(uint64_t first, uint64_t count, uint64_t tce, uint64_t stride)
{
	const uint64_t weight = WEIGHT_FIRST + first * WEIGHT_STEP;
	uint64_t a = count, b = count - 1, c = 2 * count - 1, ones, squares;

	/* n (n - 1) / 2 and n (n - 1) (2n - 1) / 6: divided before they are multiplied */
	*(a % 2 ? &b : &a) /= 2;
	ones = a * b;
	*(!(a % 3) ? &a : !(b % 3) ? &b : &c) /= 3;
	squares = a * b * c;
	return count * tce * weight + (tce * WEIGHT_STEP + stride * weight) * ones +
	       stride * WEIGHT_STEP * squares;
}

static void fill_cells(void *ctx, const struct run *run)
{
	struct map *map = ctx;
	uint64_t first = run->first, count = run->count, tce = run->tce;

	while (count) {
		uint64_t cell = first / map->per_cell;
		uint64_t n = map->per_cell - first % map->per_cell;

		if (n > count)
			n = count;
		map->used[cell] += n;
		map->sums[cell] += sum_run(first, n, tce, run->stride);
		first += n;
		count -= n;
		tce += n * run->stride;
	}
}

int fill_map(struct map *map, struct source *source, const struct tce_geometry *geometry,
	     uint64_t columns, uint64_t rows, struct totals *totals, struct tce_error *err)
{
	memset(map, 0, sizeof(*map));
	map->columns = columns;
	map->per_cell = (geometry->entries - 1) / (columns * rows) + 1;
	map->cells = (geometry->entries - 1) / map->per_cell + 1;
	return walk_runs(source, geometry, fill_cells, map, totals, err);
}

static const char *shade(uint64_t used, uint64_t all)
{
	static const char *const ascii[] = { " ", ".", ":", "+", "#" };
	static const char *const blocks[] = {
		" ", "\u2591", "\u2592", "\u2593", "\u2588",
	};
	const char *const *shades = strcmp(nl_langinfo(CODESET), "UTF-8") ? ascii : blocks;

	if (!used)
		return shades[0];
	if (used == all)
		return shades[4];
	return shades[1 + used * 3 / all];
}

static void print_cell(const struct map *map, uint64_t cell, uint64_t all, const struct map *before)
{
	const bool changed = before && map->sums[cell] != before->sums[cell];

	printf("%s%s%s", changed ? "\033[7m" : "", shade(map->used[cell], all),
	       changed ? "\033[27m" : "");
}

void print_map(const struct tce_geometry *geometry, const struct map *map,
	       const struct totals *totals, const struct map *before, const char *line_end)
{
	const uint64_t entries = geometry->entries;
	const bool has_ioba = knows_ioba(geometry);
	char name[TABLE_NAME_SIZE];
	uint64_t cell, first, all;

	printf("%s: %" PRIu64 " of %" PRIu64 " entries used%s", format_table(geometry, name),
	       totals->used, entries, line_end);
	printf("  a cell is %" PRIu64 " entr%s, a row from %s%s", map->per_cell,
	       map->per_cell == 1 ? "y" : "ies", has_ioba ? "IOBA" : "index", line_end);
	for (cell = 0; cell < map->cells; cell++) {
		first = cell * map->per_cell;
		all = entries - first < map->per_cell ? entries - first : map->per_cell;
		if (!(cell % map->columns))
			printf("  0x%016" PRIx64 " |",
			       has_ioba ? tce_ioba(geometry, first) : first);
		print_cell(map, cell, all, before);
		if (cell % map->columns == map->columns - 1 || cell + 1 == map->cells)
			printf("|%s", line_end);
	}
}

int view_map(struct source *source, const struct choice *choice, bool *no, struct tce_error *err)
{
	const uint64_t columns = map_columns();
	struct tce_geometry geometry;
	static struct map map;
	struct totals totals;
	int tables = 0, ret;

	while ((ret = next_chosen_table(source, choice, &geometry, err)) > 0) {
		ret = fill_map(&map, source, &geometry, columns, MAP_ROWS_MAX, &totals, err);
		if (ret < 0)
			break;
		if (tables++)
			printf("\n");
		print_map(&geometry, &map, &totals, NULL, "\n");
	}
	return ret < 0 ? ret : tables;
}
