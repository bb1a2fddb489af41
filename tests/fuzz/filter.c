// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In place of tools/source/filter.c where libFuzzer drives: a program for each input would be
 * nearly all of its time. This one takes a header of 8 bytes away and gives the rest as it is, so
 * that what a program writes can be changed byte by byte. An odd last byte of the header is a
 * program that finds its input damaged.
 */
#include <errno.h>
#include <stdlib.h>

#include "fuzz.h"
#include "source/filter.h"

#define HEADER_SIZE 8

/**
 * struct filter - what stands for a program
 * @from: what it is given.
 * @ended: it has been read to its end.
 * @unreadable: what it is given could not be read.
 * @damaged: it says that its input is.
 */
struct filter {
	struct tce_source from;
	bool ended;
	bool unreadable;
	bool damaged;
};

static ssize_t take(struct filter *filter, void *buf, size_t len)
{
	const ssize_t got = filter->from.read(filter->from.ctx, buf, len);

	if (got <= 0)
		filter->ended = true;
	if (got < 0)
		filter->unreadable = true;
	return got < 0 ? 0 : got;
}

int open_filter(struct filter **result, const char *const *command, const struct tce_source *from,
		struct tce_error *err)
{
	struct filter *filter = calloc(1, sizeof(*filter));
	uint8_t header[HEADER_SIZE] = { 0 };
	size_t had = 0;

	if (!filter)
		return no_memory(err, command[0]);
	if (fails_now()) {
		free(filter);
		return tce_set_error(err, TCE_ERR_UNSUPPORTED, 0, "%s is not there", command[0]);
	}
	filter->from = *from;
	while (had < sizeof(header) && !filter->ended)
		had += (size_t)take(filter, header + had, sizeof(header) - had);
	filter->damaged = had < sizeof(header) || header[HEADER_SIZE - 1] % 2;
	*result = filter;
	return TCE_OK;
}

ssize_t read_filter(struct filter *filter, void *buf, size_t len)
{
	if (fails_now())
		return -EIO;
	return filter->ended ? 0 : take(filter, buf, len);
}

int finish_filter(struct filter *filter, struct tce_error *err)
{
	if (!filter->ended)
		return TCE_OK;
	if (filter->unreadable)
		return tce_set_error(err, TCE_ERR_IO, 0, "it cannot be read to its end");
	if (filter->damaged)
		return tce_set_error(err, TCE_ERR_CORRUPT, 0, "it is damaged");
	return TCE_OK;
}

void close_filter(struct filter *filter)
{
	free(filter);
}
