/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where tce-dump gets tables from: one interface, one file of this folder for each kind. A kind
 * that is a file says by its first bytes that it is meant; open.c asks each of them.
 */
#ifndef TCE_TOOLS_SOURCE_H
#define TCE_TOOLS_SOURCE_H

#include <limits.h>
#include <sys/types.h>

#include "input.h"
#include "tce.h"

struct source;

/**
 * struct source_ops - what a kind of source does
 * @next_table: go to the next table. 1 with its geometry, 0 after the last, or a negative status.
 *	What is left of the table before is passed over.
 * @next_extent: next piece of the table, in index order; its words are valid until the next call.
 *	1 with an extent, 0 at the table's end, or a negative status.
 * @skip_table: go to the table's end without reading its entries; NULL where next_table does that,
 *	or nothing can.
 * @read_entry: get one entry of the table; NULL where they can only be read in order.
 * @read_stats: what the kernel counts for the table; NULL where there is no kernel to ask.
 * @rewind: go back to before the first table.
 * @check: is what there must be beside the tables there, and whole? NULL where there is nothing.
 * @close: free everything.
 *
 * Errors name the file in tce_error.file.
 */
struct source_ops {
	int (*next_table)(struct source *source, struct tce_geometry *geometry,
			  struct tce_error *err);
	int (*next_extent)(struct source *source, struct tce_extent *extent, struct tce_error *err);
	int (*skip_table)(struct source *source, struct tce_error *err);
	int (*read_entry)(struct source *source, uint64_t index, uint64_t *tce,
			  struct tce_error *err);
	int (*read_stats)(struct source *source, struct tce_table_stats *stats,
			  struct tce_error *err);
	int (*rewind)(struct source *source, struct tce_error *err);
	int (*check)(struct source *source, struct tce_error *err);
	void (*close)(struct source *source);
};

/**
 * struct source - beginning of every kind's own structure
 * @ops: what it does.
 * @name: for people and for messages.
 * @made_by: the program that wrote an image, or empty.
 */
struct source {
	const struct source_ops *ops;
	char name[PATH_MAX];
	char made_by[128];
};

/**
 * struct live_choice - which live tables, and what was said of them by hand
 * @pid: the VMM, or 0.
 * @fd: the table's fd, in the VMM or, without a VMM, our own; or -1 for all tables.
 * @geometry: parts given by hand; its LIOBN, and its VM, choose a table.
 */
struct live_choice {
	pid_t pid;
	int fd;
	struct tce_geometry geometry;
};

/**
 * open_source() - open a file or a folder, whatever it is
 * @source: receives the source; free it with close_source().
 * @name: its name, or "-". Must outlive the source.
 * @again: rewind will be used.
 * @err: what failed.
 *
 * Return: 0, or a negative status; %TCE_ERR_NOT_IMAGE for a kind that is not known.
 */
int open_source(struct source **source, const char *name, bool again, struct tce_error *err);

/**
 * struct place - what of a file is meant
 * @offset: where it begins, in bytes.
 * @snapshot: name or ID of a snapshot in a disk, or NULL.
 */
struct place {
	uint64_t offset;
	const char *snapshot;
};

/**
 * open_source_at() - open what is in the middle of a file
 * @source: receives the source; free it with close_source().
 * @name: the file's name, or "-". Must outlive the source.
 * @place: what of it.
 * @again: rewind will be used.
 * @err: what failed.
 *
 * Return: as open_source(); %TCE_ERR_ARG for a place in what has none.
 */
int open_source_at(struct source **source, const char *name, const struct place *place, bool again,
		   struct tce_error *err);

/**
 * close_source() - free a source
 * @source: the source, or NULL.
 */
static inline void close_source(struct source *source)
{
	if (source)
		source->ops->close(source);
}

/* live.c: a running VMM, or a table fd that was inherited. */
int open_live_source(struct source **source, const struct live_choice *choice,
		     struct tce_error *err);

/* image.c: a TCE image. The source takes the input over, also when it fails. */
bool is_image(const uint8_t *head, size_t len);
int open_image_source(struct source **source, struct input *input, bool again,
		      struct tce_error *err);

/* stream.c: a migration stream, or a libvirt save file. Takes the input over as well. */
bool is_stream(const uint8_t *head, size_t len);
int open_stream_source(struct source **source, struct input *input, bool again,
		       struct tce_error *err);

/* The same, in a snapshot of a qcow2 disk; see disk.h. */
int open_disk_source(struct source **source, struct input *input, const char *snapshot,
		     struct tce_error *err);

/* criu.c: a CRIU image folder; its tables are TCE images. */
int check_criu_folder(const char *folder, struct tce_error *err);
int open_criu_source(struct source **source, const char *folder, bool again, struct tce_error *err);

#endif /* TCE_TOOLS_SOURCE_H */
