// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Only whether a source is whole.
 */
#include <inttypes.h>

#include "dump/dump.h"

int view_verify(struct source *source, const struct choice *choice, bool *no, struct tce_error *err)
{
	struct totals totals, sum = { 0 };
	struct tce_geometry geometry;
	int tables = 0, ret;

	while ((ret = next_chosen_table(source, choice, &geometry, err)) > 0) {
		ret = walk_runs(source, &geometry, NULL, NULL, &totals, err);
		if (ret < 0)
			return ret;
		tables++;
		sum.used += totals.used;
		sum.runs += totals.runs;
	}
	if (!ret && source->ops->check)
		ret = source->ops->check(source, err);
	if (ret < 0)
		return ret;
	if (choice->json) {
		printf("{\n\t\"source\": ");
		print_json_string(stdout, source->name);
		printf(",\n\t\"whole\": true,\n\t\"tables\": %d,\n\t\"used\": %" PRIu64
		       ",\n\t\"runs\": %" PRIu64 "\n}\n",
		       tables, sum.used, sum.runs);
		return tables;
	}
	print_result("%s: whole: %d table%s, %" PRIu64 " entries used, in %" PRIu64 " run%s",
		     source->name, tables, tables == 1 ? "" : "s", sum.used, sum.runs,
		     sum.runs == 1 ? "" : "s");
	return tables;
}
