// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One stream that goes by: what is done with its tables on the way, and what is said of it.
 */
#include <inttypes.h>

#include "message.h"
#include "stream/stream.h"

static int begin_table(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct job *job = ctx;
	int ret = begin_import(&job->imports, table, err);

	if (!ret && job->keep.begin_table)
		ret = job->keep.begin_table(job->keep.ctx, table, err);
	return ret;
}

/* Exports what the stream had, not what is imported in its place. */
static int table_words(void *ctx, const struct tce_stream_table *table, uint64_t index,
		       uint64_t *words, size_t count, struct tce_error *err)
{
	struct job *job = ctx;
	int ret = 0;

	if (job->keep.words)
		ret = job->keep.words(job->keep.ctx, table, index, words, count, err);
	if (!ret && job->imports.current)
		ret = read_import(&job->imports, words, count, err);
	return ret;
}

/* Of a table that comes as runs. */
static int table_extent(void *ctx, const struct tce_stream_table *table,
			const struct tce_extent *extent, struct tce_error *err)
{
	struct job *job = ctx;

	return job->keep.extent ? job->keep.extent(job->keep.ctx, table, extent, err) : 0;
}

static bool replaces_table(void *ctx, const struct tce_stream_table *table)
{
	struct job *job = ctx;

	return job->imports.current;
}

static int end_table(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct job *job = ctx;
	int ret = 0;

	if (job->imports.current)
		ret = end_import(&job->imports, table, err);
	if (!ret && job->stats && !job->json)
		print_table_stats(table);
	if (!ret && job->keep.end_table)
		ret = job->keep.end_table(job->keep.ctx, table, err);
	return ret;
}

static int end_stream(void *ctx, const struct tce_stream_stats *stats, struct tce_error *err)
{
	struct job *job = ctx;
	int ret;

	if (job->imports.list && (!stats->understood || stats->verdict == TCE_STREAM_DISAGREES))
		return tce_set_error(
			err, TCE_ERR_STREAM, 0,
			"the stream is not understood well enough to import tables%s%s",
			stats->understood ? "" : ": ", stats->stopped_why);
	if (job->require && !stats->understood) {
		tce_set_error(err, TCE_ERR_STREAM, 0, "cannot be packed from here on: %s",
			      stats->stopped_why);
		err->offset = stats->stopped_at;
		err->fields |= TCE_ERROR_OFFSET;
		return TCE_ERR_STREAM;
	}
	ret = check_imports_used(&job->imports, err);
	if (!ret && job->keep.end)
		ret = job->keep.end(job->keep.ctx, stats, err);
	if (!ret && job->export_folder)
		ret = export_stream_tables(&job->tables, job->export_folder, err);
	return ret;
}

int copy_stream(struct job *job, const struct tce_source *source, const struct tce_sink *sink,
		bool hooked, struct tce_stream_stats *stats, struct tce_error *err)
{
	struct tce_stream_hooks hooks = {
		.begin_table = begin_table,
		.words = table_words,
		.extent = table_extent,
		.replaces = replaces_table,
		.end_table = end_table,
		.end = end_stream,
		.ctx = job,
	};
	/* To look is to parse, and entries are copied twice more: only when asked. */
	const bool look = hooked && (job->export_folder || job->imports.list || job->stats ||
				     (job->require && job->pack));

	if (!job->export_folder && !job->imports.list)
		hooks.words = NULL;
	return job->pack ? tce_pack_stream(source, sink, look ? &hooks : NULL, stats, err) :
			   tce_unpack_stream(source, sink, look ? &hooks : NULL, stats, err);
}

void report_stream(const struct job *job, const struct tce_stream_stats *stats)
{
	if (job->stats && job->json)
		print_json_stats(stats);
	else if (job->stats)
		print_stream_stats(stats);
	else if (job->pack && stats->stopped_why[0] && !job->require)
		print_warning("not packed from byte %" PRIu64 " on: %s", stats->stopped_at,
			      stats->stopped_why);
}
