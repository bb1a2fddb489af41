/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of tce-stream: the hooks in a stream that goes by, and the images that tables are
 * replaced from.
 */
#ifndef TCE_TOOLS_STREAM_H
#define TCE_TOOLS_STREAM_H

#include "source/stream-tables.h"

/**
 * struct import - a table that takes the place of one in the stream
 * @file: the image that has it.
 * @geometry: its header.
 * @place: where in the scratch file an image of it begins.
 * @used: the stream has such a table.
 * @next: another one.
 */
struct import {
	const char *file;
	struct tce_geometry geometry;
	off_t place;
	bool used;
	struct import *next;
};

/**
 * struct imports - all of them, and the one being read
 * @list: what was asked for, or NULL.
 * @by_liobn: the same as a tree of tsearch().
 * @fd: scratch file, or -1.
 * @current: the table that is being replaced, or NULL.
 * @reader: of its image.
 * @cursor: in its table.
 */
struct imports {
	struct import *list;
	void *by_liobn;
	int fd;
	struct import *current;
	struct tce_reader *reader;
	struct tce_cursor cursor;
};

/**
 * add_imports() - note every table of an image
 * @imports: added to.
 * @file: the image's name; must outlive the imports.
 * @err: what failed.
 *
 * All of the image is read, so that a damaged one is found before QEMU sends.
 *
 * Return: 0, or a negative status.
 */
int add_imports(struct imports *imports, const char *file, struct tce_error *err);

/**
 * begin_import() - a table of the stream begins: is it to be replaced?
 * @imports: all of them; @current is set if it is.
 * @table: the table.
 * @err: what failed.
 *
 * Return: 0, or a negative status.
 */
int begin_import(struct imports *imports, const struct tce_stream_table *table,
		 struct tce_error *err);

/**
 * read_import() - the next entries of the table that takes the other's place
 * @imports: with a current table.
 * @words: receives them.
 * @count: how many.
 * @err: what failed.
 *
 * Return: 0, or a negative status.
 */
int read_import(struct imports *imports, uint64_t *words, size_t count, struct tce_error *err);

/**
 * end_import() - the table that is being replaced has ended
 * @imports: with a current table.
 * @table: the table in the stream.
 * @err: how the two differ.
 *
 * Return: 0, or a negative status.
 */
int end_import(struct imports *imports, const struct tce_stream_table *table,
	       struct tce_error *err);

/**
 * check_imports_used() - whether the stream had every table that was to be replaced
 * @imports: all of them. The stream has ended.
 * @err: the first one that it did not have.
 *
 * Return: 0, or %TCE_ERR_NO_TABLE.
 */
int check_imports_used(const struct imports *imports, struct tce_error *err);

/**
 * close_imports() - free all of them
 * @imports: may be all zeros but for an @fd of -1.
 */
void close_imports(struct imports *imports);

/**
 * struct job - the command line, and what the hooks need
 * @pack: pack, not unpack.
 * @export_folder: where to put images, or NULL.
 * @stats: say what went through.
 * @json: as JSON.
 * @require: what can't be packed is an error.
 * @listen: address to listen at, or NULL for standard input and output.
 * @connect: address to connect to.
 * @imports: tables that are replaced.
 * @tables: tables kept for @export_folder.
 * @keep: hooks that keep them.
 */
struct job {
	bool pack;
	const char *export_folder;
	bool stats;
	bool json;
	bool require;
	const char *listen;
	const char *connect;
	struct imports imports;
	struct stream_tables tables;
	struct tce_stream_hooks keep;
};

/**
 * copy_stream() - pack or unpack a stream
 * @job: the command line.
 * @source: the stream.
 * @sink: takes it.
 * @hooked: export and import its tables, and say what they are.
 * @stats: receives what went through, also on failure.
 * @err: what failed.
 *
 * Return: 0, or a negative status.
 */
int copy_stream(struct job *job, const struct tce_source *source, const struct tce_sink *sink,
		bool hooked, struct tce_stream_stats *stats, struct tce_error *err);

/**
 * report_stream() - say what went through, if that was asked for, and what was not packed
 * @job: the command line.
 * @stats: from copy_stream().
 */
void report_stream(const struct job *job, const struct tce_stream_stats *stats);

/* stats.c: what --stats says of a table, and of the whole. */
void print_table_stats(const struct tce_stream_table *table);
void print_stream_stats(const struct tce_stream_stats *stats);
void print_json_stats(const struct tce_stream_stats *stats);

#endif /* TCE_TOOLS_STREAM_H */
