/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one way to the untrusted bytes of a QEMU migration stream: typed reads, each checked
 * against the stream's end, which say what was being read when it ended. What has been read
 * goes on to the output before more is waited for.
 */
#ifndef STREAM_INPUT_H
#define STREAM_INPUT_H

#include "stream-private.h"

enum section_type {
	QEMU_END = 0x00,
	QEMU_START = 0x01,
	QEMU_PART = 0x02,
	QEMU_LAST = 0x03,
	QEMU_FULL = 0x04,
	QEMU_SUBSECTION = 0x05,
	QEMU_DESCRIPTION = 0x06,
	QEMU_CONFIGURATION = 0x07,
	QEMU_COMMAND = 0x08,
	QEMU_FOOTER = 0x7e,
};

/* The status of functions here beside negative ones and 0: copy the rest as it is. */
#define NOT_UNDERSTOOD 1

/* A name has one byte for its length. */
#define STREAM_NAME_SIZE 256

/**
 * struct stream_input - a stream that is being read
 * @source: where it comes from.
 * @out: where its bytes go.
 * @stats: counts them.
 * @err: receives what failed.
 * @buf: [@start, @pos) is parsed and not yet given to @out, [@pos, @end) is to parse. There are
 *	OUTPUT_HEADROOM bytes in front of it.
 * @size: bytes of @buf.
 * @start: see @buf.
 * @pos: see @buf.
 * @end: see @buf.
 * @base: offset of @buf[0] in the stream.
 * @eof: the source has ended.
 * @hold: nothing goes out before it is parsed.
 * @watch: look out for the stream's description.
 * @tail: the last bytes that were read, as a number.
 * @ending: where the stream ends if the last bytes that looked like the beginning of its
 *	description were one.
 * @where: what is being parsed, for messages.
 */
struct stream_input {
	struct tce_source source;
	const struct stream_output *out;
	struct tce_stream_stats *stats;
	struct tce_error *err;
	uint8_t *buf;
	size_t size, start, pos, end;
	uint64_t base;
	bool eof;
	bool hold;
	bool watch;
	uint64_t tail;
	uint64_t ending;
	char where[64 + STREAM_NAME_SIZE];
};

/**
 * tce_stream_open_input() - begin to read a stream
 * @in: filled in; free it with tce_stream_close_input(), also when this fails.
 * @source: where the stream comes from.
 * @out: where its bytes go, or NULL.
 * @stats: counts them.
 * @err: receives what fails from here on.
 *
 * Return: 0, or %TCE_ERR_NOMEM.
 */
int tce_stream_open_input(struct stream_input *in, const struct tce_source *source,
			  const struct stream_output *out, struct tce_stream_stats *stats,
			  struct tce_error *err);
void tce_stream_close_input(struct stream_input *in);

/* Have room for @size bytes at once. */
int tce_stream_grow_input(struct stream_input *in, size_t size);

/* From here on a guest may have chosen what is read: notice where the stream ends. */
void tce_stream_watch(struct stream_input *in);

/* Give what has been parsed to the output. */
int tce_stream_emit(struct stream_input *in);

/* Have @n bytes to parse, at most @in->size. Returns 1, or 0 when the stream ends before. */
int tce_stream_fill(struct stream_input *in, size_t n);

/*
 * As tce_stream_fill(), for bytes that may not come before somebody has seen those that are
 * there: none of them waits inside, unless @in->hold is set. They must not be a table's entries.
 */
int tce_stream_fill_ahead(struct stream_input *in, size_t n);

/* As tce_stream_fill(), but the stream must not end before. @what is cut off then. */
int tce_stream_need(struct stream_input *in, size_t n, const char *what);

/* Read @n bytes, any number, without looking at them. */
int tce_stream_skip(struct stream_input *in, uint64_t n, const char *what);

/* Fail at the position of @in. */
int tce_stream_fail(struct stream_input *in, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Say why the rest is copied as it is. Returns NOT_UNDERSTOOD. */
int tce_stream_give_up(struct stream_input *in, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Read @n bytes that are used before the next read. */
static inline int take_bytes(struct stream_input *in, size_t n, const uint8_t **bytes,
			     const char *what)
{
	int ret = tce_stream_need(in, n, what);

	if (ret)
		return ret;
	*bytes = in->buf + in->pos;
	in->pos += n;
	return 0;
}

static inline int take_u8(struct stream_input *in, uint8_t *value, const char *what)
{
	const uint8_t *bytes;
	int ret = take_bytes(in, sizeof(*value), &bytes, what);

	if (!ret)
		*value = *bytes;
	return ret;
}

static inline int take_be16(struct stream_input *in, uint16_t *value, const char *what)
{
	const uint8_t *bytes;
	int ret = take_bytes(in, sizeof(*value), &bytes, what);

	if (!ret)
		*value = load_be16(bytes);
	return ret;
}

static inline int take_be32(struct stream_input *in, uint32_t *value, const char *what)
{
	const uint8_t *bytes;
	int ret = take_bytes(in, sizeof(*value), &bytes, what);

	if (!ret)
		*value = load_be32(bytes);
	return ret;
}

static inline int take_be64(struct stream_input *in, uint64_t *value, const char *what)
{
	const uint8_t *bytes;
	int ret = take_bytes(in, sizeof(*value), &bytes, what);

	if (!ret)
		*value = load_be64(bytes);
	return ret;
}

/* Read a name: one byte for its length, then that many, which may be any bytes. */
static inline int take_name(struct stream_input *in, char name[STREAM_NAME_SIZE], size_t *len,
			    const char *what)
{
	const uint8_t *bytes;
	uint8_t size;
	int ret = take_u8(in, &size, what);

	if (!ret)
		ret = take_bytes(in, size, &bytes, what);
	if (ret)
		return ret;
	memcpy(name, bytes, size);
	name[size] = '\0';
	*len = size;
	return 0;
}

/*
 * Look at @n bytes that begin @at bytes on. Returns 1 with them, or 0 when the stream ends
 * before. None of those that are there waits for more.
 */
static inline int peek_bytes(struct stream_input *in, size_t at, size_t n, const uint8_t **bytes)
{
	int ret = tce_stream_fill_ahead(in, at + n);

	if (ret > 0)
		*bytes = in->buf + in->pos + at;
	return ret;
}

/* Offset in the stream of what is read next. */
static inline uint64_t stream_position(const struct stream_input *in)
{
	return in->base + in->pos;
}

/* Copy text that the sender chose, without what a terminal would act on. */
void tce_stream_copy_text(char *to, const void *from, size_t len);

#endif
