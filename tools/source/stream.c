// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tables from a QEMU migration stream, plain or packed, or from a libvirt save file around
 * one. The whole stream is read and checked before the first table is shown.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "source/source.h"
#include "source/stream-tables.h"

struct stream_source {
	struct source base;
	struct stream_tables tables;
	struct tce_reader *reader;
	size_t next; /* in tables.list */
};

/*
 * libvirt's save files: magic, then be or le u32 (as the host had them) version, size of what
 * follows the header, was running, compression, offset of a cookie, 14 unused; the XML of
 * the domain and the cookie; QEMU's stream as the compression program left it.
 */
#define LIBVIRT_MAGIC	    "LibvirtQemudSave"
#define LIBVIRT_PARTIAL	    "LibvirtQemudPart"
#define LIBVIRT_MAGIC_SIZE  16
#define LIBVIRT_HEADER_SIZE (LIBVIRT_MAGIC_SIZE + 19 * 4)
#define LIBVIRT_VERSION	    2
#define BODY_SIZE	    65536

struct body {
	struct tce_source from;
	enum { BODY_RAW, BODY_GZIP, BODY_ZSTD } kind;
	z_stream gzip;
	ZSTD_DStream *zstd;
	bool in_frame; /* compressed data that has not ended */
	uint8_t buf[BODY_SIZE];
	size_t begin, end;
};

bool is_stream(const uint8_t *head, size_t len)
{
	return (len >= TCE_STREAM_PROBE && tce_probe_stream(head)) ||
	       (len >= LIBVIRT_MAGIC_SIZE && (!memcmp(head, LIBVIRT_MAGIC, LIBVIRT_MAGIC_SIZE) ||
					      !memcmp(head, LIBVIRT_PARTIAL, LIBVIRT_MAGIC_SIZE)));
}

/* Have some bytes in @buf. Returns how many, 0 at the end, or a negative errno. */
static ssize_t refill(struct body *body)
{
	ssize_t got;

	if (body->begin == body->end) {
		got = body->from.read(body->from.ctx, body->buf, sizeof(body->buf));
		if (got < 0)
			return got;
		body->begin = 0;
		body->end = (size_t)got;
	}
	return (ssize_t)(body->end - body->begin);
}

static ssize_t gzip_read(struct body *body, void *buf, size_t len)
{
	z_stream *z = &body->gzip;
	ssize_t got;
	int ret;

	z->next_out = buf;
	z->avail_out = (uInt)len;
	do {
		got = refill(body);
		if (got < 0)
			return got;
		if (!got)
			return body->in_frame ? -EBADMSG : 0;
		if (!body->in_frame && inflateReset(z) != Z_OK)
			return -EBADMSG;
		body->in_frame = true;
		z->next_in = body->buf + body->begin;
		z->avail_in = (uInt)got;
		ret = inflate(z, Z_NO_FLUSH);
		body->begin = body->end - z->avail_in;
		if (ret == Z_STREAM_END)
			body->in_frame = false; /* another may follow */
		else if (ret != Z_OK && ret != Z_BUF_ERROR)
			return -EBADMSG;
	} while (z->avail_out == len);
	return (ssize_t)(len - z->avail_out);
}

static ssize_t zstd_read(struct body *body, void *buf, size_t len)
{
	ZSTD_outBuffer out = { buf, len, 0 };
	ZSTD_inBuffer in;
	ssize_t got;
	size_t ret;

	do {
		got = refill(body);
		if (got < 0)
			return got;
		if (!got && !body->in_frame)
			return 0;
		in = (ZSTD_inBuffer){ body->buf + body->begin, (size_t)got, 0 };
		ret = ZSTD_decompressStream(body->zstd, &out, &in);
		if (ZSTD_isError(ret) || (!got && !out.pos))
			return -EBADMSG;
		body->begin += in.pos;
		body->in_frame = ret != 0;
	} while (!out.pos);
	return (ssize_t)out.pos;
}

static ssize_t body_read(void *ctx, void *buf, size_t len)
{
	struct body *body = ctx;
	ssize_t got;

	if (len > BODY_SIZE)
		len = BODY_SIZE;
	switch (body->kind) {
	case BODY_GZIP:
		return gzip_read(body, buf, len);
	case BODY_ZSTD:
		return zstd_read(body, buf, len);
	default:
		got = refill(body);
		if (got <= 0)
			return got;
		if (len > (size_t)got)
			len = (size_t)got;
		memcpy(buf, body->buf + body->begin, len);
		body->begin += len;
		return (ssize_t)len;
	}
}

/* Drop @skip bytes, then have at least @want bytes in @buf (or all there are). */
static int advance(struct body *body, uint64_t skip, size_t want)
{
	ssize_t got;

	while (skip) {
		got = refill(body);
		if (got <= 0)
			return got < 0 ? (int)got : -EBADMSG;
		if ((uint64_t)got > skip)
			got = (ssize_t)skip;
		body->begin += (size_t)got;
		skip -= (size_t)got;
	}
	memmove(body->buf, body->buf + body->begin, body->end - body->begin);
	body->end -= body->begin;
	body->begin = 0;
	while (body->end < want) {
		got = body->from.read(body->from.ctx, body->buf + body->end,
				      sizeof(body->buf) - body->end);
		if (got <= 0)
			return (int)got;
		body->end += (size_t)got;
	}
	return 0;
}

static uint32_t libvirt_word(const struct body *body, unsigned int n, bool swap)
{
	uint32_t v;

	memcpy(&v, body->buf + LIBVIRT_MAGIC_SIZE + 4 * n, sizeof(v));
	return swap ? __builtin_bswap32(v) : v;
}

