// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The second reading of the image: the words are written, all of them or none.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "meter.h"
#include "restore/restore.h"
#include "tce-stream.h"

/* Save what the live tables hold, in the order of the targets. */
static int save_old(struct restore *restore, struct tce_error *err)
{
	struct tce_writer *writer;
	struct tce_sink sink;
	size_t i;
	int ret;

	restore->scratch = open_scratch();
	if (restore->scratch < 0)
		return tce_set_error(err, TCE_ERR_IO, -restore->scratch,
				     "cannot make a scratch file");
	sink = tce_fd_sink(restore->scratch);
	ret = tce_create_writer(&writer, &sink, NULL, err);
	if (ret < 0)
		return ret;
	for (i = 0; !ret && i < restore->count; i++) {
		if (restore->targets[i].chosen)
			ret = tce_save_table(restore->targets[i].table, writer, NULL, err);
	}
	if (!ret)
		ret = tce_end_image(writer, err);
	tce_destroy_writer(writer);
	if (ret < 0)
		name_error(err, "saving what the tables hold now");
	return ret;
}

/* The second reading: write. */
static int write_tables(struct restore *restore, struct tce_error *err)
{
	struct tce_source source;
	struct tce_geometry geometry;
	struct tce_reader *reader = NULL;
	struct meter meter;
	size_t i;
	int ret;

	ret = rewind_input(restore->input, err);
	if (ret < 0)
		return ret;
	source = input_source(restore->input);
	ret = tce_create_reader(&reader, &source, err);
	for (i = 0; !ret && i < restore->count; i++) {
		struct target *target = &restore->targets[i];
		struct tce_progress progress;

		ret = tce_next_table(reader, &geometry, err);
		if (ret <= 0 || geometry.entries < target->saved.entries ||
		    geometry.liobn != target->saved.liobn) {
			if (ret >= 0)
				ret = tce_set_error(err, TCE_ERR_CORRUPT, 0,
						    "the image has changed while it was read");
			break;
		}
		if (!target->chosen) {
			ret = tce_skip_table(reader, err);
			continue;
		}
		ret = tell_guard(restore, i, err);
		if (ret < 0)
			break;
		target->touched = true;
		progress = begin_meter(&meter, &target->saved);
		ret = tce_load_table(target->table, reader, &target->loaded, &progress, err);
		end_meter(&meter);
	}
	/*
	 * Only at its end is an image known to be whole, also one that was overwritten meanwhile.
	 */
	if (!ret)
		ret = tce_next_table(reader, &geometry, err);
	tce_destroy_reader(reader);
	if (ret > 0)
		ret = tce_set_error(err, TCE_ERR_CORRUPT, 0,
				    "the image has changed while it was read");
	if (ret < 0)
		name_error(err, restore->input->name);
	return ret;
}

/* Say what had been written before the failure. */
static void print_written(const struct restore *restore)
{
	char name[TABLE_NAME_SIZE];
	size_t i;

	for (i = 0; i < restore->count; i++) {
		const struct target *target = &restore->targets[i];

		if (!target->touched)
			continue;
		format_table(&target->saved, name);
		if (target->loaded.written)
			print_warning("%s: entries 0 to %" PRIu64 " had been written", name,
				      target->loaded.written - 1);
		else
			print_warning("%s: no entry had been written", name);
	}
}

int restore_tables(struct restore *restore)
{
	struct tce_error error = TCE_ERROR_INIT, *err = &error;
	sigset_t blocked;
	int ret;

	ret = save_old(restore, err);
	if (ret < 0) {
		print_error(err);
		return ret;
	}

	/*
	 * Nothing but SIGKILL comes between the first word and the last, or the undoing; see the
	 * guard.
	 */
	sigfillset(&blocked);
	sigprocmask(SIG_BLOCK, &blocked, &restore->signals);
	restore->uninterrupted = true;
	ret = start_guard(restore, err);
	if (ret < 0) {
		print_error(err);
		return ret;
	}
	ret = write_tables(restore, err);
	if (ret < 0) {
		print_error(err);
		print_written(restore);
		undo(restore);
	}
	dismiss_guard(restore);
	return ret;
}

void allow_signals(struct restore *restore)
{
	if (restore->uninterrupted)
		sigprocmask(SIG_SETMASK, &restore->signals, NULL);
	restore->uninterrupted = false;
}
