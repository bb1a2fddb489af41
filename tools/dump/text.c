// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The readable view: header, runs with their permissions, totals.
 */
#include <inttypes.h>
#include <string.h>

#include "dump/dump.h"

/* Without --all, a table that is nothing but short runs does not scroll away the rest. */
#define LINES_MAX 32

struct text {
	const struct tce_geometry *geometry;
	uint64_t lines;
	uint64_t lines_max;
};

/* A size that is a power of two times something small: 4 KiB, 1 GiB, 512 MiB. */
static void print_size(uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	size_t unit = 0;

	while (bytes >= 1024 && !(bytes % 1024) && unit + 1 < ARRAY_SIZE(units)) {
		bytes /= 1024;
		unit++;
	}
	printf("%" PRIu64 " %s", bytes, units[unit]);
}

void print_header(struct source *source, const struct tce_geometry *geometry)
{
	struct tce_table_stats stats;
	char name[TABLE_NAME_SIZE];

	printf("%s\n", format_table(geometry, name));
	if (geometry->origin[0]) {
		printf("  from      ");
		print_text(stdout, geometry->origin);
		printf("\n");
	}
	printf("  page      ");
	if (geometry->known & TCE_KNOWN_PAGE_SHIFT) {
		print_size(1ULL << geometry->page_shift);
		printf(" (shift %u)\n", geometry->page_shift);
	} else {
		printf("size unknown\n");
	}
	printf("  window    ");
	if (knows_ioba(geometry)) {
		printf("0x%" PRIx64 "-0x%" PRIx64 " (", geometry->bus_offset,
		       tce_ioba(geometry, geometry->entries) - 1);
		print_size(geometry->entries << geometry->page_shift);
		printf("), ");
	} else if (geometry->known & TCE_KNOWN_BUS_OFFSET) {
		printf("from 0x%" PRIx64 ", ", geometry->bus_offset);
	} else {
		printf("bus offset unknown, ");
	}
	printf("%s%" PRIu64 " entries\n", geometry->known & TCE_KNOWN_ENTRIES ? "" : "at most ",
	       geometry->entries);

	if (source->ops->read_stats && !source->ops->read_stats(source, &stats, NULL))
		printf("  kernel    %" PRIu64 " host pages allocated, %" PRIu64
		       " hardware tables, dirty log %s\n",
		       stats.allocated_pages, stats.hw_tables, stats.dirty_log ? "on" : "off");
}

static void print_run(void *ctx, const struct run *run)
{
	struct text *text = ctx;
	const struct tce_geometry *geometry = text->geometry;
	const bool has_ioba = knows_ioba(geometry);
	char stride[24] = "";

	if (text->lines++ >= text->lines_max)
		return;
	if (text->lines == 1)
		printf("  %-33s %10s  %-18s  %-12s  %s\n", has_ioba ? "IOBA" : "index", "entries",
		       "TCE", "stride", "access");
	if (run->count > 1)
		snprintf(stride, sizeof(stride), "%c0x%" PRIx64, run->stride >> 63 ? '-' : '+',
			 run->stride >> 63 ? -run->stride : run->stride);
	if (has_ioba)
		printf("  %016" PRIx64 "-%016" PRIx64, tce_ioba(geometry, run->first),
		       tce_ioba(geometry, run->first + run->count) - 1);
	else
		printf("  %016" PRIx64 "-%016" PRIx64, run->first, run->first + run->count - 1);
	printf(" %10" PRIu64 "  0x%016" PRIx64 "  %-12s  %s\n", run->count, run->tce, stride,
	       run_access(run));
}

static void print_totals(const struct text *text, const struct totals *totals)
{
	if (text->lines > text->lines_max)
		printf("  ... and %" PRIu64 " more runs (--all shows them)\n",
		       text->lines - text->lines_max);
	printf("  total     %" PRIu64 " of %" PRIu64 " entries used, in %" PRIu64 " run%s",
	       totals->used, text->geometry->entries, totals->runs, totals->runs == 1 ? "" : "s");
	if (totals->used)
		printf(": %" PRIu64 " read-write, %" PRIu64 " read-only, %" PRIu64
		       " write-only, %" PRIu64 " poison",
		       totals->access[3], totals->access[1], totals->access[2], totals->access[0]);
	printf("\n");
}

int view_text(struct source *source, const struct choice *choice, bool *no, struct tce_error *err)
{
	struct tce_geometry geometry;
	int tables = 0, ret;

	if (choice->json)
		return view_json(source, choice, err);
	while ((ret = next_chosen_table(source, choice, &geometry, err)) > 0) {
		struct text text = {
			.geometry = &geometry,
			.lines_max = choice->all ? UINT64_MAX : LINES_MAX,
		};
		struct totals totals;

		if (tables++)
			printf("\n");
		print_header(source, &geometry);
		ret = walk_runs(source, &geometry, print_run, &text, &totals, err);
		if (ret < 0)
			break;
		print_totals(&text, &totals);
	}
	return ret < 0 ? ret : tables;
}
