// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is around a stream in a file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "source/body.h"
#include "source/filter.h"
#include "tce-stream.h"

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
#define GZIP_ONLY	    16 /* of inflateInit2() */

/* In the order of libvirt's numbers. "sparse" is QEMU's own mapped-ram. */
enum compression {
	BODY_RAW,
	BODY_GZIP,
	BODY_BZIP2,
	BODY_XZ,
	BODY_LZOP,
	BODY_ZSTD,
	BODY_SPARSE,
};

/* How each begins, and the program that undoes it where no library does. */
static const struct {
	const char *name;
	const char *magic;
	size_t magic_size;
	const char *const *command;
} kinds[] = {
	[BODY_RAW] = { .name = "raw" },
	[BODY_GZIP] = { .name = "gzip", .magic = "\x1f\x8b", .magic_size = 2 },
	[BODY_BZIP2] = { .name = "bzip2",
			 .magic = "BZh",
			 .magic_size = 3,
			 .command = (const char *const[]){ "bzip2", "-dc", NULL } },
	/* A window of its own choice is what a file could have memory filled with. */
	[BODY_XZ] = { .name = "xz",
		      .magic = "\xfd"
			       "7zXZ",
		      .magic_size = 6,
		      .command = (const char *const[]){ "xz", "-dc", "--memlimit-decompress=256MiB",
							NULL } },
	[BODY_LZOP] = { .name = "lzop",
			.magic = "\x89LZO",
			.magic_size = 4,
			.command = (const char *const[]){ "lzop", "-dc", NULL } },
	[BODY_ZSTD] = { .name = "zstd", .magic = "\x28\xb5\x2f\xfd", .magic_size = 4 },
	[BODY_SPARSE] = { .name = "sparse" },
};

/**
 * struct body - what is around a stream
 * @from: the file.
 * @kind: its compression.
 * @gzip: valid for that kind.
 * @zstd: for that kind, or NULL.
 * @filter: a program that undoes the compression, or NULL.
 * @in_frame: compressed data that has not ended.
 * @had_frame: some has ended.
 * @damaged: it is damaged, or ends in the middle.
 * @buf: [@begin, @end) is what has been read of the file.
 * @begin: see @buf.
 * @end: see @buf.
 */
struct body {
	struct tce_source from;
	enum compression kind;
	z_stream gzip;
	ZSTD_DStream *zstd;
	struct filter *filter;
	bool in_frame;
	bool had_frame;
	bool damaged;
	uint8_t buf[BODY_SIZE];
	size_t begin, end;
};

static enum compression find_kind(const uint8_t *head, size_t len)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].magic_size && len >= kinds[i].magic_size &&
		    !memcmp(head, kinds[i].magic, kinds[i].magic_size))
			return (enum compression)i;
	}
	return BODY_RAW;
}

bool has_body(const uint8_t *head, size_t len)
{
	return find_kind(head, len) != BODY_RAW ||
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

static ssize_t raw_read(void *ctx, void *buf, size_t len)
{
	struct body *body = ctx;
	ssize_t got = refill(body);

	if (got <= 0)
		return got;
	if (len > (size_t)got)
		len = (size_t)got;
	memcpy(buf, body->buf + body->begin, len);
	body->begin += len;
	return (ssize_t)len;
}

static ssize_t damaged(struct body *body)
{
	body->damaged = true;
	return -EBADMSG;
}

/*
 * Behind the compressed data another piece may follow, or, where the file is longer or is a device,
 * what was there before.
 */
static bool at_end(const struct body *body)
{
	return body->had_frame && !body->in_frame &&
	       body->buf[body->begin] != (uint8_t)kinds[body->kind].magic[0];
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
			return body->in_frame ? damaged(body) : 0;
		if (at_end(body))
			return 0;
		if (!body->in_frame && inflateReset(z) != Z_OK)
			return damaged(body);
		body->in_frame = true;
		z->next_in = body->buf + body->begin;
		z->avail_in = (uInt)got;
		ret = inflate(z, Z_NO_FLUSH);
		body->begin = body->end - z->avail_in;
		if (ret == Z_STREAM_END) {
			body->in_frame = false;
			body->had_frame = true;
		} else if (ret != Z_OK && ret != Z_BUF_ERROR) {
			return damaged(body);
		}
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
		if (!body->in_frame && (!got || at_end(body)))
			return 0;
		in = (ZSTD_inBuffer){ body->buf + body->begin, (size_t)got, 0 };
		ret = ZSTD_decompressStream(body->zstd, &out, &in);
		if (ZSTD_isError(ret) || (!got && !out.pos))
			return damaged(body);
		body->begin += in.pos;
		body->in_frame = ret != 0;
		body->had_frame |= !ret;
	} while (!out.pos);
	return (ssize_t)out.pos;
}

