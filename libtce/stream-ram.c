// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sections that are sent in parts: the guest's RAM and its hashed page table. Their contents
 * have no length, so they are parsed. The facts are from QEMU's migration/ram.c and
 * hw/ppc/spapr.c.
 */
#include "stream-scan.h"

/* Low bits of the be64 before each RAM record; the rest of it is an address or a size. */
enum ram_flag {
	RAM_ZERO = 0x02,
	RAM_SIZE = 0x04,
	RAM_PAGE = 0x08,
	RAM_EOS = 0x10,
	RAM_SAME_BLOCK = 0x20,
	RAM_XBZRLE = 0x40,
	RAM_COMPRESSED = 0x100,
	RAM_MULTIFD_FLUSH = 0x200,
	RAM_FLAGS = 0xfff,
};

#define RAM_KNOWN                                                                                  \
	(RAM_ZERO | RAM_SIZE | RAM_PAGE | RAM_EOS | RAM_SAME_BLOCK | RAM_XBZRLE | RAM_COMPRESSED | \
	 RAM_MULTIFD_FLUSH)
/* Records that are pages, and begin with the name of their block if it is not the last one's. */
#define RAM_PAGES (RAM_ZERO | RAM_PAGE | RAM_XBZRLE | RAM_COMPRESSED)

/* zlib's bound for a page, generously */
#define COMPRESSED_MORE 1024
#define HPTE_BYTES	16

/* Of RAM that is in places of its own in the file: be32 version, be64 page size, be64 offsets. */
#define MAPPED_VERSION 1
/* More than the bitmap of a block has, and the gap after it up to a round offset. */
#define MAPPED_GAP_MAX(length) ((length) / 8 + (4U << 20))

struct iterated *tce_stream_find_iterated(struct scanner *scan, uint32_t id)
{
	size_t i;

	for (i = 0; i < scan->iterated_count; i++) {
		if (scan->iterated[i].id == id)
			return &scan->iterated[i];
	}
	return NULL;
}

/*
 * The RAM of a block that is not in the stream: what tells where it is, the bitmap of its pages,
 * and their place, after which the stream goes on. Offsets are of the file, and the first is that
 * of what follows here.
 */
static int scan_mapped(struct stream_input *in, uint64_t length)
{
	static const char what[] = "the place of a RAM block";
	uint64_t page_size, bitmap, pages;
	uint32_t version;
	int ret;

	ret = take_be32(in, &version, what);
	if (!ret)
		ret = take_be64(in, &page_size, what);
	if (!ret)
		ret = take_be64(in, &bitmap, what);
	if (!ret)
		ret = take_be64(in, &pages, what);
	if (ret)
		return ret;
	if (version != MAPPED_VERSION || pages < bitmap ||
	    pages - bitmap > MAPPED_GAP_MAX(length) || length > INT64_MAX / 2)
		return tce_stream_give_up(in, "RAM is at impossible places of the file");
	return tce_stream_skip(in, pages - bitmap + length, what);
}

/*
 * Where postcopy has been announced, a block of huge pages comes with their size, and no other
 * block does. A name or a record is never mistaken for it: the one does not begin with zero, the
 * other has flags in its low bits.
 */
static int scan_page_size(struct scanner *scan)
{
	struct stream_input *in = &scan->in;
	uint64_t size;
	int ret;

	if (!scan->page_sizes)
		return 0;
	ret = tce_stream_need(in, sizeof(size), "the list of RAM blocks");
	if (ret)
		return ret;
	size = load_be64(in->buf + in->pos);
	if (size & scan->page_sizes && !(size & RAM_FLAGS) && !(size & (size - 1)))
		in->pos += sizeof(size);
	return 0;
}

static int scan_blocks(struct scanner *scan, uint64_t total)
{
	static const char what[] = "the list of RAM blocks";
	struct stream_input *in = &scan->in;
	char name[STREAM_NAME_SIZE];
	uint64_t length;
	size_t len;
	int ret;

	while (total) {
		ret = take_name(in, name, &len, what);
		if (!ret)
			ret = take_be64(in, &length, what);
		if (ret)
			return ret;
		if (length > total)
			return tce_stream_give_up(in, "a RAM block is larger than all together");
		ret = scan_page_size(scan);
		if (!ret && scan->ignore_shared)
			ret = tce_stream_skip(in, 8, what);
		if (!ret && scan->mapped_ram)
			ret = scan_mapped(in, length);
		if (ret)
			return ret;
		total -= length;
		in->stats->blocks++;
	}
	return 0;
}

/* Nearly all of a stream is runs of these two records, so they have a loop of their own. */
static void scan_pages(struct stream_input *in, const size_t page_bytes)
{
	const uint8_t *p = in->buf + in->pos, *end = in->buf + in->end;
	uint64_t pages = 0, zero_pages = 0;

	while (end - p >= 8 + (ptrdiff_t)page_bytes) {
		uint64_t flags = load_be64(p) & RAM_FLAGS;

		if (flags == (RAM_PAGE | RAM_SAME_BLOCK)) {
			p += 8 + page_bytes;
			pages++;
		} else if (flags == (RAM_ZERO | RAM_SAME_BLOCK)) {
			p += 8 + 1;
			zero_pages++;
		} else {
			break;
		}
	}
	in->pos = (size_t)(p - in->buf);
	in->stats->pages += pages;
	in->stats->zero_pages += zero_pages;
}