static int not_libvirt(struct tce_error *err, int sys_errno, const char *what)
{
	return tce_set_error(err, sys_errno ? TCE_ERR_IO : TCE_ERR_STREAM, sys_errno,
			     "libvirt save file: %s", what);
}

/* Find QEMU's stream in whatever @body begins with. */
static int open_body(struct body *body, struct tce_error *err)
{
	uint32_t compression, version;
	const uint8_t *b = body->buf;
	bool swap;
	int ret;

	ret = advance(body, 0, LIBVIRT_HEADER_SIZE);
	if (ret < 0)
		return tce_set_error(err, TCE_ERR_IO, -ret, "cannot read the stream");
	if (body->end < LIBVIRT_MAGIC_SIZE || memcmp(b, "LibvirtQemud", 12))
		return 0;
	if (!memcmp(b, LIBVIRT_PARTIAL, LIBVIRT_MAGIC_SIZE))
		return not_libvirt(err, 0, "libvirt has not finished it");
	if (body->end < LIBVIRT_HEADER_SIZE)
		return not_libvirt(err, 0, "it ends in its header");
	swap = libvirt_word(body, 0, false) > 0xffff;
	version = libvirt_word(body, 0, swap);
	if (version > LIBVIRT_VERSION)
		return tce_set_error(err, TCE_ERR_VERSION, 0,
				     "libvirt save file: version %u is not known", version);
	compression = libvirt_word(body, 3, swap);
	ret = advance(body, LIBVIRT_HEADER_SIZE + (uint64_t)libvirt_word(body, 1, swap), 4);
	if (ret < 0)
		return not_libvirt(err, ret == -EBADMSG ? 0 : -ret, "it ends in its XML");
	if (body->end >= 2 && b[0] == 0x1f && b[1] == 0x8b) {
		body->kind = BODY_GZIP;
		if (inflateInit2(&body->gzip, 16 + MAX_WBITS) != Z_OK)
			return no_memory(err, "gzip");
	} else if (body->end >= 4 && !memcmp(b, "\x28\xb5\x2f\xfd", 4)) {
		body->kind = BODY_ZSTD;
		body->zstd = ZSTD_createDStream();
		if (!body->zstd)
			return no_memory(err, "zstd");
	} else if (compression) {
		return tce_set_error(
			err, TCE_ERR_STREAM, 0,
			"libvirt save file: its compression (%u) is neither gzip nor zstd",
			compression);
	}
	return 0;
}

static int stream_next_table(struct source *source, struct tce_geometry *geometry,
			     struct tce_error *err)
{
	struct stream_source *stream = (struct stream_source *)source;
	struct tce_geometry header;
	int ret;

	/* a window that is not set up has no table; and none is in the scratch image */
	while (stream->next < stream->tables.count &&
	       !stream->tables.list[stream->next].geometry.entries)
		stream->next++;
	if (stream->next == stream->tables.count)
		return 0;
	ret = tce_next_table(stream->reader, &header, err);
	if (ret <= 0)
		return ret < 0 ? ret : tce_set_error(err, TCE_ERR_TORN, 0, "scratch file");
	*geometry = stream->tables.list[stream->next++].geometry;
	return 1;
}

static int stream_next_extent(struct source *source, struct tce_extent *extent,
			      struct tce_error *err)
{
	struct stream_source *stream = (struct stream_source *)source;

	return tce_next_extent(stream->reader, extent, err);
}

static int stream_rewind(struct source *source, struct tce_error *err)
{
	struct stream_source *stream = (struct stream_source *)source;

	tce_destroy_reader(stream->reader);
	stream->reader = NULL;
	stream->next = 0;
	return read_stream_tables(&stream->tables, &stream->reader, err);
}

static void stream_close(struct source *source)
{
	struct stream_source *stream = (struct stream_source *)source;

	tce_destroy_reader(stream->reader);
	close_stream_tables(&stream->tables);
	free(stream);
}

static const struct source_ops stream_ops = {
	.next_table = stream_next_table,
	.next_extent = stream_next_extent,
	.rewind = stream_rewind,
	.close = stream_close,
};

/* Tables are kept in a scratch image: the input is not read again. */
int open_stream_source(struct source **source, struct input *input, bool again,
		       struct tce_error *err)
{
	struct stream_source *stream = calloc(1, sizeof(*stream));
	struct body *body = calloc(1, sizeof(*body));
	struct tce_stream_hooks hooks;
	struct tce_source from;
	int ret;

	if (!stream || !body) {
		ret = no_memory(err, "a stream");
		goto out;
	}
	stream->base.ops = &stream_ops;
	stream->tables.fd = -1;
	snprintf(stream->base.name, sizeof(stream->base.name), "%s", input->name);
	body->from = input_source(input);
	ret = open_body(body, err);
	if (!ret)
		ret = open_stream_tables(&stream->tables, err);
	if (ret)
		goto out;
	hooks = stream_tables_hooks(&stream->tables);
	from = (struct tce_source){ .read = body_read, .ctx = body };
	ret = tce_scan_stream(&from, &hooks, NULL, err);
	if (!ret)
		ret = read_stream_tables(&stream->tables, &stream->reader, err);
out:
	if (body && body->kind == BODY_GZIP)
		inflateEnd(&body->gzip);
	if (body)
		ZSTD_freeDStream(body->zstd);
	free(body);
	if (ret) {
		name_error(err, input->name);
		if (stream)
			stream_close(&stream->base);
	} else {
		*source = &stream->base;
	}
	close_input(input);
	return ret;
}
