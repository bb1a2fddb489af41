// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What /proc says about a table's fd: its link, by which a table is recognised, and its fdinfo. A
 * patched kernel has lines of name, colon, tab and value there; a stock kernel has none.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tce-private.h"

#define PATCHED_LINK "anon_inode:kvm-tce:"
#define VIEW_LINK    "anon_inode:kvm-tce-view:"
#define STOCK_LINK   "anon_inode:kvm-spapr-tce"

bool tce_is_patched_link(const char *link)
{
	return !strncmp(link, PATCHED_LINK, strlen(PATCHED_LINK)) ||
	       !strncmp(link, VIEW_LINK, strlen(VIEW_LINK));
}

bool tce_is_stock_link(const char *link)
{
	return !strcmp(link, STOCK_LINK);
}

/* A number that is the whole of @text, decimal or 0x hexadecimal. */
static bool parse_value(const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	return !errno && end != text && (*end == '\n' || !*end);
}

FILE *tce_open_text(const char *path)
{
	int fd = tce_open_at(AT_FDCWD, path, O_RDONLY, 0);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

	if (!file && fd >= 0)
		close(fd);
	return file;
}

int tce_read_fdinfo(int fd, struct tce_fdinfo *info, struct tce_error *err)
{
	const struct {
		const char *name;
		uint64_t *value;
		unsigned int known;
	} numbers[] = {
		{ "tce-liobn:", &info->liobn, TCE_KNOWN_LIOBN },
		{ "tce-page-shift:", &info->page_shift, TCE_KNOWN_PAGE_SHIFT },
		{ "tce-bus-offset:", &info->bus_offset, TCE_KNOWN_BUS_OFFSET },
		{ "tce-entries:", &info->entries, TCE_KNOWN_ENTRIES },
		{ "tce-allocated-pages:", &info->stats.allocated_pages, 0 },
		{ "tce-hw-tables:", &info->stats.hw_tables, 0 },
		{ "kvm-vm:", &info->vm, 0 },
	};
	char path[48], line[160], text[80], name[80];
	FILE *file;
	size_t i;
	int ret = TCE_OK;

	memset(info, 0, sizeof(*info));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = tce_open_text(path);
	if (!file)
		return tce_set_error(err, TCE_ERR_IO, errno, "%s", path);

	while (!ret && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%79s %79s", name, text) != 2)
			continue;
		if (!strcmp(name, "tce-dirty-log:"))
			info->stats.dirty_log = !strcmp(text, "on");
		for (i = 0; i < ARRAY_SIZE(numbers); i++) {
			if (strcmp(name, numbers[i].name))
				continue;
			if (!parse_value(text, numbers[i].value))
				ret = tce_set_error(err, TCE_ERR_IO, 0,
						    "%s: %s is not a number: %s", path, name, text);
			info->known |= numbers[i].known;
			info->has_vm |= numbers[i].value == &info->vm;
		}
	}
	if (!ret && ferror(file))
		ret = tce_set_error(err, TCE_ERR_IO, errno, "%s", path);
	fclose(file);
	return ret;
}
