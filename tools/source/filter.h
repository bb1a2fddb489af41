/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program that is given bytes and gives others back.
 */
#ifndef TCE_TOOLS_FILTER_H
#define TCE_TOOLS_FILTER_H

#include "message.h"

struct filter;

/**
 * open_filter() - start a program
 * @filter: receives it; free it with close_filter().
 * @command: its name, which is looked for in $PATH, and its arguments; ends with NULL.
 * @from: what it is given; read by another process from now on.
 * @err: what failed, above all that it is not installed.
 *
 * Return: 0, or a negative status.
 */
int open_filter(struct filter **filter, const char *const *command, const struct tce_source *from,
		struct tce_error *err);

/* What it gives. Returns how many bytes, 0 at the end, or a negative errno. */
ssize_t read_filter(struct filter *filter, void *buf, size_t len);

/**
 * finish_filter() - has the program ended well?
 * @filter: the program. If it has not been read to its end, nothing is said of it.
 * @err: what failed.
 *
 * Return: 0, or a negative status.
 */
int finish_filter(struct filter *filter, struct tce_error *err);

/* End the program if it still runs, and free it, or NULL. */
void close_filter(struct filter *filter);

#endif /* TCE_TOOLS_FILTER_H */
