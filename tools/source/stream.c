// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tables from a QEMU migration stream, plain or packed, compressed or not, from a libvirt save file
 * around one, or from a snapshot's state in a disk. The whole stream is read and checked before the
 * first table is shown.
 */
#include <stdlib.h>

#include "source/body.h"
#include "source/disk.h"
#include "source/source.h"
#include "source/stream-tables.h"

struct stream_source {
	struct source base;
	struct stream_tables tables;
	struct tce_reader *reader;
	size_t next; /* in tables.list */
};

bool is_stream(const uint8_t *head, size_t len)
{
	return (len >= TCE_STREAM_PROBE && tce_probe_stream(head)) || has_body(head, len);
}

static int stream_next_table(struct source *source, struct tce_geometry *geometry,
			     struct tce_error *err)
{
	struct stream_source *stream = (struct stream_source *)source;
	struct tce_geometry header;
	int ret;

	/* A window that is not set up has no table, and none in the scratch image. */
	while (stream->next < stream->tables.count &&
	       !stream->tables.list[stream->next].geometry.entries)
		stream->next++;
	if (stream->next == stream->tables.count)
		return 0;
	ret = tce_next_table(stream->reader, &header, err);
	if (ret <= 0)
		return ret < 0 ?
			       ret :
			       tce_set_error(err, TCE_ERR_TORN, 0, "the scratch file has changed");
	*geometry = stream->tables.list[stream->next++].geometry;
	return 1;
}

static int stream_next_extent(struct source *source, struct tce_extent *extent,
			      struct tce_error *err)
{
	struct stream_source *stream = (struct stream_source *)source;

	return tce_next_extent(stream->reader, extent, err);
}

static int stream_rewind(struct source *source, struct tce_error *err)
{
	struct stream_source *stream = (struct stream_source *)source;

	tce_destroy_reader(stream->reader);
	stream->reader = NULL;
	stream->next = 0;
	return read_stream_tables(&stream->tables, &stream->reader, err);
}

static void stream_close(struct source *source)
{
	struct stream_source *stream = (struct stream_source *)source;

	tce_destroy_reader(stream->reader);
	close_stream_tables(&stream->tables);
	free(stream);
}

static const struct source_ops stream_ops = {
	.next_table = stream_next_table,
	.next_extent = stream_next_extent,
	.rewind = stream_rewind,
	.close = stream_close,
};

/* Go through the whole stream. */
static int read_stream(struct stream_source *stream, const struct tce_source *file,
		       struct tce_error *err)
{
	struct tce_stream_hooks hooks;
	struct tce_source from;
	struct body *body;
	int ret;

	ret = open_body(&body, file, err);
	if (ret)
		return ret;
	ret = open_stream_tables(&stream->tables, err);
	if (!ret) {
		hooks = stream_tables_hooks(&stream->tables);
		from = body_source(body);
		ret = finish_body(body, tce_scan_stream(&from, &hooks, NULL, err), err);
	}
	close_body(body);
	return ret;
}

/* Tables are kept in a scratch image: the input is not read again. */
static int open_stream(struct source **source, struct input *input, struct disk *disk,
		       struct tce_error *err)
{
	const struct tce_source file = disk ? disk_source(disk) : input_source(input);
	struct stream_source *stream = calloc(1, sizeof(*stream));
	int ret;

	if (!stream)
		return no_memory(err, "a stream");
	stream->base.ops = &stream_ops;
	stream->tables.fd = -1;
	snprintf(stream->base.name, sizeof(stream->base.name), "%s", input->name);
	ret = read_stream(stream, &file, err);
	if (disk)
		ret = finish_disk(disk, ret, err);
	if (!ret)
		ret = read_stream_tables(&stream->tables, &stream->reader, err);
	if (ret)
		stream_close(&stream->base);
	else
		*source = &stream->base;
	return ret;
}

static int close_named(struct input *input, int ret, struct tce_error *err)
{
	if (ret)
		name_error(err, input->name);
	close_input(input);
	return ret;
}

int open_stream_source(struct source **source, struct input *input, bool again,
		       struct tce_error *err)
{
	return close_named(input, open_stream(source, input, NULL, err), err);
}

int open_disk_source(struct source **source, struct input *input, const char *snapshot,
		     struct tce_error *err)
{
	struct disk disk;
	int ret;

	ret = open_disk(&disk, input, snapshot, err);
	if (!ret)
		ret = open_stream(source, input, &disk, err);
	return close_named(input, ret, err);
}
