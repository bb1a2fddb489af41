/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of a migration stream, kept until the stream has been seen whole: in a scratch
 * image, not in memory.
 */
#ifndef TCE_TOOLS_STREAM_TABLES_H
#define TCE_TOOLS_STREAM_TABLES_H

#include "input.h"
#include "tce-stream.h"

/**
 * struct stream_tables - tables found in a stream
 * @list: what they are, in the stream's order. Those with entries are in the image, in this order.
 * @count: how many.
 * @room: for how many @list has room.
 * @fd: scratch file of the image.
 * @writer: of the image, until the stream has ended.
 */
struct stream_tables {
	struct tce_stream_table *list;
	size_t count;
	size_t room;
	int fd;
	struct tce_writer *writer;
};

/**
 * open_stream_tables() - be ready to keep tables
 * @tables: filled in; free with close_stream_tables(), also after a failure.
 * @err: what failed.
 *
 * Return: 0, or a negative status.
 */
int open_stream_tables(struct stream_tables *tables, struct tce_error *err);

/**
 * stream_tables_hooks() - hooks that keep every table
 * @tables: must outlive the hooks' use.
 *
 * The end hook fails when the stream is not understood, or when its description says that these are
 * not its tables.
 *
 * Return: the hooks.
 */
struct tce_stream_hooks stream_tables_hooks(struct stream_tables *tables);

/**
 * read_stream_tables() - read the tables kept
 * @tables: after the end hook has succeeded.
 * @reader: receives a reader of the image, to be freed by the caller. In it the tables with entries
 *	follow each other as in @tables->list; their headers lack the geometry that is there.
 * @err: what failed.
 *
 * Return: 0, or a negative status.
 */
int read_stream_tables(struct stream_tables *tables, struct tce_reader **reader,
		       struct tce_error *err);

/**
 * export_stream_tables() - write each table to an image of its own
 * @tables: after the end hook has succeeded.
 * @folder: where; the files are named "LIOBN.tce", LIOBN as 8 hexadecimal digits.
 * @err: what failed.
 *
 * Windows that are not set up have no entries and are left out.
 *
 * Return: 0, or a negative status.
 */
int export_stream_tables(struct stream_tables *tables, const char *folder, struct tce_error *err);

/**
 * close_stream_tables() - free what was kept
 * @tables: from open_stream_tables(), or all zeros but for an @fd of -1.
 */
void close_stream_tables(struct stream_tables *tables);

#endif
