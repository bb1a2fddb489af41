// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Finds out what a file is that tables are to be read from.
 */
#include <string.h>
#include <sys/stat.h>

#include "source/disk.h"
#include "source/source.h"

/* Enough to recognise every kind. */
#define HEAD_SIZE 4096

static const struct {
	bool (*is_it)(const uint8_t *head, size_t len);
	int (*open)(struct source **source, struct input *input, bool again, struct tce_error *err);
} file_kinds[] = {
	{ is_image, open_image_source },
	{ is_stream, open_stream_source },
};

/* Files that have no tables, and how they begin. */
static const struct {
	const char *magic;
	const char *what;
} others[] = {
#define MEMORY "a dump of memory alone: devices and their tables are not in it"
	{ "\x7f"
	  "ELF",
	  MEMORY },
	{ "KDUMP   ", MEMORY },
	{ "makedumpfile", MEMORY },
#undef MEMORY
};

static bool is_zero(const uint8_t *head, size_t len)
{
	return !head[0] && !memcmp(head, head + 1, len - 1);
}

/* Why a file of no kind that is known is none. */
static const char *say_unknown(const uint8_t *head, size_t len)
{
	size_t i, n;

	if (!len)
		return "the file is empty";
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		n = strlen(others[i].magic);
		if (len >= n && !memcmp(head, others[i].magic, n))
			return others[i].what;
	}
	if (is_zero(head, len))
		return "it begins with zeros; what QEMU wrote at an offset is read with --offset";
	return "not a TCE image";
}

static int no_place(const char *name, const char *what, struct tce_error *err)
{
	tce_set_error(err, TCE_ERR_ARG, 0, "%s", what);
	name_error(err, name);
	return TCE_ERR_ARG;
}

/* Open it by what it begins with. */
static int open_file(struct source **source, struct input *input, const struct place *place,
		     bool again, struct tce_error *err)
{
	const uint8_t *head;
	size_t len, i;
	int ret;

	ret = skip_input(input, place->offset, err);
	if (ret < 0)
		goto out_close;
	head = peek_input(input, HEAD_SIZE, &len, err);
	if (!head) {
		ret = TCE_ERR_IO;
		goto out_close;
	}
	if (is_disk(head, len))
		return open_disk_source(source, input, place->snapshot, err);
	if (place->snapshot) {
		ret = no_place(input->name, "it is not a qcow2 disk, so it has no snapshots", err);
		goto out_close;
	}
	for (i = 0; i < ARRAY_SIZE(file_kinds); i++) {
		if (file_kinds[i].is_it(head, len))
			return file_kinds[i].open(source, input, again, err);
	}
	if (!len && place->offset)
		ret = tce_set_error(err, TCE_ERR_TORN, 0, "it ends before the offset");
	else
		ret = tce_set_error(err, TCE_ERR_NOT_IMAGE, 0, "%s", say_unknown(head, len));
	name_error(err, input->name);
out_close:
	close_input(input);
	return ret;
}

int open_source_at(struct source **source, const char *name, const struct place *place, bool again,
		   struct tce_error *err)
{
	struct input *input;
	struct stat st;
	int ret;

	if (strcmp(name, "-") && !stat(name, &st) && S_ISDIR(st.st_mode))
		return place->offset || place->snapshot ?
			       no_place(name, "it is a folder: it has no offset and no snapshots",
					err) :
			       open_criu_source(source, name, again, err);
	ret = open_input(&input, name, err);
	return ret < 0 ? ret : open_file(source, input, place, again, err);
}

int open_source(struct source **source, const char *name, bool again, struct tce_error *err)
{
	const struct place whole = { 0 };

	return open_source_at(source, name, &whole, again, err);
}
