// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tables of a migration stream, kept until the stream has been seen whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "source/stream-tables.h"

/* Far beyond any machine; a stream is not trusted to have fewer. */
#define TABLES_MAX 65536

#define ROOM_FIRST 16 /* tables */

static int keep_begin(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct stream_tables *tables = ctx;
	struct tce_stream_table *more;
	struct tce_geometry geometry = {
		.known = TCE_KNOWN_LIOBN | TCE_KNOWN_ENTRIES,
		.liobn = table->geometry.liobn,
		.entries = table->geometry.entries,
	};
	size_t room;

	if (tables->count == TABLES_MAX)
		return tce_set_error(err, TCE_ERR_LIMIT, 0, "more than %d tables", TABLES_MAX);
	if (tables->count == tables->room) {
		room = tables->room ? 2 * tables->room : ROOM_FIRST;
		more = realloc(tables->list, room * sizeof(*more));
		if (!more)
			return no_memory(err, "a list of tables");
		tables->list = more;
		tables->room = room;
	}
	tables->list[tables->count++] = *table;
	return geometry.entries ? tce_begin_table(tables->writer, &geometry, err) : 0;
}

static int keep_words(void *ctx, const struct tce_stream_table *table, uint64_t index,
		      uint64_t *words, size_t count, struct tce_error *err)
{
	struct stream_tables *tables = ctx;

	return tce_put_words(tables->writer, index, words, count, err);
}

static int keep_extent(void *ctx, const struct tce_stream_table *table,
		       const struct tce_extent *extent, struct tce_error *err)
{
	struct stream_tables *tables = ctx;

	if (!extent->words)
		return tce_put_run(tables->writer, extent, err);
	return tce_put_words(tables->writer, extent->first, extent->words, extent->count, err);
}

static int keep_end(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct stream_tables *tables = ctx;

	tables->list[tables->count - 1] = *table;
	return table->geometry.entries ? tce_end_table(tables->writer, err) : 0;
}

static int doubtful(const struct tce_stream_table *table, struct tce_error *err, const char *why)
{
	tce_set_error(err, TCE_ERR_STREAM, 0, "%s", why);
	if (err) {
		err->liobn = table->geometry.liobn;
		err->offset = table->offset;
		err->fields |= TCE_ERROR_LIOBN | TCE_ERROR_OFFSET;
	}
	return TCE_ERR_STREAM;
}

static int compare_tables(const void *a, const void *b)
{
	const struct tce_stream_table *one = *(const struct tce_stream_table *const *)a;
	const struct tce_stream_table *two = *(const struct tce_stream_table *const *)b;

	if (one->geometry.liobn != two->geometry.liobn)
		return one->geometry.liobn < two->geometry.liobn ? -1 : 1;
	return one < two ? -1 : one > two;
}

/* Has each table a LIOBN of its own, and did each end as one does? */
static int check_tables(const struct stream_tables *tables, struct tce_error *err)
{
	const struct tce_stream_table **sorted, *twice = NULL;
	size_t i;

	for (i = 0; i < tables->count; i++) {
		if (!tables->list[i].whole)
			return doubtful(&tables->list[i], err,
					"this section does not end as a table does");
	}
	sorted = calloc(tables->count + 1, sizeof(*sorted));
	if (!sorted)
		return no_memory(err, "a list of tables");
	for (i = 0; i < tables->count; i++)
		sorted[i] = &tables->list[i];
	qsort(sorted, tables->count, sizeof(*sorted), compare_tables);
	for (i = 1; i < tables->count && !twice; i++) {
		if (sorted[i]->geometry.liobn == sorted[i - 1]->geometry.liobn)
			twice = sorted[i];
	}
	free(sorted);
	return twice ? doubtful(twice, err, "a second table has this LIOBN") : TCE_OK;
}

