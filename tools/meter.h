/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Progress of long work, shown when stderr is a terminal.
 */
#ifndef TCE_TOOLS_METER_H
#define TCE_TOOLS_METER_H

#include <time.h>

#include "message.h"

/**
 * struct meter - progress of a long job, shown when stderr is a terminal
 * @what: the table that is read or written.
 * @began: when.
 * @shown: when a line was shown last; 0 seconds before the first.
 */
struct meter {
	char what[TABLE_NAME_SIZE];
	struct timespec began;
	struct timespec shown;
};

/**
 * begin_meter() - start to measure progress
 * @meter: filled in.
 * @geometry: header of the table that is read or written.
 *
 * Return: what to hand to libtce.
 */
struct tce_progress begin_meter(struct meter *meter, const struct tce_geometry *geometry);

/**
 * end_meter() - wipe the line, if one was shown
 * @meter: from begin_meter().
 */
void end_meter(struct meter *meter);

#endif /* TCE_TOOLS_METER_H */
