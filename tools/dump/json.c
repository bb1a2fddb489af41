// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The view for programs. Written as it is read, since a table may have more runs than memory
 * would hold. 64-bit values are strings: many readers of JSON keep numbers as doubles.
 */
#include <inttypes.h>

#include "dump/dump.h"

struct json {
	const struct tce_geometry *geometry;
	uint64_t runs;
};

static void print_json_run(void *ctx, const struct run *run)
{
	struct json *json = ctx;
	const struct tce_geometry *geometry = json->geometry;

	printf("%s\n\t\t\t{\"first\": %" PRIu64 ", \"count\": %" PRIu64, json->runs++ ? "," : "",
	       run->first, run->count);
	if (knows_ioba(geometry))
		printf(", \"ioba\": \"0x%" PRIx64 "\"", tce_ioba(geometry, run->first));
	printf(", \"tce\": \"0x%016" PRIx64 "\", \"stride\": \"0x%" PRIx64
	       "\", \"access\": \"%s\"}",
	       run->tce, run->stride, run_access(run));
}

void print_json_header(struct source *source, const struct tce_geometry *geometry)
{
	struct tce_table_stats stats;

	/* What is not known is null, never a guess. */
	printf("{\n\t\t");
	print_json_name(geometry);
	printf(",\n\t\t\"page_shift\": ");
	if (geometry->known & TCE_KNOWN_PAGE_SHIFT)
		printf("%u", geometry->page_shift);
	else
		printf("null");
	printf(",\n\t\t\"bus_offset\": ");
	if (geometry->known & TCE_KNOWN_BUS_OFFSET)
		printf("\"0x%" PRIx64 "\"", geometry->bus_offset);
	else
		printf("null");
	printf(",\n\t\t\"entries\": %" PRIu64 ",\n\t\t\"entries_exact\": %s", geometry->entries,
	       geometry->known & TCE_KNOWN_ENTRIES ? "true" : "false");
	printf(",\n\t\t\"flags\": %u,\n\t\t\"origin\": ", geometry->flags);
	print_json_string(stdout, geometry->origin);
	if (source->ops->read_stats && !source->ops->read_stats(source, &stats, NULL))
		printf(",\n\t\t\"allocated_pages\": %" PRIu64 ",\n\t\t\"hw_tables\": %" PRIu64
		       ",\n\t\t\"dirty_log\": %s",
		       stats.allocated_pages, stats.hw_tables, stats.dirty_log ? "true" : "false");
}

void begin_json(const struct source *source)
{
	printf("{\n\t\"source\": ");
	print_json_string(stdout, source->name);
	printf(",\n\t\"made_by\": ");
	print_json_string(stdout, source->made_by);
	printf(",\n\t\"tables\": [");
}

int view_json(struct source *source, const struct choice *choice, struct tce_error *err)
{
	struct tce_geometry geometry;
	struct totals totals;
	int tables = 0, ret;

	begin_json(source);
	while ((ret = next_chosen_table(source, choice, &geometry, err)) > 0) {
		struct json json = { .geometry = &geometry };

		printf("%s", tables++ ? ", " : "");
		print_json_header(source, &geometry);
		printf(",\n\t\t\"runs\": [");
		ret = walk_runs(source, &geometry, print_json_run, &json, &totals, err);
		if (ret < 0)
			break;
		printf("%s],\n\t\t\"used\": %" PRIu64 ",\n\t\t\"read_write\": %" PRIu64
		       ",\n\t\t\"read_only\": %" PRIu64 ",\n\t\t\"write_only\": %" PRIu64
		       ",\n\t\t\"poison\": %" PRIu64 "\n\t}",
		       json.runs ? "\n\t\t" : "", totals.used, totals.access[3], totals.access[1],
		       totals.access[2], totals.access[0]);
	}
	/* After an error the text stays unfinished: no reader can take it for the whole. */
	if (ret < 0)
		return ret;
	printf("]\n}\n");
	return tables;
}
