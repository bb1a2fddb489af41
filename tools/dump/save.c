// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tables into a TCE image.
 */
#include <inttypes.h>

#include "dump/dump.h"
#include "meter.h"
#include "output.h"

static int next_of_source(void *ctx, struct tce_extent *extent, struct tce_error *err)
{
	struct source *source = ctx;

	return source->ops->next_extent(source, extent, err);
}

static int save_table(struct source *source, const struct tce_geometry *geometry,
		      struct tce_writer *writer, struct tce_error *err)
{
	const struct tce_extents entries = { .next = next_of_source, .ctx = source };
	struct tce_progress progress;
	struct meter meter;
	int ret;

	progress = begin_meter(&meter, geometry);
	ret = tce_copy_table(writer, geometry, &entries, &progress, err);
	end_meter(&meter);
	return ret;
}

static int save_tables(struct source *source, const struct choice *choice,
		       const struct tce_sink *sink, uint64_t *size, struct tce_error *err)
{
	struct tce_geometry geometry;
	struct tce_writer *writer;
	int tables = 0, ret;

	ret = tce_create_writer(&writer, sink, "tce-dump " TCE_VERSION, err);
	if (ret < 0)
		return ret;
	while ((ret = next_chosen_table(source, choice, &geometry, err)) > 0) {
		ret = save_table(source, &geometry, writer, err);
		if (ret < 0)
			break;
		tables++;
	}
	if (!ret && (tables || !is_choice(choice)))
		ret = tce_end_image(writer, err);
	*size = tce_writer_size(writer);
	tce_destroy_writer(writer);
	return ret < 0 ? ret : tables;
}

int save_source(struct source *source, const struct choice *choice, bool *no, struct tce_error *err)
{
	struct output output;
	uint64_t size;
	bool some;
	int tables, ret;

	ret = open_output(&output, choice->output, err);
	if (ret < 0)
		return ret;
	tables = save_tables(source, choice, &output.sink, &size, err);
	ret = tables;
	/* When none was asked for, no tables are what the source has. */
	some = tables > 0 || (!tables && !is_choice(choice));
	if (some)
		ret = commit_output(&output, err);
	if (ret < 0)
		name_error(err, output.path);
	else if (some && output.file)
		print_result("%s: %d table%s saved in %" PRIu64 " bytes", output.path, tables,
			     tables == 1 ? "" : "s", size);
	close_output(&output);
	return ret < 0 ? ret : tables;
}
