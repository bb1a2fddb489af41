// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: tce-image --from-json. What it takes becomes an image that reads back.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "image/image.h"
#include "output.h"

/* A line of JSON is a run of the image, and a number may be short. */
#define OUTPUT_MAX (8 << 20)

static uint8_t made[OUTPUT_MAX];
static size_t made_size;

static int keep(void *ctx, const void *buf, size_t len)
{
	if (len > sizeof(made) - made_size || fails_now())
		return -1;
	memcpy(made + made_size, buf, len);
	made_size += len;
	return 0;
}

/* In the place of output.c: an image that goes nowhere. */
int open_output(struct output *output, const char *path, struct tce_error *err)
{
	*output = (struct output){ .sink = { .write = keep }, .path = path };
	made_size = 0;
	return 0;
}

int commit_output(struct output *output, struct tce_error *err)
{
	return 0;
}

void close_output(struct output *output)
{
}

static void read_back(void)
{
	struct fuzz_bytes bytes = { made, made_size };
	struct tce_source source = bytes_source(&bytes);
	struct tce_geometry geometry;
	struct tce_reader *reader;
	struct tce_extent extent;
	int ret;

	if (tce_create_reader(&reader, &source, NULL)) {
		if (!has_failed())
			abort();
		return;
	}
	while ((ret = tce_next_table(reader, &geometry, NULL)) > 0) {
		while ((ret = tce_next_extent(reader, &extent, NULL)) > 0)
			;
		if (ret)
			break;
	}
	if (ret && !has_failed())
		abort();
	tce_destroy_reader(reader);
}

void fuzz_one(const uint8_t *data, size_t size)
{
	static int file = -1;
	struct tce_error err = TCE_ERROR_INIT;
	char name[64];
	int ret;

	if (file < 0)
		file = memfd_create("input", MFD_CLOEXEC);
	fuzz_put_file(file, data, size);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
	quiet = true;
	ret = image_from_json(name, "image", &err);
	check_status(ret, &err);
	if (!ret)
		read_back();
}
