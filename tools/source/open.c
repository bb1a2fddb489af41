// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Finds out what a file is that tables are to be read from.
 */
#include <string.h>
#include <sys/stat.h>

#include "source/source.h"

/* Enough for every kind to know its own. */
#define HEAD_SIZE 4096

static const struct {
	bool (*is_it)(const uint8_t *head, size_t len);
	int (*open)(struct source **source, struct input *input, bool again, struct tce_error *err);
} file_kinds[] = {
	{ is_image, open_image_source },
	{ is_stream, open_stream_source },
};

/* Why a file of no kind that is known is none. */
static const char *say_unknown(const uint8_t *head, size_t len)
{
	if (!len)
		return "the file is empty";
	if ((len >= 4 && !memcmp(head,
				 "\x7f"
				 "ELF",
				 4)) ||
	    (len >= 8 && !memcmp(head, "KDUMP   ", 8)))
		return "a dump of memory alone: devices and their tables are not in it";
	return "not a TCE image";
}

int open_source(struct source **source, const char *name, bool again, struct tce_error *err)
{
	struct input *input;
	const uint8_t *head;
	struct stat st;
	size_t len, i;
	int ret;

	if (strcmp(name, "-") && !stat(name, &st) && S_ISDIR(st.st_mode))
		return open_criu_source(source, name, again, err);
	ret = open_input(&input, name, err);
	if (ret < 0)
		return ret;
	head = peek_input(input, HEAD_SIZE, &len, err);
	if (!head) {
		close_input(input);
		return TCE_ERR_IO;
	}
	for (i = 0; i < ARRAY_SIZE(file_kinds); i++) {
		if (file_kinds[i].is_it(head, len))
			return file_kinds[i].open(source, input, again, err);
	}
	ret = tce_set_error(err, TCE_ERR_NOT_IMAGE, 0, "%s", say_unknown(head, len));
	name_error(err, input->name);
	close_input(input);
	return ret;
}
