/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of tce-restore: what the command line says, which table of the image goes where, and
 * the writing and undoing.
 */
#ifndef TCE_TOOLS_RESTORE_H
#define TCE_TOOLS_RESTORE_H

#include <signal.h>
#include <sys/types.h>

#include "cli.h"
#include "geometry.h"
#include "input.h"

#define MAPPINGS_MAX 256

/**
 * struct mapping - a --map-liobn
 * @from: LIOBN in the image.
 * @to: LIOBN of the live table.
 * @used: the image has such a table, and it is restored.
 */
struct mapping {
	uint64_t from;
	uint64_t to;
	bool used;
};

/**
 * struct options - the command line
 * @pid: the VMM.
 * @fd: the table's number in the VMM or, without @pid, in this process.
 * @liobn: the one table of the image to restore.
 * @vm: only tables of this virtual machine.
 * @stated: what the command line says of the table.
 * @by_hand: parts of the geometry that the image does not know.
 * @dry_run: write nothing.
 * @json: print JSON.
 * @mappings: LIOBNs that change.
 * @mapping_count: how many.
 * @image: the image's name.
 */
struct options {
	struct cli_number pid;
	struct cli_number fd;
	struct cli_number liobn;
	struct cli_number vm;
	struct stated_geometry stated;
	struct tce_geometry by_hand;
	bool dry_run;
	bool json;
	struct mapping mappings[MAPPINGS_MAX];
	size_t mapping_count;
	const char *image;
};

/**
 * struct target - a table of the image and where it goes
 * @saved: header in the image, with what was said by hand.
 * @chosen: it is to be restored.
 * @table: the live table; owned by the VMM or the restore.
 * @touched: writing has begun.
 * @loaded: what the table has of the image; in a dry run, what it would have.
 */
struct target {
	struct tce_geometry saved;
	bool chosen;
	struct tce_table *table;
	bool touched;
	struct tce_loaded loaded;
};

/**
 * struct restore - everything at work
 * @options: the command line.
 * @input: the image.
 * @vmm: the process, or NULL.
 * @own: the table behind an inherited fd, or NULL.
 * @targets: tables of the image, in its order.
 * @count: how many.
 * @scratch: what the live tables held, as an image.
 * @signals: those that were blocked before the writing.
 * @uninterrupted: all signals are blocked now.
 * @guard: the process that watches over the writing.
 * @to_guard: socket to it.
 */
struct restore {
	struct options *options;
	struct input *input;
	struct tce_vmm *vmm;
	struct tce_table *own;
	struct target *targets;
	size_t count;
	int scratch;
	sigset_t signals;
	bool uninterrupted;
	pid_t guard;
	int to_guard;
};

/**
 * target_error() - put a table's name into an error
 * @target: the table: its LIOBN in the image is used.
 * @err: filled in.
 *
 * Return: the error's status.
 */
int target_error(const struct target *target, struct tce_error *err);

/* image.c: read the image a first time: is it whole, and what is in it? */
int check_image(struct restore *restore, struct tce_error *err);

/*
 * target.c: open what is to be filled; then find the place of every table and compare geometries.
 */
int open_target(struct restore *restore, struct tce_error *err);
int find_targets(struct restore *restore, struct tce_error *err);

/*
 * write.c: write all tables or none. Prints what fails. Signals are blocked when it returns, so
 * that somebody says what has been done: allow_signals() after that.
 */
int restore_tables(struct restore *restore);
void allow_signals(struct restore *restore);

/* undo.c: put back what the tables held, and say whether that went well. */
void undo(struct restore *restore);

/**
 * start_guard() - start the process that undoes what this one leaves when it is killed
 * @restore: everything at work.
 * @err: what failed.
 *
 * Return: 0, or %TCE_ERR_IO.
 */
int start_guard(struct restore *restore, struct tce_error *err);

/**
 * tell_guard() - tell the guard that the writing of a table begins
 * @restore: everything at work.
 * @number: the target's.
 * @err: what failed.
 *
 * Return: 0, or %TCE_ERR_IO.
 */
int tell_guard(const struct restore *restore, size_t number, struct tce_error *err);

/**
 * dismiss_guard() - the guard is not needed any more
 * @restore: everything at work.
 */
void dismiss_guard(struct restore *restore);

#endif /* TCE_TOOLS_RESTORE_H */
