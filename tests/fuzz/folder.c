// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: CRIU image folders, as tce-dump reads them. An input is the files of a folder, each
 * as u8 number of its name, le16 size, and its bytes.
 *
 * A changed byte would always be stopped at a hash, so this program has one that is always 0, and a
 * library that takes any.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "fuzz.h"
#include "source/source.h"

static const char *const names[] = {
	"kvm-dump.img",	  "kvm-tce-1-80000000.img",  "kvm-tce-2-80000000.img", "kvm-tce-1-1000.img",
	"kvm-vm-1.img",	  "kvm-file-1.img",	     "kvm-file-2.img",	       "kvm-hpt-1.img",
	"inventory.img",  "kvm-tce-1-80000000z.img", "kvm-tce-.img",	       "kvm-socket-9.img",
	"kvm-file-a.img", "kvm-vcpu-1-0.img",	     "kvm-irqchip-1.img",      "kvm-task-1.img",
};

#define EXTENTS_MAX 100000

static char path[64];
static int folder = -1;

XXH64_hash_t __wrap_XXH3_64bits_digest(const void *state);
XXH64_hash_t __wrap_XXH3_64bits_digest(const void *state)
{
	return 0;
}

static void remove_folder(void)
{
	rmdir(path);
}

static void open_folder(void)
{
	const char *under = getenv("TMPDIR");

	snprintf(path, sizeof(path), "%.40s/fuzz-XXXXXX", under ? under : "/tmp");
	if (!mkdtemp(path))
		abort();
	folder = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		abort();
	atexit(remove_folder);
}

static void write_files(const uint8_t *data, size_t size)
{
	while (size >= 3) {
		const char *name = names[data[0] % ARRAY_SIZE(names)];
		size_t len = data[1] | (size_t)data[2] << 8;
		int fd;

		data += 3;
		size -= 3;
		if (len > size)
			len = size;
		fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		fuzz_put_file(fd, data, len);
		close(fd);
		data += len;
		size -= len;
	}
}

static int show(struct source *source, struct tce_error *err)
{
	struct tce_geometry geometry;
	struct tce_extent extent;
	unsigned int extents = 0;
	int ret;

	while ((ret = source->ops->next_table(source, &geometry, err)) > 0) {
		if (geometry.entries % 4 == 2) {
			ret = source->ops->skip_table(source, err);
			if (ret < 0)
				break;
			continue;
		}
		while ((ret = source->ops->next_extent(source, &extent, err)) > 0) {
			if (extent.first >= geometry.entries || !extent.count ||
			    extent.count > geometry.entries - extent.first)
				abort();
			if (++extents == EXTENTS_MAX)
				return 0;
		}
		if (!ret && geometry.entries % 2)
			return source->ops->rewind(source, err);
		if (ret < 0)
			break;
	}
	return ret;
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct tce_error err = TCE_ERROR_INIT;
	struct source *source;
	size_t i;
	int ret;

	if (folder < 0)
		open_folder();
	write_files(data, size);
	ret = open_source(&source, path, size % 2, &err);
	check_status(ret, &err);
	if (!ret) {
		ret = source->ops->check(source, &err);
		check_status(ret, &err);
		ret = show(source, &err);
		check_status(ret, &err);
		close_source(source);
	}
	for (i = 0; i < ARRAY_SIZE(names); i++)
		unlinkat(folder, names[i], 0);
}
