// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tables of a stream that are replaced from images.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream/stream.h"

static int in_file(struct tce_error *err, const char *name, int code)
{
	name_error(err, name);
	return code;
}

/* An image is read twice, so it can't be a pipe; and nobody may ever write into a FIFO. */
static int open_image(const char *file, int *fd, struct tce_error *err)
{
	struct stat st;

	*fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0)
		return tce_set_error(err, TCE_ERR_IO, errno, "cannot be opened");
	if (fstat(*fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(*fd);
		return tce_set_error(err, TCE_ERR_UNSUPPORTED, 0,
				     "an image to import has to be a plain file");
	}
	return TCE_OK;
}

static int add_import(struct imports *imports, const struct import *import, struct tce_error *err)
{
	struct import *more;
	size_t i;

	if (import->geometry.known != TCE_KNOWN_ALL)
		return tce_set_error(err, TCE_ERR_UNKNOWN, 0,
				     "a table of which not all of the geometry is known");
	for (i = 0; i < imports->count; i++)
		if (imports->list[i].geometry.liobn == import->geometry.liobn)
			return tce_set_error(err, TCE_ERR_ARG, 0,
					     "LIOBN 0x%" PRIx64 " is in %.100s already",
					     import->geometry.liobn, imports->list[i].file);
	more = realloc(imports->list, (imports->count + 1) * sizeof(*more));
	if (!more)
		return no_memory(err, "a list of tables");
	imports->list = more;
	more[imports->count++] = *import;
	return TCE_OK;
}

static int read_image(struct imports *imports, const char *file, int fd, struct tce_error *err)
{
	struct import import = { .file = file };
	struct tce_source source = tce_fd_source(fd);
	struct tce_reader *reader = NULL;
	char more;
	int ret;

	ret = tce_create_reader(&reader, &source, err);
	if (ret < 0)
		return ret;
	while ((ret = tce_next_table(reader, &import.geometry, err)) > 0) {
		ret = add_import(imports, &import, err);
		if (ret < 0)
			break;
		import.number++;
	}
	tce_destroy_reader(reader);
	if (!ret && read(fd, &more, 1) > 0)
		ret = tce_set_error(err, TCE_ERR_CORRUPT, 0, "more bytes follow the image's end");
	return ret;
}

int add_imports(struct imports *imports, const char *file, struct tce_error *err)
{
	int fd, ret;

	ret = open_image(file, &fd, err);
	if (ret < 0)
		return in_file(err, file, ret);
	ret = read_image(imports, file, fd, err);
	close(fd);
	return ret < 0 ? in_file(err, file, ret) : TCE_OK;
}

static void close_current(struct imports *imports)
{
	tce_destroy_reader(imports->reader);
	imports->reader = NULL;
	if (imports->current)
		close(imports->fd);
	imports->current = NULL;
}

static int open_import(struct imports *imports, struct import *import, struct tce_error *err)
{
	struct tce_geometry geometry;
	struct tce_source source;
	unsigned int i;
	int ret;

	ret = open_image(import->file, &imports->fd, err);
	if (ret < 0)
		return ret;
	imports->current = import;
	source = tce_fd_source(imports->fd);
	ret = tce_create_reader(&imports->reader, &source, err);
	if (ret < 0)
		return ret;
	for (i = 0; i <= import->number; i++) {
		ret = tce_next_table(imports->reader, &geometry, err);
		if (ret < 0)
			return ret;
		if (!ret)
			break;
	}
	if (!ret || geometry.liobn != import->geometry.liobn ||
	    geometry.entries != import->geometry.entries)
		return tce_set_error(err, TCE_ERR_GEOMETRY, 0, "the file has changed");
	tce_begin_cursor(&imports->cursor, imports->reader);
	return TCE_OK;
}

int begin_import(struct imports *imports, const struct tce_stream_table *table,
		 struct tce_error *err)
{
	struct import *import;
	size_t i;
	int ret;

	for (i = 0; i < imports->count; i++) {
		import = &imports->list[i];
		if (import->geometry.liobn != table->geometry.liobn)
			continue;
		import->used = true;
		if (import->geometry.entries != table->geometry.entries)
			ret = tce_set_error(err, TCE_ERR_GEOMETRY, 0,
					    "LIOBN 0x%" PRIx64 " has %" PRIu64
					    " entries in the stream and %" PRIu64 " in the image",
					    table->geometry.liobn, table->geometry.entries,
					    import->geometry.entries);
		else
			ret = open_import(imports, import, err);
		return ret < 0 ? in_file(err, import->file, ret) : TCE_OK;
	}
	return TCE_OK;
}

int read_import(struct imports *imports, uint64_t *words, size_t count, struct tce_error *err)
{
	int ret = tce_cursor_words(&imports->cursor, words, count, err);

	return ret < 0 ? in_file(err, imports->current->file, ret) : TCE_OK;
}

int end_import(struct imports *imports, const struct tce_stream_table *table, struct tce_error *err)
{
	const struct import *import = imports->current;
	int ret;

	if (table->whole)
		ret = tce_match_geometry(&import->geometry, &table->geometry, err);
	else
		ret = tce_set_error(err, TCE_ERR_STREAM, 0,
				    "the section to be replaced does not end as a table does");
	close_current(imports);
	return ret < 0 ? in_file(err, import->file, ret) : TCE_OK;
}

int check_imports_used(const struct imports *imports, struct tce_error *err)
{
	size_t i;
	int ret;

	for (i = 0; i < imports->count; i++) {
		if (imports->list[i].used)
			continue;
		ret = tce_set_error(err, TCE_ERR_NO_TABLE, 0,
				    "the stream has no table with LIOBN 0x%" PRIx64,
				    imports->list[i].geometry.liobn);
		return in_file(err, imports->list[i].file, ret);
	}
	return TCE_OK;
}

void close_imports(struct imports *imports)
{
	close_current(imports);
	free(imports->list);
}
