// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The headers of tables, without a look at their entries.
 */
#include <inttypes.h>

#include "dump/dump.h"

int view_info(struct source *source, const struct choice *choice, bool *no, struct tce_error *err)
{
	struct tce_geometry geometry;
	int tables = 0, ret;

	if (choice->json)
		begin_json(source);
	while ((ret = next_chosen_table(source, choice, &geometry, err)) > 0) {
		if (choice->json)
			printf("%s", tables ? ", " : "");
		else if (tables)
			printf("\n");
		tables++;
		if (choice->json) {
			print_json_header(source, &geometry);
			printf("\n\t}");
		} else {
			print_header(source, &geometry);
		}
		if (source->ops->skip_table) {
			ret = source->ops->skip_table(source, err);
			if (ret < 0)
				return ret;
		}
	}
	if (ret < 0)
		return ret;
	if (choice->json)
		printf("]\n}\n");
	return tables;
}
