// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reads a QEMU migration stream piece by piece and hands on what has been parsed.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "stream-input.h"

/* Small enough to stay in the processor's cache. */
#define BUFFER_SIZE	(256U << 10)

int tce_stream_open_input(struct stream_input *in, const struct tce_source *source,
			  const struct stream_output *out, struct tce_stream_stats *stats,
			  struct tce_error *err)
{
	uint8_t *room = malloc(OUTPUT_HEADROOM + BUFFER_SIZE);

	*in = (struct stream_input) {
		.source = *source, .out = out, .stats = stats, .err = err,
		.size = BUFFER_SIZE, .where = "stream",
	};
	if (!room)
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for a stream");
	in->buf = room + OUTPUT_HEADROOM;
	return 0;
}

void tce_stream_close_input(struct stream_input *in)
{
	if (in->buf)
		free(in->buf - OUTPUT_HEADROOM);
}

int tce_stream_grow_input(struct stream_input *in, size_t size)
{
	uint8_t *room;

	if (size <= in->size)
		return 0;
	room = realloc(in->buf - OUTPUT_HEADROOM, OUTPUT_HEADROOM + size);
	if (!room)
		return tce_set_error(in->err, TCE_ERR_NOMEM, 0, "no memory for %s", in->where);
	in->buf = room + OUTPUT_HEADROOM;
	in->size = size;
	return 0;
}

int tce_stream_fail(struct stream_input *in, int code, const char *format, ...)
{
	char text[160];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	tce_set_error(in->err, code, 0, "%s: %s", in->where, text);
	if (in->err) {
		in->err->offset = stream_position(in);
		in->err->fields |= TCE_ERROR_OFFSET;
	}
	return code;
}

int tce_stream_emit(struct stream_input *in)
{
	int ret = 0;

	if (in->pos > in->start && in->out && in->out->bytes)
		ret = in->out->bytes(in->out->ctx, in->buf + in->start, in->pos - in->start,
				     in->err);
	in->start = in->pos;
	return ret;
}

int tce_stream_fill(struct stream_input *in, size_t n)
{
	ssize_t got;
	int ret;

	while (in->end - in->pos < n) {
		if (in->eof)
			return 0;
		ret = tce_stream_emit(in);
		if (ret)
			return ret;
		if (in->pos) {
			memmove(in->buf, in->buf + in->pos, in->end - in->pos);
			in->base += in->pos;
			in->end -= in->pos;
			in->start = 0;
			in->pos = 0;
		}
		got = in->source.read(in->source.ctx, in->buf + in->end, in->size - in->end);
		if (got < 0)
			return tce_set_error(in->err, TCE_ERR_IO, (int)-got, "cannot read");
		if (got == 0)
			in->eof = true;
		in->end += (size_t)got;
		in->stats->bytes = in->base + in->end;
	}
	return 1;
}

int tce_stream_need(struct stream_input *in, size_t n, const char *what)
{
	int ret = tce_stream_fill(in, n);

	if (ret == 0) {
		in->pos = in->end;
		return tce_stream_fail(in, TCE_ERR_TORN, "the stream ends in %s", what);
	}
	return ret < 0 ? ret : 0;
}

int tce_stream_skip(struct stream_input *in, uint64_t n, const char *what)
{
	size_t step;
	int ret;

	while (n) {
		if (in->pos == in->end) {
			ret = tce_stream_need(in, 1, what);
			if (ret)
				return ret;
		}
		step = (size_t)min_u64(in->end - in->pos, n);
		in->pos += step;
		n -= step;
	}
	return 0;
}

void tce_stream_copy_text(char *to, const void *from, size_t len)
{
	const unsigned char *text = from;
	size_t i;

	for (i = 0; i < len; i++)
		to[i] = isascii(text[i]) && isprint(text[i]) ? (char)text[i] : '?';
	to[len] = '\0';
}
