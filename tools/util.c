// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Helpers that the tools share.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

const char *program = "tce";

int print_error(const struct tce_error *err)
{
	char line[640];

	fprintf(stderr, "%s: %s\n", program, tce_format_error(err, line, sizeof(line)));
	return EXIT_FAILED;
}

void print_note(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

int misuse(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n%s: try '%s --help'\n", program, program);
	return EXIT_MISUSE;
}

void name_error(struct tce_error *err, const char *name)
{
	if (!err->file[0])
		snprintf(err->file, sizeof(err->file), "%s", name);
}

bool parse_number(const char *text, uint64_t max, uint64_t *value)
{
	const bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	char *end;

	/* strtoull() would take blanks and signs. */
	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, hex ? 16 : 10);
	return !errno && !*end && *value <= max;
}

void print_text(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, out);
}

const char *format_table(const struct tce_geometry *geometry, char *buf)
{
	if (geometry->known & TCE_KNOWN_LIOBN)
		snprintf(buf, TABLE_NAME_SIZE, "LIOBN 0x%" PRIx64, geometry->liobn);
	else
		snprintf(buf, TABLE_NAME_SIZE, "LIOBN unknown");
	return buf;
}

int finish_output(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "%s: standard output: %s\n", program, strerror(errno));
	return EXIT_FAILED;
}

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
	size_t n = input->end - input->begin;
	ssize_t ret;

	if (!n) {
		do {
			if (len >= sizeof(input->buf))
				ret = read(input->fd, buf, len);
			else
				ret = read(input->fd, input->buf, sizeof(input->buf));
		} while (ret < 0 && errno == EINTR);
		if (ret < 0)
			return -errno;
		if (len >= sizeof(input->buf) || !ret)
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
	static uint8_t buf[65536];
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

const uint8_t *peek_input(struct input *input, size_t len, size_t *got, struct tce_error *err)
{
	while (input->end < len) {
		ssize_t n = read(input->fd, input->buf + input->end, len - input->end);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			tce_set_error(err, TCE_ERR_IO, errno, "cannot be read");
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

void close_input(struct input *input)
{
	if (!input)
		return;
	if (input->fd > STDERR_FILENO)
		close(input->fd);
	free(input);
}

static double seconds_since(const struct timespec *then, const struct timespec *now)
{
	return (double)(now->tv_sec - then->tv_sec) + (double)(now->tv_nsec - then->tv_nsec) / 1e9;
}

static void step_meter(void *ctx, uint64_t done, uint64_t total)
{
	struct meter *meter = ctx;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (seconds_since(&meter->began, &now) < 1 ||
	    (meter->shown.tv_sec && seconds_since(&meter->shown, &now) < 0.2))
		return;
	meter->shown = now;
	fprintf(stderr, "\r%s: %s: %3.0f %%", program, meter->what,
		100.0 * (double)done / (double)total);
}

struct tce_progress begin_meter(struct meter *meter, const struct tce_geometry *geometry)
{
	format_table(geometry, meter->what);
	clock_gettime(CLOCK_MONOTONIC, &meter->began);
	meter->shown = (struct timespec){ 0 };
	return (struct tce_progress){
		.step = isatty(STDERR_FILENO) ? step_meter : NULL,
		.ctx = meter,
	};
}

void end_meter(struct meter *meter)
{
	if (meter->shown.tv_sec)
		fprintf(stderr, "\r\033[K");
}
