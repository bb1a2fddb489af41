// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where a device's section ends. Its contents have no length that is known before the stream's
 * end, so they are taken to end where the footer is followed by something that can follow it.
 */
#include <ctype.h>

#include "stream-scan.h"

bool tce_stream_is_command(uint16_t command, uint16_t len)
{
	switch (command) {
	case COMMAND_RETURN_PATH:
	case COMMAND_LISTEN:
	case COMMAND_RUN:
	case COMMAND_RESUME:
	case COMMAND_COLO:
	case COMMAND_SWITCHOVER:
		return !len;
	case COMMAND_PING:
	case COMMAND_PACKAGED:
		return len == sizeof(uint32_t);
	case COMMAND_ADVISE:
		return !len || len == ADVISE_BYTES;
	case COMMAND_DISCARD:
	case COMMAND_BITMAP:
		return len;
	default:
		return false;
	}
}

static bool is_name(const uint8_t *name, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (!isascii(name[i]) || !isprint(name[i]))
			return false;
	}
	return len > 0;
}

/*
 * These look at what is @at bytes from here on and begins with the type of a section. Where the
 * stream ends before that is sure, it may be one: then the stream is torn, and that is found
 * where it is parsed. They return 1, 0, or an error.
 */

/* The end mark, and a description that begins as JSON does. */
static int may_be_end(struct stream_input *in, size_t at)
{
	const uint8_t *bytes;
	int ret;

	ret = peek_bytes(in, at, 2, &bytes);
	if (ret <= 0)
		return ret < 0 ? ret : 1;
	if (bytes[1] != QEMU_DESCRIPTION)
		return 0;
	ret = peek_bytes(in, at + 2, 5, &bytes);
	if (ret <= 0)
		return ret < 0 ? ret : 1;
	return bytes[4] == '{';
}

/* Type, be32 id, and a name that can be printed. */
static int may_be_first(struct stream_input *in, size_t at)
{
	const uint8_t *bytes;
	size_t len;
	int ret;

	ret = peek_bytes(in, at + 5, 1, &bytes);
	if (ret <= 0)
		return ret < 0 ? ret : 1;
	len = bytes[0];
	ret = peek_bytes(in, at + 6, len, &bytes);
	if (ret <= 0)
		return ret < 0 ? ret : 1;
	return is_name(bytes, len);
}

/* Type, and be32 id of a section that has begun and not ended. */
static int may_be_part(struct scanner *scan, size_t at)
{
	const struct iterated *section;
	const uint8_t *bytes;
	int ret;

	ret = peek_bytes(&scan->in, at + 1, 4, &bytes);
	if (ret <= 0)
		return ret < 0 ? ret : 1;
	section = tce_stream_find_iterated(scan, load_be32(bytes));
	return section && !section->ended;
}

static int may_be_command(struct stream_input *in, size_t at)
{
	const uint8_t *bytes;
	uint16_t command, len;
	int ret;

	ret = peek_bytes(in, at + 1, 4, &bytes);
	if (ret <= 0)
		return ret < 0 ? ret : 1;
	command = load_be16(bytes);
	len = load_be16(bytes + 2);
	return tce_stream_is_command(command, len);
}

/* May what is @at bytes from here on follow a footer? */
static int may_follow(struct scanner *scan, size_t at)
{
	struct stream_input *in = &scan->in;
	const uint8_t *type;
	int ret;

	ret = peek_bytes(in, at, 1, &type);
	if (ret <= 0)
		return ret < 0 ? ret : 1;
	switch (*type) {
	case QEMU_END:
		return may_be_end(in, at);
	case QEMU_START:
	case QEMU_FULL:
		return may_be_first(in, at);
	case QEMU_PART:
	case QEMU_LAST:
		return may_be_part(scan, at);
	case QEMU_COMMAND:
		return may_be_command(in, at);
	default:
		return 0;
	}
}

int tce_stream_scan_contents(struct scanner *scan, uint32_t id)
{
	struct stream_input *in = &scan->in;
	const uint8_t *mark;
	int ret;

	if (scan->footers_known && !scan->footers)
		return tce_stream_give_up(in, "a machine type without section footers");
	for (;;) {
		ret = tce_stream_need(in, FOOTER_SIZE, "its contents");
		if (ret)
			return ret;
		mark = memchr(in->buf + in->pos, QEMU_FOOTER,
			      in->end - in->pos - (FOOTER_SIZE - 1));
		if (!mark) {
			in->pos = in->end - (FOOTER_SIZE - 1);
			continue;
		}
		in->pos = (size_t)(mark - in->buf);
		if (load_be32(mark + 1) == id) {
			ret = may_follow(scan, FOOTER_SIZE);
			if (ret < 0)
				return ret;
			if (ret) {
				in->pos += FOOTER_SIZE;
				return 0;
			}
		}
		in->pos++;
	}
}
