// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tables of a source in a scratch file: an image for each, one after the other.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "dump/shelf.h"

/**
 * struct shelf - tables kept
 * @base: the table that was taken, as a source.
 * @fd: scratch file.
 * @places: where in it each table begins.
 * @count: how many.
 * @reader: of the table that was taken, or NULL.
 */
struct shelf {
	struct source base;
	int fd;
	off_t *places;
	size_t count;
	struct tce_reader *reader;
};

static int shelf_next_extent(struct source *source, struct tce_extent *extent,
			     struct tce_error *err)
{
	struct shelf *shelf = (struct shelf *)source;

	return tce_next_extent(shelf->reader, extent, err);
}

static const struct source_ops shelf_ops = { .next_extent = shelf_next_extent };

static int next_of_source(void *ctx, struct tce_extent *extent, struct tce_error *err)
{
	struct source *source = ctx;

	return source->ops->next_extent(source, extent, err);
}

/* Add a table as an image of its own. */
static int keep_table(struct shelf *shelf, struct source *source,
		      const struct tce_geometry *geometry, struct tce_error *err)
{
	const struct tce_extents entries = { .next = next_of_source, .ctx = source };
	struct tce_sink sink = tce_fd_sink(shelf->fd);
	struct tce_writer *writer;
	int ret;

	shelf->places[shelf->count] = lseek(shelf->fd, 0, SEEK_CUR);
	if (shelf->places[shelf->count] < 0)
		return tce_set_error(err, TCE_ERR_IO, errno, "cannot seek in the scratch file");
	ret = tce_create_writer(&writer, &sink, NULL, err);
	if (ret < 0)
		return ret;
	ret = tce_copy_table(writer, geometry, &entries, NULL, err);
	if (!ret)
		ret = tce_end_image(writer, err);
	tce_destroy_writer(writer);
	shelf->count++;
	return ret;
}

int fill_shelf(struct shelf **result, struct source *source, const struct choice *choice,
	       size_t count, struct tce_error *err)
{
	struct shelf *shelf = calloc(1, sizeof(*shelf));
	struct tce_geometry geometry;
	int ret;

	if (!shelf)
		return no_memory(err, "a list of tables");
	shelf->base.ops = &shelf_ops;
	shelf->fd = open_scratch();
	shelf->places = calloc(count, sizeof(*shelf->places));
	if (shelf->fd < 0)
		ret = tce_set_error(err, TCE_ERR_IO, -shelf->fd, "cannot make a scratch file");
	else
		ret = shelf->places ? 0 : no_memory(err, "a list of tables");
	while (!ret && shelf->count < count) {
		ret = next_chosen_table(source, choice, &geometry, err);
		if (!ret)
			ret = tce_set_error(err, TCE_ERR_NO_TABLE, 0,
					    "it has fewer tables than before");
		else if (ret > 0)
			ret = keep_table(shelf, source, &geometry, err);
	}
	if (ret < 0) {
		name_error(err, source->name);
		close_shelf(shelf);
		return ret;
	}
	*result = shelf;
	return TCE_OK;
}

int take_from_shelf(struct shelf *shelf, size_t number, struct tce_geometry *geometry,
		    struct tce_error *err)
{
	struct tce_source source = tce_fd_source(shelf->fd);
	int ret;

	tce_destroy_reader(shelf->reader);
	shelf->reader = NULL;
	if (lseek(shelf->fd, shelf->places[number], SEEK_SET) < 0)
		return tce_set_error(err, TCE_ERR_IO, errno, "cannot seek in the scratch file");
	ret = tce_create_reader(&shelf->reader, &source, err);
	if (ret < 0)
		return ret;
	ret = tce_next_table(shelf->reader, geometry, err);
	return ret ? ret < 0 ? ret : 0 :
		     tce_set_error(err, TCE_ERR_TORN, 0, "the scratch file has changed");
}

struct source *shelf_source(struct shelf *shelf)
{
	return &shelf->base;
}

void close_shelf(struct shelf *shelf)
{
	if (!shelf)
		return;
	tce_destroy_reader(shelf->reader);
	if (shelf->fd >= 0)
		close(shelf->fd);
	free(shelf->places);
	free(shelf);
}
