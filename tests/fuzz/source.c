// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: the files that tce-dump takes: images, streams, packed ones, libvirt's save files
 * and dumps, compressed or not. What is said of a table holds for each of its entries, and a file
 * that is read twice says the same twice.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "source/source.h"

#define EXTENTS_MAX 100000

/* A sum of all that a source shows. Returns its last status. */
static int show(struct source *source, uint64_t *sum, struct tce_error *err)
{
	struct tce_geometry geometry;
	struct tce_extent extent;
	unsigned int extents = 0;
	uint64_t i;
	int ret;

	*sum = 0;
	while ((ret = source->ops->next_table(source, &geometry, err)) > 0) {
		if (source->ops->skip_table && geometry.entries % 8 == 5) {
			ret = source->ops->skip_table(source, err);
			if (ret < 0)
				return ret;
			continue;
		}
		while ((ret = source->ops->next_extent(source, &extent, err)) > 0) {
			if (extent.first >= geometry.entries || !extent.count ||
			    extent.count > geometry.entries - extent.first)
				abort();
			*sum = *sum * 31 + extent.first + extent.tce * extent.count;
			for (i = 0; extent.words && i < extent.count; i++)
				*sum = *sum * 31 + extent.words[i];
			if (++extents == EXTENTS_MAX)
				return 0;
		}
		if (ret < 0)
			break;
	}
	return ret;
}

void fuzz_one(const uint8_t *data, size_t size)
{
	static int file = -1;
	struct tce_error err = TCE_ERROR_INIT;
	struct source *source;
	uint64_t first, second;
	char name[64];
	int ret;

	if (file < 0)
		file = memfd_create("input", MFD_CLOEXEC);
	fuzz_put_file(file, data, size);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
	ret = open_source(&source, name, true, &err);
	check_status(ret, &err);
	if (ret)
		return;
	ret = show(source, &first, &err);
	check_status(ret, &err);
	if (!ret && !source->ops->rewind(source, &err)) {
		ret = show(source, &second, &err);
		check_status(ret, &err);
		if ((ret || first != second) && !has_failed())
			abort();
	}
	close_source(source);
}
