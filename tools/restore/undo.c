// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tables get back what they held: after a failure by the process that wrote, after its end by the
 * guard.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "restore/restore.h"

/* Does a live table hold what the scratch image says? Return: 1 if so, 0, or a negative status. */
static int is_as_before(struct tce_table *table, struct tce_reader *reader, struct tce_error *err)
{
	const uint64_t entries = tce_table_geometry(table)->entries;
	uint64_t *words = malloc(2 * TCE_BLOCK_MAX * sizeof(*words)), *now, index = 0;
	struct tce_cursor cursor;
	int ret = 1;

	if (!words)
		return no_memory(err, "two blocks of entries");
	now = words + TCE_BLOCK_MAX;
	tce_begin_cursor(&cursor, reader);
	while (ret > 0 && index < entries) {
		size_t n = entries - index < TCE_BLOCK_MAX ? (size_t)(entries - index) :
							     TCE_BLOCK_MAX;

		ret = tce_cursor_words(&cursor, words, n, err);
		if (!ret)
			ret = tce_read_words(table, index, now, n, err);
		if (!ret)
			ret = !memcmp(words, now, n * sizeof(*words));
		index += n;
	}
	free(words);
	return ret;
}

/* Call @take for each table of the scratch image that was touched; see put_back(). */
static int visit_touched(struct restore *restore,
			 int (*take)(struct tce_table *table, struct tce_reader *reader,
				     struct tce_error *err),
			 struct tce_error *err)
{
	struct tce_source source = tce_fd_source(restore->scratch);
	struct tce_reader *reader = NULL;
	struct tce_geometry geometry;
	size_t i;
	int ret;

	if (lseek(restore->scratch, 0, SEEK_SET) < 0)
		return tce_set_error(err, TCE_ERR_IO, errno,
				     "the scratch file cannot be read again");
	ret = tce_create_reader(&reader, &source, err);
	for (i = 0; !ret && i < restore->count; i++) {
		if (!restore->targets[i].chosen)
			continue;
		ret = tce_next_table(reader, &geometry, err);
		if (!ret)
			ret = tce_set_error(err, TCE_ERR_TORN, 0, "the scratch file has changed");
		else if (ret > 0)
			ret = restore->targets[i].touched ?
				      take(restore->targets[i].table, reader, err) :
				      0;
	}
	tce_destroy_reader(reader);
	return ret;
}

/* Put back what a table held. */
static int put_back(struct tce_table *table, struct tce_reader *reader, struct tce_error *err)
{
	return tce_load_table(table, reader, NULL, NULL, err);
}

static int see_as_before(struct tce_table *table, struct tce_reader *reader, struct tce_error *err)
{
	int ret = is_as_before(table, reader, err);

	return ret > 0 ? 0 : ret ? ret : tce_set_error(err, TCE_ERR_IO, 0, "it has changed");
}

void undo(struct restore *restore)
{
	struct tce_error err = TCE_ERROR_INIT, look = TCE_ERROR_INIT;

	if (!visit_touched(restore, put_back, &err)) {
		print_warning("undone: every table is as it was before");
		return;
	}
	print_error(&err);
	/* What could not be written now may not have been written before either. */
	if (!visit_touched(restore, see_as_before, &look))
		print_warning("every table is as it was before: nothing had been changed");
	else
		print_warning("NOT undone: the tables named above are neither what they were nor "
			      "what the image says");
}