static ssize_t body_read(void *ctx, void *buf, size_t len)
{
	struct body *body = ctx;

	if (len > BODY_SIZE)
		len = BODY_SIZE;
	if (body->filter)
		return read_filter(body->filter, buf, len);
	switch (body->kind) {
	case BODY_GZIP:
		return gzip_read(body, buf, len);
	case BODY_ZSTD:
		return zstd_read(body, buf, len);
	default:
		return raw_read(body, buf, len);
	}
}

struct tce_source body_source(struct body *body)
{
	return (struct tce_source){ .read = body_read, .ctx = body };
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

/* Go past libvirt's header, if there is one. *@compression is what it says. */
static int skip_libvirt(struct body *body, uint32_t *compression, struct tce_error *err)
{
	const uint8_t *b = body->buf;
	uint32_t version;
	bool swap;
	int ret;

	*compression = BODY_RAW;
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
	*compression = libvirt_word(body, 3, swap);
	ret = advance(body, LIBVIRT_HEADER_SIZE + (uint64_t)libvirt_word(body, 1, swap), 6);
	if (ret < 0)
		return not_libvirt(err, ret == -EBADMSG ? 0 : -ret, "it ends in its XML");
	return 0;
}

/*
 * Is what libvirt's header says what the payload is? A program in the place of the one that libvirt
 * meant may have packed it, or left it alone.
 */
static int check_compression(const struct body *body, uint32_t compression, struct tce_error *err)
{
	if (body->end >= TCE_STREAM_PROBE && tce_probe_stream(body->buf))
		return 0;
	if (compression >= ARRAY_SIZE(kinds))
		return body->kind == BODY_RAW ?
			       tce_set_error(err, TCE_ERR_STREAM, 0,
					     "libvirt save file: its compression (%u) is not known",
					     compression) :
			       0;
	if (kinds[compression].magic && body->kind == BODY_RAW)
		return tce_set_error(err, TCE_ERR_STREAM, 0,
				     "libvirt save file: it says that it is compressed by %s, but "
				     "does not begin like that",
				     kinds[compression].name);
	return 0;
}

static int begin_kind(struct body *body, struct tce_error *err)
{
	const struct tce_source rest = { .read = raw_read, .ctx = body };

	if (kinds[body->kind].command)
		return open_filter(&body->filter, kinds[body->kind].command, &rest, err);
	if (body->kind == BODY_GZIP && inflateInit2(&body->gzip, GZIP_ONLY + MAX_WBITS) != Z_OK) {
		body->kind = BODY_RAW;
		return no_memory(err, "gzip");
	}
	if (body->kind == BODY_ZSTD) {
		body->zstd = ZSTD_createDStream();
		if (!body->zstd)
			return no_memory(err, "zstd");
	}
	return 0;
}

int open_body(struct body **result, const struct tce_source *file, struct tce_error *err)
{
	struct body *body = calloc(1, sizeof(*body));
	uint32_t compression;
	int ret;

	if (!body)
		return no_memory(err, "a stream");
	body->from = *file;
	ret = skip_libvirt(body, &compression, err);
	if (!ret) {
		body->kind = find_kind(body->buf, body->end);
		ret = check_compression(body, compression, err);
	}
	if (!ret)
		ret = begin_kind(body, err);
	if (ret)
		close_body(body);
	else
		*result = body;
	return ret;
}

int finish_body(struct body *body, int ret, struct tce_error *err)
{
	if (body->filter && finish_filter(body->filter, err))
		return err->code;
	if (body->damaged)
		return tce_set_error(err, TCE_ERR_CORRUPT, 0,
				     "what %s compressed is damaged or ends in the middle",
				     kinds[body->kind].name);
	return ret;
}

void close_body(struct body *body)
{
	if (!body)
		return;
	close_filter(body->filter);
	if (body->kind == BODY_GZIP)
		inflateEnd(&body->gzip);
	ZSTD_freeDStream(body->zstd);
	free(body);
}
