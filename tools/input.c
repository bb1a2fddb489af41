// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Input that can be looked at before it is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "input.h"

#define COPY_SIZE 65536 /* what is moved at a time */

int open_scratch(void)
{
	const char *folders[] = { getenv("TMPDIR"), "/var/tmp", "/tmp" };
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(folders); i++) {
		if (!folders[i] || !*folders[i])
			continue;
		fd = open(folders[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (fd >= 0)
			return fd;
	}
	fd = memfd_create("tce-scratch", MFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static ssize_t input_read(void *ctx, void *buf, size_t len)
{
	struct input *input = ctx;
	const struct tce_source file = tce_fd_source(input->fd);
	size_t n = input->end - input->begin;
	ssize_t ret;

	if (!n) {
		if (len >= sizeof(input->buf))
			return file.read(file.ctx, buf, len);
		ret = file.read(file.ctx, input->buf, sizeof(input->buf));
		if (ret <= 0)
			return ret;
		input->begin = 0;
		input->end = (size_t)ret;
		n = (size_t)ret;
	}
	if (n > len)
		n = len;
	memcpy(buf, input->buf + input->begin, n);
	input->begin += n;
	return (ssize_t)n;
}

static int input_seek(void *ctx, int64_t distance)
{
	struct input *input = ctx;
	const int64_t ahead = (int64_t)(input->end - input->begin);

	if (distance >= 0 && distance <= ahead) {
		input->begin += (size_t)distance;
		return 0;
	}
	if (lseek(input->fd, distance - ahead, SEEK_CUR) < 0)
		return -errno;
	input->begin = 0;
	input->end = 0;
	return 0;
}

/* Put what is left of a pipe, what was read ahead included, into a scratch file, and read that. */
static int spool_input(struct input *input)
{
	static uint8_t buf[COPY_SIZE];
	struct tce_sink sink;
	ssize_t n;
	int fd, ret = 0;

	fd = open_scratch();
	if (fd < 0)
		return fd;
	sink = tce_fd_sink(fd);
	while (!ret && (n = input_read(input, buf, sizeof(buf))) != 0)
		ret = n < 0 ? (int)n : sink.write(sink.ctx, buf, (size_t)n);
	if (!ret && lseek(fd, 0, SEEK_SET) < 0)
		ret = -errno;
	if (input->fd != STDIN_FILENO)
		close(input->fd);
	input->fd = fd;
	input->start = 0;
	input->again = true;
	return ret;
}

int keep_input(struct input *input, struct tce_error *err)
{
	int ret = input->again ? 0 : spool_input(input);

	if (ret < 0) {
		ret = tce_set_error(err, TCE_ERR_IO, -ret, "cannot be kept to be read twice");
		name_error(err, input->name);
	}
	return ret;
}

int open_input(struct input **result, const char *name, struct tce_error *err)
{
	struct input *input = malloc(sizeof(*input));
	int ret;

	if (!input)
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for a buffer");
	input->begin = 0;
	input->end = 0;
	if (!strcmp(name, "-")) {
		input->name = "standard input";
		input->fd = STDIN_FILENO;
	} else {
		input->name = name;
		input->fd = open(name, O_RDONLY | O_CLOEXEC);
	}
	if (input->fd < 0) {
		ret = tce_set_error(err, TCE_ERR_IO, errno, "cannot be opened");
		goto out_close;
	}

	input->start = lseek(input->fd, 0, SEEK_CUR);
	input->again = input->start >= 0;
	*result = input;
	return TCE_OK;

out_close:
	name_error(err, input->name);
	close_input(input);
	return ret;
}

/* Read what comes through a pipe, and drop it. Return: 0, or a negative errno. */
static int drain(int fd, uint64_t count)
{
	static uint8_t buf[COPY_SIZE];
	const struct tce_source file = tce_fd_source(fd);
	ssize_t n;

	for (; count; count -= (size_t)n) {
		n = file.read(file.ctx, buf, count < sizeof(buf) ? (size_t)count : sizeof(buf));
		if (n <= 0)
			return n ? (int)n : -ENODATA;
	}
	return 0;
}

int skip_input(struct input *input, uint64_t offset, struct tce_error *err)
{
	int ret = 0;

	if (!offset)
		return TCE_OK;
	if (!input->again) {
		ret = drain(input->fd, offset);
	} else if (offset > INT64_MAX || lseek(input->fd, (off_t)offset, SEEK_CUR) < 0) {
		ret = offset > INT64_MAX ? -EOVERFLOW : -errno;
	} else {
		input->start += (off_t)offset;
	}
	if (ret == -ENODATA)
		ret = tce_set_error(err, TCE_ERR_TORN, 0, "it ends before the offset");
	else if (ret < 0)
		ret = tce_set_error(err, TCE_ERR_IO, -ret, "cannot go to the offset");
	if (ret < 0)
		name_error(err, input->name);
	return ret;
}

const uint8_t *peek_input(struct input *input, size_t len, size_t *got, struct tce_error *err)
{
	const struct tce_source file = tce_fd_source(input->fd);

	while (input->end < len) {
		ssize_t n = file.read(file.ctx, input->buf + input->end, len - input->end);

		if (n < 0) {
			tce_set_error(err, TCE_ERR_IO, (int)-n, "cannot be read");
			name_error(err, input->name);
			return NULL;
		}
		if (!n)
			break;
		input->end += (size_t)n;
	}
	*got = input->end;
	return input->buf;
}

struct tce_source input_source(struct input *input)
{
	return (struct tce_source){ .read = input_read, .ctx = input, .seek = input_seek };
}

int rewind_input(struct input *input, struct tce_error *err)
{
	if (!input->again || lseek(input->fd, input->start, SEEK_SET) < 0) {
		tce_set_error(err, TCE_ERR_IO, input->again ? errno : ESPIPE,
			      "cannot be read a second time");
		name_error(err, input->name);
		return TCE_ERR_IO;
	}
	input->begin = 0;
	input->end = 0;
	return TCE_OK;
}

int check_input_end(struct input *input, struct tce_error *err)
{
	char more;
	ssize_t n = input_read(input, &more, 1);
	int ret = TCE_OK;

	if (n < 0)
		ret = tce_set_error(err, TCE_ERR_IO, (int)-n, "cannot be read to its end");
	else if (n)
		ret = tce_set_error(err, TCE_ERR_CORRUPT, 0, "more bytes follow the image's end");
	if (ret < 0)
		name_error(err, input->name);
	return ret;
}

void close_input(struct input *input)
{
	if (!input)
		return;
	if (input->fd > STDERR_FILENO)
		close(input->fd);
	free(input);
}
