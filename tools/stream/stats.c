// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What --stats says of a stream.
 */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "stream/stream.h"

void print_table_stats(const struct tce_stream_table *table)
{
	const struct tce_geometry *geometry = &table->geometry;
	const bool has_page = table->whole && geometry->entries;

	fprintf(stderr,
		"  LIOBN 0x%08" PRIx64 ": %" PRIu64 " entries of %" PRIu64
		" KiB from bus address 0x%" PRIx64 "%s\n",
		geometry->liobn, geometry->entries,
		has_page ? (UINT64_C(1) << geometry->page_shift) / 1024 : 0, geometry->bus_offset,
		table->bypass ? ", bypassed" : "");
}

/* The numbers, as JSON names them. */
static const struct {
	const char *name;
	size_t place;
} numbers[] = {
#define NUMBER(member) { #member, offsetof(struct tce_stream_stats, member) }
	NUMBER(bytes),
	NUMBER(packed_bytes),
	NUMBER(ram_bytes),
	NUMBER(pages),
	NUMBER(zero_pages),
	NUMBER(xbzrle_pages),
	NUMBER(compressed_pages),
	NUMBER(blocks),
	NUMBER(htab_bytes),
	NUMBER(devices),
	NUMBER(commands),
	NUMBER(tables),
	NUMBER(tables_as_runs),
	NUMBER(entries),
	NUMBER(table_bytes),
	NUMBER(packed_table_bytes),
	NUMBER(description_bytes),
#undef NUMBER
};

/* One line, so that it can be told from messages. */
void print_json_stats(const struct tce_stream_stats *stats)
{
	static const char *const verdicts[] = {
		[TCE_STREAM_UNCHECKED] = "unchecked",
		[TCE_STREAM_AGREES] = "agrees",
		[TCE_STREAM_DISAGREES] = "disagrees",
	};
	uint64_t value;
	size_t i;

	fprintf(stderr, "{\"machine\": ");
	print_json_string(stderr, stats->machine);
	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		memcpy(&value, (const char *)stats + numbers[i].place, sizeof(value));
		fprintf(stderr, ", \"%s\": %" PRIu64, numbers[i].name, value);
	}
	fprintf(stderr, ", \"description\": \"%s\", \"understood\": %s", verdicts[stats->verdict],
		stats->understood ? "true" : "false");
	if (stats->stopped_why[0]) {
		fprintf(stderr,
			", \"stopped_at\": %" PRIu64 ", \"stopped_why\": ", stats->stopped_at);
		print_json_string(stderr, stats->stopped_why);
	}
	fprintf(stderr, "}\n");
}

void print_stream_stats(const struct tce_stream_stats *stats)
{
	static const char *const verdicts[] = {
		[TCE_STREAM_UNCHECKED] = "not checked",
		[TCE_STREAM_AGREES] = "agrees",
		[TCE_STREAM_DISAGREES] = "tells of other sections",
	};

	fprintf(stderr, "stream       %" PRIu64 " bytes of QEMU, %" PRIu64 " packed\nmachine      ",
		stats->bytes, stats->packed_bytes);
	print_text(stderr, stats->machine[0] ? stats->machine : "not named");
	fprintf(stderr,
		"\nram          %" PRIu64 " bytes, %" PRIu64 " blocks: %" PRIu64 " pages, %" PRIu64
		" zero, %" PRIu64 " xbzrle, %" PRIu64 " compressed\n",
		stats->ram_bytes, stats->blocks, stats->pages, stats->zero_pages,
		stats->xbzrle_pages, stats->compressed_pages);
	fprintf(stderr,
		"htab         %" PRIu64 " bytes\ndevices      %" PRIu64 " sections, %" PRIu64
		" commands\n",
		stats->htab_bytes, stats->devices, stats->commands);
	fprintf(stderr,
		"tables       %" PRIu64 " (%" PRIu64 " as runs), %" PRIu64 " entries: %" PRIu64
		" bytes, %" PRIu64 " packed\n",
		stats->tables, stats->tables_as_runs, stats->entries, stats->table_bytes,
		stats->packed_table_bytes);
	fprintf(stderr, "description  %" PRIu64 " bytes, %s\n", stats->description_bytes,
		verdicts[stats->verdict]);
	if (!stats->stopped_why[0])
		return;
	fprintf(stderr, "untouched    from byte %" PRIu64 " on: ", stats->stopped_at);
	print_text(stderr, stats->stopped_why);
	putc('\n', stderr);
}