/* What an XBZRLE page became: an unused byte, then its length and that many bytes. */
static int scan_difference(struct stream_input *in, uint32_t page_bytes)
{
	static const char what[] = "a RAM page's difference";
	uint16_t len;
	int ret;

	ret = tce_stream_skip(in, 1, what);
	if (!ret)
		ret = take_be16(in, &len, what);
	if (ret)
		return ret;
	if (len > page_bytes)
		return tce_stream_give_up(in, "the difference of a RAM page has %u bytes", len);
	in->stats->xbzrle_pages++;
	return tce_stream_skip(in, len, what);
}

static int scan_compressed(struct stream_input *in, uint32_t page_bytes)
{
	static const char what[] = "a compressed RAM page";
	uint32_t len;
	int ret;

	ret = take_be32(in, &len, what);
	if (ret)
		return ret;
	if (len > page_bytes + COMPRESSED_MORE)
		return tce_stream_give_up(in, "a compressed RAM page has %u bytes", len);
	in->stats->compressed_pages++;
	return tce_stream_skip(in, len, what);
}

/* A record without its head. Returns as the scanner's functions do. */
static int scan_record(struct scanner *scan, uint64_t head)
{
	const unsigned int flags = head & RAM_FLAGS;
	struct stream_input *in = &scan->in;
	char name[STREAM_NAME_SIZE];
	size_t len;
	int ret;

	if (flags & RAM_PAGES && !(flags & RAM_SAME_BLOCK)) {
		ret = take_name(in, name, &len, "the name of a RAM block");
		if (ret)
			return ret;
	}
	switch (flags & ~RAM_SAME_BLOCK) {
	case RAM_SIZE:
		return scan_blocks(scan, head - flags);
	case RAM_PAGE:
		in->stats->pages++;
		return tce_stream_skip(in, scan->page_bytes, "a RAM page");
	case RAM_ZERO:
		in->stats->zero_pages++;
		return tce_stream_skip(in, 1, "a RAM page of zeros");
	case RAM_XBZRLE:
		return scan_difference(in, scan->page_bytes);
	case RAM_COMPRESSED:
		return scan_compressed(in, scan->page_bytes);
	case RAM_MULTIFD_FLUSH:
		return 0;
	default:
		return tce_stream_give_up(in, "RAM record with flags 0x%x", flags);
	}
}

static int scan_ram(struct scanner *scan)
{
	struct stream_input *in = &scan->in;
	uint64_t head, flags;
	int ret = 0;

	while (!ret) {
		scan_pages(in, scan->page_bytes);
		ret = take_be64(in, &head, "a RAM record");
		if (ret)
			break;
		flags = head & RAM_FLAGS;
		if (flags & ~(uint64_t)RAM_KNOWN) {
			in->pos -= sizeof(head);
			return tce_stream_give_up(in, "RAM record with flags 0x%x",
						  (unsigned int)flags);
		}
		if ((flags & ~(uint64_t)RAM_SAME_BLOCK) == RAM_EOS)
			break;
		ret = scan_record(scan, head);
	}
	return ret;
}

/*
 * Hashed page table (spapr/htab): be32, which is -1 without one, the table's order in the
 * first section, and 0 in those that bring entries.
 */
static int scan_htab(struct stream_input *in)
{
	static const char what[] = "the hashed page table";
	uint16_t valid, invalid;
	uint32_t index;
	int ret;

	ret = take_be32(in, &index, what);
	if (ret || index)
		return ret;
	do {
		ret = take_be32(in, &index, what);
		if (!ret)
			ret = take_be16(in, &valid, what);
		if (!ret)
			ret = take_be16(in, &invalid, what);
		if (!ret)
			ret = tce_stream_skip(in, (uint64_t)valid * HPTE_BYTES, what);
	} while (!ret && (index || valid || invalid));
	return ret;
}

/* Machine types before 2.4 have no footers; the first section that ends tells. */
static int scan_footer(struct scanner *scan, uint32_t id)
{
	struct stream_input *in = &scan->in;
	const uint8_t *mark;
	int ret;

	ret = tce_stream_need(in, 1, "what follows it");
	if (ret)
		return ret;
	if (!scan->footers_known) {
		scan->footers_known = true;
		scan->footers = in->buf[in->pos] == QEMU_FOOTER;
	}
	if (!scan->footers)
		return 0;
	ret = tce_stream_need(in, FOOTER_SIZE, "its footer");
	if (ret)
		return ret;
	mark = in->buf + in->pos;
	if (mark[0] != QEMU_FOOTER || load_be32(mark + 1) != id)
		return tce_stream_give_up(in, "its footer is missing");
	in->pos += FOOTER_SIZE;
	return 0;
}

int tce_stream_scan_iterated(struct scanner *scan, struct iterated *section)
{
	struct stream_input *in = &scan->in;
	const uint64_t begin = stream_position(in);
	int ret = 0;

	switch (section->kind) {
	case KIND_RAM:
		ret = scan_ram(scan);
		in->stats->ram_bytes += stream_position(in) - begin;
		break;
	case KIND_HTAB:
		ret = scan_htab(in);
		in->stats->htab_bytes += stream_position(in) - begin;
		break;
	case KIND_BITMAPS:
		ret = tce_stream_scan_bitmaps(in);
		break;
	case KIND_DISKS:
		ret = tce_stream_scan_disks(in);
		break;
	}
	return ret ? ret : scan_footer(scan, section->id);
}
