// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How two sources differ, for people or as JSON.
 */
#include <inttypes.h>

#include "dump/diff.h"

void begin_result(struct diff *diff, const char *left, const char *right)
{
	if (!diff->json)
		return;
	printf("{\n\t\"left\": ");
	print_json_string(stdout, left);
	printf(",\n\t\"right\": ");
	print_json_string(stdout, right);
	printf(",\n\t\"tables\": [");
}

/* The name of a table, and in JSON what its object begins with. */
static void print_place(struct diff *diff, const struct tce_geometry *geometry)
{
	char name[TABLE_NAME_SIZE];

	if (!diff->json) {
		printf("%s: ", format_table(geometry, name));
		return;
	}
	printf("%s\n\t\t{", diff->tables++ ? "," : "");
	print_json_name(geometry);
	printf(", ");
}

void print_only_in(struct diff *diff, const struct tce_geometry *geometry, bool left,
		   const char *name)
{
	diff->differ = true;
	if (quiet && !diff->json)
		return;
	print_place(diff, geometry);
	if (diff->json) {
		printf("\"only_in\": \"%s\"}", left ? "left" : "right");
		return;
	}
	printf("only in ");
	print_text(stdout, name);
	printf("\n");
}

static void print_part(struct diff *diff, const struct tce_geometry *geometry, const char *part,
		       const char *key, const char *prefix, uint64_t a, uint64_t b)
{
	const bool hex = prefix[0];

	if (quiet && !diff->json)
		return;
	print_place(diff, geometry);
	if (!diff->json)
		printf(hex ? "%s: 0x%" PRIx64 " | 0x%" PRIx64 "\n" :
			     "%s: %" PRIu64 " | %" PRIu64 "\n",
		       part, a, b);
	else
		printf(hex ? "\"%s\": [\"0x%" PRIx64 "\", \"0x%" PRIx64 "\"]}" :
			     "\"%s\": [%" PRIu64 ", %" PRIu64 "]}",
		       key, a, b);
}

/* Print the first part of the geometry that both know and that differs. */
bool print_geometry_difference(struct diff *diff, const struct tce_geometry *a,
			       const struct tce_geometry *b)
{
	const unsigned int both = a->known & b->known;

	if (both & TCE_KNOWN_PAGE_SHIFT && a->page_shift != b->page_shift)
		print_part(diff, a, "page shift", "page_shift", "", a->page_shift, b->page_shift);
	else if (both & TCE_KNOWN_BUS_OFFSET && a->bus_offset != b->bus_offset)
		print_part(diff, a, "bus offset", "bus_offset", "0x", a->bus_offset, b->bus_offset);
	else if (both & TCE_KNOWN_ENTRIES && a->entries != b->entries)
		print_part(diff, a, "entries", "entries", "", a->entries, b->entries);
	else
		return false;
	return true;
}

void begin_table(struct diff *diff, const struct tce_geometry *geometry)
{
	if (!diff->json)
		return;
	print_place(diff, geometry);
	printf("\"differences\": [");
}

void print_difference(struct diff *diff, uint64_t index, uint64_t a, uint64_t b)
{
	const struct tce_geometry *geometry = &diff->a.geometry;
	char name[TABLE_NAME_SIZE];

	if (quiet && !diff->json)
		return;
	if (diff->json) {
		printf("%s\n\t\t\t{\"index\": %" PRIu64, diff->differences ? "," : "", index);
		if (knows_ioba(geometry))
			printf(", \"ioba\": \"0x%" PRIx64 "\"", tce_ioba(geometry, index));
		printf(", \"left\": \"0x%016" PRIx64 "\", \"right\": \"0x%016" PRIx64 "\"}", a, b);
		return;
	}
	printf("%s: entry %" PRIu64, format_table(geometry, name), index);
	if (knows_ioba(geometry))
		printf(" (IOBA 0x%" PRIx64 ")", tce_ioba(geometry, index));
	printf(": 0x%016" PRIx64 " | 0x%016" PRIx64 "\n", a, b);
}

void end_table(struct diff *diff)
{
	char name[TABLE_NAME_SIZE];

	if (quiet && !diff->json)
		return;
	if (diff->json) {
		printf("%s], \"differing\": %" PRIu64 ", \"entries\": %" PRIu64 "}",
		       diff->differences ? "\n\t\t" : "", diff->differences, diff->entries);
		return;
	}
	if (!diff->differences)
		return;
	printf("%s: %" PRIu64 " of %" PRIu64 " entries differ",
	       format_table(&diff->a.geometry, name), diff->differences, diff->entries);
	if (diff->differences > diff->lines_max)
		printf(" (--all shows the other %" PRIu64 ")", diff->differences - diff->lines_max);
	printf("\n");
}

void end_result(struct diff *diff, int compared)
{
	if (diff->json)
		printf("%s],\n\t\"compared\": %d,\n\t\"differ\": %s\n}\n",
		       diff->tables ? "\n\t" : "", compared, diff->differ ? "true" : "false");
	else if (!diff->differ)
		print_result("no difference in %d table%s", compared, compared == 1 ? "" : "s");
}
