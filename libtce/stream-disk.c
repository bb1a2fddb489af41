// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sections of disks that move with their guest, and of the dirty bitmaps of disks that do not.
 * They are sent in parts and have no length. The facts are from QEMU's migration/block.c (until
 * 9.0) and block-dirty-bitmap.c.
 */
#include "stream-scan.h"

/* Low bits of the be64 before each piece of a disk; the rest of it is a sector or a percentage. */
enum disk_flag {
	DISK_BLOCK = 0x01,
	DISK_EOS = 0x02,
	DISK_PROGRESS = 0x04,
	DISK_ZERO = 0x08,
	DISK_FLAGS = 0x1ff,
};

#define DISK_KNOWN	 (DISK_BLOCK | DISK_EOS | DISK_PROGRESS | DISK_ZERO)
#define DISK_BLOCK_BYTES (1U << 20)

enum bitmap_flag {
	BITMAP_EOS = 0x01,
	BITMAP_ZEROES = 0x02,
	BITMAP_NAME = 0x04,
	BITMAP_DEVICE = 0x08,
	BITMAP_START = 0x10,
	BITMAP_COMPLETE = 0x20,
	BITMAP_BITS = 0x40,
	BITMAP_MORE = 0x80, /* the flags are longer; no more are known */
};

int tce_stream_scan_disks(struct stream_input *in)
{
	static const char what[] = "a piece of a disk";
	char name[STREAM_NAME_SIZE];
	uint64_t head;
	size_t len;
	int ret;

	for (;;) {
		ret = take_be64(in, &head, what);
		if (ret)
			return ret;
		if (head & DISK_FLAGS & ~(uint64_t)DISK_KNOWN)
			return tce_stream_give_up(in, "a piece of a disk with flags 0x%x",
						  (unsigned int)(head & DISK_FLAGS));
		if (head & DISK_BLOCK) {
			ret = take_name(in, name, &len, what);
			if (!ret && !(head & DISK_ZERO))
				ret = tce_stream_skip(in, DISK_BLOCK_BYTES, what);
			if (ret)
				return ret;
		}
		if (head & DISK_EOS)
			return 0;
	}
}

/* A piece of a bitmap, after its flags: the names that it has, and what it brings. */
static int scan_bitmap(struct stream_input *in, unsigned int flags)
{
	static const char what[] = "a dirty bitmap";
	char name[STREAM_NAME_SIZE];
	uint64_t size;
	size_t len;
	int ret = 0;

	if (flags & BITMAP_DEVICE)
		ret = take_name(in, name, &len, what);
	if (!ret && flags & BITMAP_NAME)
		ret = take_name(in, name, &len, what);
	if (!ret && flags & BITMAP_START) /* be32 granularity, u8 flags */
		ret = tce_stream_skip(in, 4 + 1, what);
	if (ret || !(flags & BITMAP_BITS))
		return ret;
	ret = tce_stream_skip(in, 8 + 4, what); /* be64 sector, be32 sectors */
	if (ret || flags & BITMAP_ZEROES)
		return ret;
	ret = take_be64(in, &size, what);
	return ret ? ret : tce_stream_skip(in, size, what);
}

int tce_stream_scan_bitmaps(struct stream_input *in)
{
	uint8_t flags;
	int ret;

	do {
		ret = take_u8(in, &flags, "a dirty bitmap");
		if (!ret && flags & BITMAP_MORE)
			return tce_stream_give_up(in, "a dirty bitmap with flags 0x%x", flags);
		if (!ret)
			ret = scan_bitmap(in, flags);
	} while (!ret && !(flags & BITMAP_EOS));
	return ret;
}
