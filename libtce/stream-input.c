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

/* Small enough to stay in the processor's cache; for fuzzing, so small that it often ends. */
#ifdef TCE_FUZZING
#define BUFFER_SIZE (12U << 10)
#else
#define BUFFER_SIZE (256U << 10)
#endif
/* Numbers that a section can have. */
#define SECTION_IDS (1U << 17)
/* As much is read as soon as it is sought over. */
#define SEEK_MIN BUFFER_SIZE

int tce_stream_open_input(struct stream_input *in, const struct tce_source *source,
			  const struct stream_output *out, struct tce_stream_stats *stats,
			  struct tce_error *err)
{
	uint8_t *room = malloc(OUTPUT_HEADROOM + BUFFER_SIZE);

	*in = (struct stream_input){
		.source = *source,
		.out = out,
		.stats = stats,
		.err = err,
		.size = BUFFER_SIZE,
		.where = "stream",
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

int tce_stream_give_up(struct stream_input *in, const char *format, ...)
{
	struct tce_stream_stats *stats = in->stats;
	va_list args;
	int used;

	used = snprintf(stats->stopped_why, sizeof(stats->stopped_why), "%.80s: ", in->where);
	va_start(args, format);
	vsnprintf(stats->stopped_why + used, sizeof(stats->stopped_why) - (size_t)used, format,
		  args);
	va_end(args);
	stats->stopped_at = stream_position(in);
	return NOT_UNDERSTOOD;
}

/* Give what comes before @end to the output, if it has not been given. */
static int emit_to(struct stream_input *in, size_t end)
{
	const size_t start = in->start;

	if (end <= start)
		return 0;
	in->start = end;
	if (!in->out || !in->out->bytes)
		return 0;
	return in->out->bytes(in->out->ctx, in->buf + start, end - start, in->err);
}

int tce_stream_emit(struct stream_input *in)
{
	return emit_to(in, in->pos);
}

/*
 * Look in new bytes for what a description begins with: the end mark, its own mark, be32 length,
 * JSON.
 */
static void watch_for_ending(struct stream_input *in, size_t from, size_t len)
{
	const uint8_t *bytes = in->buf + from;
	const uint8_t *brace = bytes, *end = bytes + len;
	uint64_t before;
	size_t at, i;

	while ((brace = memchr(brace, '{', (size_t)(end - brace))) != NULL) {
		at = (size_t)(brace - bytes);
		before = at >= sizeof(before) ? load_be64(brace - sizeof(before)) : in->tail;
		for (i = 0; at < sizeof(before) && i < at; i++)
			before = before << 8 | bytes[i];
		if ((before >> 32 & UINT16_MAX) == (QEMU_END << 8 | QEMU_DESCRIPTION))
			in->ending = in->base + from + at + (uint32_t)before;
		brace++;
	}
	for (i = len < sizeof(in->tail) ? 0 : len - sizeof(in->tail); i < len; i++)
		in->tail = in->tail << 8 | bytes[i];
}

void tce_stream_watch(struct stream_input *in)
{
	if (!in->watch)
		watch_for_ending(in, in->pos, in->end - in->pos);
	in->watch = true;
}

/* Read once; the source must not have ended. */
static int read_more(struct stream_input *in)
{
	ssize_t got;
	int ret;

	ret = tce_stream_emit(in);
	if (ret)
		return ret;
	if (in->pos) {
		memmove(in->buf, in->buf + in->pos, in->end - in->pos);
		in->base += in->pos;
		in->end -= in->pos;
		in->start -= in->pos;
		in->pos = 0;
	}
	if (in->out && in->out->flush) {
		ret = in->out->flush(in->out->ctx, in->err);
		if (ret)
			return ret;
	}
	got = in->source.read(in->source.ctx, in->buf + in->end, in->size - in->end);
	if (got < 0)
		return tce_set_error(in->err, TCE_ERR_IO, (int)-got, "cannot read");
	if (got == 0)
		in->eof = true;
	if (in->watch)
		watch_for_ending(in, in->end, (size_t)got);
	in->end += (size_t)got;
	in->stats->bytes = in->base + in->end;
	return 0;
}

int tce_stream_fill(struct stream_input *in, size_t n)
{
	int ret;

	while (in->end - in->pos < n) {
		if (in->eof)
			return 0;
		ret = read_more(in);
		if (ret)
			return ret;
	}
	return 1;
}

int tce_stream_fill_ahead(struct stream_input *in, size_t n)
{
	int ret;

	if (in->hold)
		return tce_stream_fill(in, n);
	while (in->end - in->pos < n) {
		if (in->eof)
			return 0;
		ret = emit_to(in, in->end);
		if (!ret)
			ret = read_more(in);
		if (ret)
			return ret;
	}
	return 1;
}

/*
 * Without a description the end mark is the last byte, behind the footer of a section: 7e, be32 id.
 * QEMU numbers its sections from 0 on.
 */
static bool ends_behind_footer(const struct stream_input *in)
{
	return (in->tail >> 40 & UINT8_MAX) == QEMU_FOOTER &&
	       (in->tail >> 8 & UINT32_MAX) < SECTION_IDS && (in->tail & UINT8_MAX) == QEMU_END;
}

/*
 * Can what has ended in the middle have been taken for something else? It can if the stream ends
 * where its description does, or as one without a description, for then QEMU takes it; and if its
 * machine is none with TCE tables, of which nothing is known.
 */
static bool may_be_whole(const struct stream_input *in)
{
	const char *machine = in->stats->machine;

	return (in->watch && (in->ending == in->base + in->end || ends_behind_footer(in))) ||
	       (machine[0] && strncmp(machine, "pseries", strlen("pseries")));
}

int tce_stream_need(struct stream_input *in, size_t n, const char *what)
{
	int ret = tce_stream_fill(in, n);

	if (ret == 0) {
		in->pos = in->end;
		if (may_be_whole(in))
			return tce_stream_give_up(in, "the stream ends in what looked like %s",
						  what);
		return tce_stream_fail(in, TCE_ERR_TORN, "the stream ends in %s", what);
	}
	return ret < 0 ? ret : 0;
}

/* Nobody wants the bytes: where the source can go on without reading them, it does. */
static int seek_over(struct stream_input *in, uint64_t *n)
{
	const size_t there = in->end - in->pos;
	int ret;

	if (in->out || !in->source.seek || in->eof || *n <= there || *n - there < SEEK_MIN ||
	    *n > INT64_MAX)
		return 0;
	ret = in->source.seek(in->source.ctx, (int64_t)(*n - there));
	if (ret == -ESPIPE)
		return 0;
	if (ret)
		return tce_set_error(in->err, TCE_ERR_IO, -ret, "cannot read");
	in->base += in->pos + *n;
	in->start = 0;
	in->pos = 0;
	in->end = 0;
	in->stats->bytes = in->base;
	*n = 0;
	return 0;
}

int tce_stream_skip(struct stream_input *in, uint64_t n, const char *what)
{
	size_t step;
	int ret;

	ret = seek_over(in, &n);
	if (ret)
		return ret;

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
