// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tables into a TCE image.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "dump/dump.h"
#include "meter.h"

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
	/* Not asked for by LIOBN, no tables are what the source has. */
	if (!ret && (tables || !choice->liobn_given))
		ret = tce_end_image(writer, err);
	*size = tce_writer_size(writer);
	tce_destroy_writer(writer);
	return ret < 0 ? ret : tables;
}

/* Save to a file; the old one of that name stays until the new one is whole and on disk. */
int save_source(struct source *source, const struct choice *choice, bool *no,
		struct tce_error *err)
{
	const char *output = choice->output;
	struct tce_file *file;
	struct tce_sink sink;
	uint64_t size;
	int tables, ret;

	if (!strcmp(output, "-")) {
		sink = tce_fd_sink(STDOUT_FILENO);
		tables = save_tables(source, choice, &sink, &size, err);
		if (tables < 0)
			name_error(err, "standard output");
		return tables;
	}

	ret = tce_create_file(&file, output, err);
	if (ret < 0) {
		name_error(err, output);
		return ret;
	}
	sink = tce_file_sink(file);
	tables = save_tables(source, choice, &sink, &size, err);
	ret = tables;
	if (ret > 0 || (!ret && !choice->liobn_given))
		ret = tce_commit_file(file, err);
	tce_close_file(file);
	if (ret < 0) {
		name_error(err, output);
		return ret;
	}
	if (tables || !choice->liobn_given)
		print_result("%s: %d table%s saved in %" PRIu64 " bytes", output, tables,
			     tables == 1 ? "" : "s", size);
	return tables;
}
