// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tables from a TCE image.
 */
#include <stdlib.h>
#include <string.h>

#include "source/source.h"

struct image_source {
	struct source base;
	struct input *input;
	struct tce_reader *reader;
};

static int begin_image(struct image_source *image, struct tce_error *err)
{
	struct tce_source from = input_source(image->input);
	int ret = tce_create_reader(&image->reader, &from, err);

	if (ret < 0)
		name_error(err, image->base.name);
	else
		snprintf(image->base.made_by, sizeof(image->base.made_by), "%s",
			 tce_reader_made_by(image->reader));
	return ret;
}

static int image_next_table(struct source *source, struct tce_geometry *geometry,
			    struct tce_error *err)
{
	struct image_source *image = (struct image_source *)source;
	int ret = tce_next_table(image->reader, geometry, err);

	if (!ret)
		ret = check_input_end(image->input, err);
	if (ret < 0)
		name_error(err, source->name);
	return ret;
}

static int image_next_extent(struct source *source, struct tce_extent *extent,
			     struct tce_error *err)
{
	struct image_source *image = (struct image_source *)source;
	int ret = tce_next_extent(image->reader, extent, err);

	if (ret < 0)
		name_error(err, source->name);
	return ret;
}

static int image_skip_table(struct source *source, struct tce_error *err)
{
	struct image_source *image = (struct image_source *)source;
	int ret = image->input->again ? tce_skip_table(image->reader, err) : 0;

	if (ret < 0)
		name_error(err, source->name);
	return ret;
}

static int image_rewind(struct source *source, struct tce_error *err)
{
	struct image_source *image = (struct image_source *)source;
	int ret = rewind_input(image->input, err);

	if (ret < 0)
		return ret;
	tce_destroy_reader(image->reader);
	image->reader = NULL;
	return begin_image(image, err);
}

static void image_close(struct source *source)
{
	struct image_source *image = (struct image_source *)source;

	tce_destroy_reader(image->reader);
	close_input(image->input);
	free(image);
}

static const struct source_ops image_ops = {
	.next_table = image_next_table,
	.next_extent = image_next_extent,
	.skip_table = image_skip_table,
	.rewind = image_rewind,
	.close = image_close,
};

bool is_image(const uint8_t *head, size_t len)
{
	return len >= 4 && !memcmp(head, "\x89TCE", 4);
}

/* The bytes that an input begins with, as a source. */
struct head {
	const uint8_t *bytes;
	size_t left;
};

static ssize_t read_head(void *ctx, void *buf, size_t len)
{
	struct head *head = ctx;

	if (len > head->left)
		len = head->left;
	memcpy(buf, head->bytes, len);
	head->bytes += len;
	head->left -= len;
	return (ssize_t)len;
}

/* The updates of an image are read side by side: they can't come through a pipe. */
static int keep_updates(struct input *input, struct tce_error *err)
{
	struct head head;
	const struct tce_source source = { .read = read_head, .ctx = &head };
	struct tce_reader *reader;
	uint32_t version;

	if (input->again)
		return TCE_OK;
	head.bytes = peek_input(input, sizeof(input->buf), &head.left, err);
	if (!head.bytes)
		return TCE_ERR_IO;
	/* What is wrong with the header is said when it is read. */
	if (tce_create_reader(&reader, &source, NULL) < 0)
		return TCE_OK;
	version = tce_reader_version(reader);
	tce_destroy_reader(reader);
	return version > 1 ? keep_input(input, err) : TCE_OK;
}

int open_image_source(struct source **source, struct input *input, bool again,
		      struct tce_error *err)
{
	struct image_source *image = calloc(1, sizeof(*image));
	int ret;

	if (!image) {
		close_input(input);
		return no_memory(err, "an image");
	}
	image->base.ops = &image_ops;
	snprintf(image->base.name, sizeof(image->base.name), "%s", input->name);
	image->input = input;
	ret = again ? keep_input(input, err) : keep_updates(input, err);
	if (!ret)
		ret = begin_image(image, err);
	if (ret < 0) {
		image_close(&image->base);
		return ret;
	}
	*source = &image->base;
	return TCE_OK;
}