static int keep_finish(void *ctx, const struct tce_stream_stats *stats, struct tce_error *err)
{
	struct stream_tables *tables = ctx;
	int ret;

	if (!stats->understood) {
		tce_set_error(err, TCE_ERR_STREAM, 0,
			      "the stream is not understood from here on: %s", stats->stopped_why);
		if (err) {
			err->offset = stats->stopped_at;
			err->fields |= TCE_ERROR_OFFSET;
		}
		return TCE_ERR_STREAM;
	}
	if (stats->verdict == TCE_STREAM_DISAGREES) {
		tce_set_error(err, TCE_ERR_STREAM, 0,
			      "the stream's description does not tell of this section");
		if (err) {
			err->offset = stats->verdict_at;
			err->fields |= TCE_ERROR_OFFSET;
		}
		return TCE_ERR_STREAM;
	}
	ret = check_tables(tables, err);
	return ret ? ret : tce_end_image(tables->writer, err);
}

int open_stream_tables(struct stream_tables *tables, struct tce_error *err)
{
	struct tce_sink sink;

	memset(tables, 0, sizeof(*tables));
	tables->fd = open_scratch();
	if (tables->fd < 0)
		return tce_set_error(err, TCE_ERR_IO, -tables->fd, "cannot make a scratch file");
	sink = tce_fd_sink(tables->fd);
	return tce_create_writer(&tables->writer, &sink, NULL, err);
}

struct tce_stream_hooks stream_tables_hooks(struct stream_tables *tables)
{
	return (struct tce_stream_hooks){
		.begin_table = keep_begin,
		.words = keep_words,
		.extent = keep_extent,
		.end_table = keep_end,
		.end = keep_finish,
		.ctx = tables,
	};
}

int read_stream_tables(struct stream_tables *tables, struct tce_reader **reader,
		       struct tce_error *err)
{
	struct tce_source source = tce_fd_source(tables->fd);

	if (lseek(tables->fd, 0, SEEK_SET) < 0)
		return tce_set_error(err, TCE_ERR_IO, errno, "cannot rewind a scratch file");
	return tce_create_reader(reader, &source, err);
}

static int export_table(const struct tce_geometry *geometry, struct tce_reader *reader,
			const char *path, struct tce_error *err)
{
	const struct tce_extents entries = tce_reader_extents(reader);
	struct tce_writer *writer = NULL;
	struct tce_file *file = NULL;
	struct tce_sink sink;
	int ret;

	ret = create_output_file(&file, path, err);
	if (ret)
		goto out;
	sink = tce_file_sink(file);
	ret = tce_create_writer(&writer, &sink, program, err);
	if (!ret)
		ret = tce_copy_table(writer, geometry, &entries, NULL, err);
	if (!ret)
		ret = tce_end_image(writer, err);
	if (!ret)
		ret = tce_commit_file(file, err);
out:
	tce_destroy_writer(writer);
	close_output_file(file);
	if (ret)
		name_error(err, path);
	return ret;
}

int export_stream_tables(struct stream_tables *tables, const char *folder, struct tce_error *err)
{
	const struct tce_stream_table *table;
	struct tce_geometry header;
	struct tce_reader *reader = NULL;
	char path[PATH_MAX];
	size_t i;
	int ret, len;

	ret = read_stream_tables(tables, &reader, err);
	for (i = 0; !ret && i < tables->count; i++) {
		table = &tables->list[i];
		if (!table->geometry.entries)
			continue;
		len = snprintf(path, sizeof(path), "%s/%08" PRIx64 ".tce", folder,
			       table->geometry.liobn);
		if (len < 0 || (size_t)len >= sizeof(path)) {
			ret = tce_set_error(err, TCE_ERR_IO, ENAMETOOLONG, "%.128s", folder);
			break;
		}
		ret = tce_next_table(reader, &header, err);
		ret = ret < 0 ? ret : export_table(&table->geometry, reader, path, err);
	}
	tce_destroy_reader(reader);
	return ret;
}

void close_stream_tables(struct stream_tables *tables)
{
	tce_destroy_writer(tables->writer);
	if (tables->fd >= 0)
		close(tables->fd);
	free(tables->list);
}
