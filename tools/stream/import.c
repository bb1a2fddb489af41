// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tables of a stream that are replaced from images. These are read before the stream, and kept in a
 * scratch file: a stream may have its tables in any order.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream/stream.h"

static int in_file(struct tce_error *err, const char *name, int code)
{
	name_error(err, name);
	return code;
}

/* Nobody may ever write into a FIFO, and then it would be waited for. */
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

static int compare_imports(const void *a, const void *b)
{
	const struct import *one = a, *two = b;

	return one->geometry.liobn < two->geometry.liobn ?
		       -1 :
		       one->geometry.liobn > two->geometry.liobn;
}

static struct import *find_import(const struct imports *imports, uint64_t liobn)
{
	const struct import key = { .geometry.liobn = liobn };
	struct import **found = tfind(&key, &imports->by_liobn, compare_imports);

	return found ? *found : NULL;
}

/* Copy the table that the reader is at into the scratch file, as an image of its own. */
static int keep_table(struct imports *imports, struct import *import, struct tce_reader *reader,
		      struct tce_error *err)
{
	const struct tce_extents entries = tce_reader_extents(reader);
	struct tce_sink sink;
	struct tce_writer *writer;
	int ret;

	if (imports->fd < 0)
		imports->fd = open_scratch();
	if (imports->fd < 0)
		return tce_set_error(err, TCE_ERR_IO, -imports->fd, "cannot make a scratch file");
	import->place = lseek(imports->fd, 0, SEEK_CUR);
	if (import->place < 0)
		return tce_set_error(err, TCE_ERR_IO, errno, "cannot seek in the scratch file");
	sink = tce_fd_sink(imports->fd);
	ret = tce_create_writer(&writer, &sink, NULL, err);
	if (ret < 0)
		return ret;
	ret = tce_copy_table(writer, &import->geometry, &entries, NULL, err);
	if (!ret)
		ret = tce_end_image(writer, err);
	tce_destroy_writer(writer);
	return ret;
}

static int add_import(struct imports *imports, struct import *import, struct tce_reader *reader,
		      struct tce_error *err)
{
	const struct import *other;
	int ret;

	if (import->geometry.known != TCE_KNOWN_ALL)
		return tce_set_error(err, TCE_ERR_UNKNOWN, 0,
				     "a table of which not all of the geometry is known");
	other = find_import(imports, import->geometry.liobn);
	if (other)
		return tce_set_error(err, TCE_ERR_ARG, 0,
				     "LIOBN 0x%" PRIx64 " is in %.100s already",
				     import->geometry.liobn, other->file);
	ret = keep_table(imports, import, reader, err);
	if (ret < 0)
		return ret;
	if (!tsearch(import, &imports->by_liobn, compare_imports))
		return no_memory(err, "a list of tables");
	import->next = imports->list;
	imports->list = import;
	return TCE_OK;
}

static int read_image(struct imports *imports, const char *file, int fd, struct tce_error *err)
{
	struct tce_source source = tce_fd_source(fd);
	struct tce_geometry geometry;
	struct tce_reader *reader = NULL;
	struct import *import;
	ssize_t n;
	char more;
	int ret;

	ret = tce_create_reader(&reader, &source, err);
	if (ret < 0)
		return ret;
	while ((ret = tce_next_table(reader, &geometry, err)) > 0) {
		import = calloc(1, sizeof(*import));
		if (!import) {
			ret = no_memory(err, "a list of tables");
			break;
		}
		import->file = file;
		import->geometry = geometry;
		ret = add_import(imports, import, reader, err);
		if (ret < 0) {
			free(import);
			break;
		}
	}
	tce_destroy_reader(reader);
	if (ret)
		return ret;
	n = source.read(source.ctx, &more, 1);
	if (n < 0)
		return tce_set_error(err, TCE_ERR_IO, (int)-n, "cannot be read to its end");
	return n ? tce_set_error(err, TCE_ERR_CORRUPT, 0, "more bytes follow the image's end") : 0;
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
	imports->current = NULL;
}

static int open_import(struct imports *imports, struct import *import, struct tce_error *err)
{
	struct tce_source source = tce_fd_source(imports->fd);
	struct tce_geometry geometry;
	int ret;

	if (lseek(imports->fd, import->place, SEEK_SET) < 0)
		return tce_set_error(err, TCE_ERR_IO, errno, "cannot seek in the scratch file");
	imports->current = import;
	ret = tce_create_reader(&imports->reader, &source, err);
	if (ret < 0)
		return ret;
	ret = tce_next_table(imports->reader, &geometry, err);
	if (ret < 0)
		return ret;
	if (!ret || geometry.entries != import->geometry.entries)
		return tce_set_error(err, TCE_ERR_CORRUPT, 0, "the scratch file has changed");
	tce_begin_cursor(&imports->cursor, imports->reader);
	return TCE_OK;
}

int begin_import(struct imports *imports, const struct tce_stream_table *table,
		 struct tce_error *err)
{
	struct import *import = find_import(imports, table->geometry.liobn);
	int ret;

	if (!import)
		return TCE_OK;
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
	const struct import *import;
	int ret;

	for (import = imports->list; import; import = import->next) {
		if (import->used)
			continue;
		ret = tce_set_error(err, TCE_ERR_NO_TABLE, 0,
				    "the stream has no table with LIOBN 0x%" PRIx64,
				    import->geometry.liobn);
		return in_file(err, import->file, ret);
	}
	return TCE_OK;
}

/* The tree has only pointers to what the list has. */
static void keep_node(void *node)
{
}

void close_imports(struct imports *imports)
{
	struct import *import;

	close_current(imports);
	tdestroy(imports->by_liobn, keep_node);
	while ((import = imports->list) != NULL) {
		imports->list = import->next;
		free(import);
	}
	if (imports->fd >= 0)
		close(imports->fd);
}
