// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Occupancy of tables as a picture in the terminal: a cell is a stretch of the window, the darker
 * the more of its entries are used.
 */
#include <inttypes.h>
#include <langinfo.h>
#include <string.h>

#include "dump/dump.h"

#define COLUMNS	  64
#define ROWS_MAX  16
#define CELLS_MAX (COLUMNS * ROWS_MAX)

struct map {
	uint64_t per_cell;
	uint64_t used[CELLS_MAX];
};

static void fill_cells(void *ctx, const struct run *run)
{
	struct map *map = ctx;
	uint64_t first = run->first, count = run->count;

	while (count) {
		uint64_t cell = first / map->per_cell;
		uint64_t n = map->per_cell - first % map->per_cell;

		if (n > count)
			n = count;
		map->used[cell] += n;
		first += n;
		count -= n;
	}
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

static void print_map(const struct tce_geometry *geometry, const struct map *map,
		      const struct totals *totals)
{
	const uint64_t entries = geometry->entries;
	const bool has_ioba = knows_ioba(geometry);
	uint64_t cell, cells = (entries + map->per_cell - 1) / map->per_cell;
	char name[TABLE_NAME_SIZE];

	printf("%s: %" PRIu64 " of %" PRIu64 " entries used; a cell is %" PRIu64
	       " entries, a row from %s\n",
	       format_table(geometry, name), totals->used, entries, map->per_cell,
	       has_ioba ? "IOBA" : "index");
	for (cell = 0; cell < cells; cell++) {
		uint64_t first = cell * map->per_cell;
		uint64_t all = entries - first < map->per_cell ? entries - first : map->per_cell;

		if (!(cell % COLUMNS))
			printf("  0x%016" PRIx64 " |",
			       has_ioba ? tce_ioba(geometry, first) : first);
		fputs(shade(map->used[cell], all), stdout);
		if (cell % COLUMNS == COLUMNS - 1 || cell + 1 == cells)
			printf("|\n");
	}
}

int view_map(struct source *source, const struct choice *choice, bool *no, struct tce_error *err)
{
	struct tce_geometry geometry;
	struct totals totals;
	int tables = 0, ret;

	while ((ret = next_chosen_table(source, choice, &geometry, err)) > 0) {
		struct map map = { .per_cell = (geometry.entries - 1) / CELLS_MAX + 1 };

		ret = walk_runs(source, &geometry, fill_cells, &map, &totals, err);
		if (ret < 0)
			break;
		if (tables++)
			printf("\n");
		print_map(&geometry, &map, &totals);
	}
	return ret < 0 ? ret : tables;
}
