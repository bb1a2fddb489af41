// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finds the TCE tables in a QEMU migration stream while it goes by. The facts about the
 * format are from QEMU 7.2 to 10.0: migration/savevm.c, ram.c and vmstate.c, hw/ppc/spapr.c
 * (hashed page table), hw/ppc/spapr_iommu.c (tables).
 *
 *	"QEVM", be32 3
 *	07 configuration (machine type and subsections)
 *	any number of:
 *		01 start, 04 full	be32 id, name, be32 instance, be32 version, contents, footer
 *		02 part, 03 end		be32 id, contents, footer
 *		08 command		be16 command, be16 length, that many bytes
 *	00 end mark
 *	06 description			be32 length, JSON
 *
 * (a name: u8 length and its bytes; a footer: 7e and the section's be32 id.) Contents have no
 * length. Those of RAM and of the hashed page table, the only iterated sections of a PAPR
 * guest, are parsed. Those of devices are told by the description, but that comes last, when
 * the source has already sent everything and takes its migration for done; to wait for
 * it would mean to hold every table back and to tell no source of a destination that failed.
 * So a device's contents are taken to end where its footer is followed by something that can
 * follow it, tables are parsed by their own structure, and the description is the check in the
 * end. If a guest cheats (it can put what looks like a section into its NVRAM), packing still
 * is byte-exact, as it would be of any bytes, and those who want to *see* the tables are told not
 * to trust what they saw. What a guest can gain is that its own migration fails, by a false table
 * that reaches past the stream's end.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "stream-private.h"

#define QEMU_MAGIC		0x5145564dU	/* "QEVM" */
#define QEMU_VERSION		3

enum section_type {
	QEMU_END		= 0x00,
	QEMU_START		= 0x01,
	QEMU_PART		= 0x02,
	QEMU_LAST		= 0x03,
	QEMU_FULL		= 0x04,
	QEMU_SUBSECTION		= 0x05,
	QEMU_DESCRIPTION	= 0x06,
	QEMU_CONFIGURATION	= 0x07,
	QEMU_COMMAND		= 0x08,
	QEMU_FOOTER		= 0x7e,
};

#define FOOTER_SIZE		5

/* Low bits of the be64 before each RAM record; the rest of it is an address or a size. */
enum ram_flag {
	RAM_ZERO		= 0x02,
	RAM_SIZE		= 0x04,
	RAM_PAGE		= 0x08,
	RAM_EOS			= 0x10,
	RAM_SAME_BLOCK		= 0x20,
	RAM_XBZRLE		= 0x40,
	RAM_COMPRESSED		= 0x100,
	RAM_FLAGS		= 0xfff,
};

/* Of PAPR and of x86 guests. With another size the records make no sense at once. */
#define PAGE_BYTES		4096U
/* zlib's bound for a page, generously */
#define COMPRESSED_MAX		(PAGE_BYTES + 1024)
#define HPTE_BYTES		16

enum command {
	COMMAND_RETURN_PATH	= 1,
	COMMAND_PING		= 2,
	COMMAND_ADVISE		= 3,	/* postcopy, as are 4 to 7; 8: packaged, 9: its bitmap */
	COMMAND_COLO		= 10,
	COMMAND_SWITCHOVER	= 11,
};

#define BUFFER_SIZE		(256U << 10)	/* stays in the cache */
#define DESCRIPTION_MAX		(16U << 20)
#define ITERATED_MAX		64		/* sections that are sent in parts */
#define SECTIONS_MAX		(1U << 17)	/* sections that are compared with the description */
#define NAME_MAX_BYTES		255

/* The status of functions here beside negative ones: go on; or copy the rest as it is. */
#define GO_ON			0
#define NOT_UNDERSTOOD		1

struct iterated {
	uint32_t id;
	enum { KIND_RAM, KIND_HTAB } kind;
	bool ended;
};

struct scanner {
	struct tce_source source;
	const struct stream_output *out;
	const struct tce_stream_hooks *hooks;
	struct tce_stream_stats *stats;
	struct tce_error *err;

	/*
	 * @buf: [@start, @pos) is parsed and not yet given to @out, [@pos, @end) is to parse. There
	 * are OUTPUT_HEADROOM bytes in front of it.
	 */
	uint8_t *buf;
	size_t size, start, pos, end;
	uint64_t base;			/* offset of buf[0] in the stream */
	bool eof;

	char where[64 + NAME_MAX_BYTES];/* section being parsed, for messages */
	bool footers, footers_known;
	bool ignore_shared;
	struct iterated iterated[ITERATED_MAX];
	size_t iterated_count;
	struct stream_section *sections;
	size_t section_count, section_room;
	uint64_t *words;		/* TCE_BLOCK_MAX of them */
};

static uint64_t position(const struct scanner *s)
{
	return s->base + s->pos;
}

__attribute__((format(printf, 3, 4)))
static int fail(struct scanner *s, int code, const char *format, ...)
{
	char text[160];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	tce_set_error(s->err, code, 0, "%s: %s", s->where, text);
	if (s->err) {
		s->err->offset = position(s);
		s->err->fields |= TCE_ERROR_OFFSET;
	}
	return code;
}

__attribute__((format(printf, 2, 3)))
static int not_understood(struct scanner *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->stats->stopped_why, sizeof(s->stats->stopped_why), format, args);
	va_end(args);
	s->stats->stopped_at = position(s);
	return NOT_UNDERSTOOD;
}

static int emit(struct scanner *s)
{
	int r = 0;

	if (s->pos > s->start && s->out && s->out->bytes)
		r = s->out->bytes(s->out->ctx, s->buf + s->start, s->pos - s->start, s->err);
	s->start = s->pos;
	return r;
}

/*
 * Wait for @n bytes to parse. What is parsed goes out first: nothing waits inside while this waits
 * for more. Returns 1, or 0 when the stream ends before; @n is at most s->size.
 */
static int fill(struct scanner *s, size_t n)
{
	ssize_t got;
	int r;

	while (s->end - s->pos < n) {
		if (s->eof)
			return 0;
		r = emit(s);
		if (r)
			return r;
		if (s->pos) {
			memmove(s->buf, s->buf + s->pos, s->end - s->pos);
			s->base += s->pos;
			s->end -= s->pos;
			s->start = s->pos = 0;
		}
		got = s->source.read(s->source.ctx, s->buf + s->end, s->size - s->end);
		if (got < 0)
			return tce_set_error(s->err, TCE_ERR_IO, (int)-got, "cannot read");
		if (got == 0)
			s->eof = true;
		s->end += (size_t)got;
		s->stats->bytes = s->base + s->end;
	}
	return 1;
}

/* As fill(), but the stream must not end before. @what is missing then. */
static int want(struct scanner *s, size_t n, const char *what)
{
	int r = fill(s, n);

	if (r == 0) {
		s->pos = s->end;
		return fail(s, TCE_ERR_TORN, "the stream ends in %s", what);
	}
	return r < 0 ? r : 0;
}

static int skip(struct scanner *s, uint64_t n, const char *what)
{
	size_t step;
	int r;

	while (n) {
		if (s->pos == s->end) {
			r = want(s, 1, what);
			if (r)
				return r;
		}
		step = s->end - s->pos < n ? s->end - s->pos : (size_t)n;
		s->pos += step;
		n -= step;
	}
	return 0;
}

static const uint8_t *here(const struct scanner *s)
{
	return s->buf + s->pos;
}

/* Names are the sender's: nothing that a terminal would act on. */
static void set_where(struct scanner *s, uint32_t id, const uint8_t *name, size_t len)
{
	char *p = s->where + snprintf(s->where, 48, "section %u ", id);
	size_t i;

	*p++ = '(';
	for (i = 0; i < len; i++)
		*p++ = isascii(name[i]) && isprint(name[i]) ? (char)name[i] : '?';
	*p++ = ')';
	*p = '\0';
}

static struct iterated *find_iterated(struct scanner *s, uint32_t id)
{
	size_t i;

	for (i = 0; i < s->iterated_count; i++)
		if (s->iterated[i].id == id)
			return &s->iterated[i];
	return NULL;
}

/*
 * Configuration
 */

static int scan_configuration(struct scanner *s)
{
	char name[NAME_MAX_BYTES + 1];
	uint32_t len, n;
	size_t keep;
	int r;

	snprintf(s->where, sizeof(s->where), "configuration");
	r = want(s, 5, "the machine type's length");
	if (r)
		return r;
	len = load_be32(here(s) + 1);
	s->pos += 5;
	keep = len < sizeof(s->stats->machine) ? len : sizeof(s->stats->machine) - 1;
	r = want(s, keep, "the machine type");
	if (r)
		return r;
	for (n = 0; n < keep; n++)
		s->stats->machine[n] = isascii(here(s)[n]) && isprint(here(s)[n]) ?
				       (char)here(s)[n] : '?';
	s->stats->machine[keep] = '\0';
	r = skip(s, len, "the machine type");
	if (r)
		return r;

	for (;;) {
		r = fill(s, 1);
		if (r <= 0 || here(s)[0] != QEMU_SUBSECTION)
			return r < 0 ? r : GO_ON;
		r = want(s, 2, "a subsection's name");
		if (r)
			return r;
		len = here(s)[1];
		r = want(s, 2 + len + 4, "a subsection's name");
		if (r)
			return r;
		memcpy(name, here(s) + 2, len);
		name[len] = '\0';
		s->pos += 2 + len + 4;
		if (!strcmp(name, "configuration/target-page-bits")) {
			r = skip(s, 4, "the page size");
		} else if (!strcmp(name, "configuration/uuid")) {
			r = skip(s, 16, "the UUID");
		} else if (!strcmp(name, "configuration/capabilities")) {
			r = want(s, 4, "the capabilities");
			if (r)
				return r;
			n = load_be32(here(s));
			s->pos += 4;
			for (; n; n--) {
				r = want(s, 1, "the capabilities");
				if (!r)
					r = want(s, 1 + here(s)[0], "the capabilities");
				if (r)
					return r;
				len = here(s)[0];
				if (len == 15 && !memcmp(here(s) + 1, "x-ignore-shared", 15))
					s->ignore_shared = true;
				else
					return not_understood(s, "capability %.*s", (int)len,
							      (const char *)here(s) + 1);
				s->pos += 1 + len;
			}
		} else {
			return not_understood(s, "an unknown part of the configuration");
		}
		if (r)
			return r;
	}
}

/*
 * RAM
 */

static int scan_blocks(struct scanner *s, uint64_t total)
{
	uint64_t length;
	uint32_t len;
	int r;

	while (total) {
		r = want(s, 1, "the list of RAM blocks");
		if (r)
			return r;
		len = here(s)[0];
		r = want(s, 1 + len + 8, "the list of RAM blocks");
		if (r)
			return r;
		length = load_be64(here(s) + 1 + len);
		if (length > total)
			return fail(s, TCE_ERR_STREAM,
				    "a RAM block is larger than all of them together");
		s->pos += 1 + len + 8;
		if (s->ignore_shared) {
			r = skip(s, 8, "the list of RAM blocks");
			if (r)
				return r;
		}
		total -= length;
		s->stats->blocks++;
	}
	return 0;
}

/* Nearly all of a stream is runs of these two records, so they have a loop of their own. */
static void scan_pages(struct scanner *s)
{
	const uint8_t *p = s->buf + s->pos, *end = s->buf + s->end;
	uint64_t pages = 0, zero_pages = 0;

	while (end - p >= 8 + (ptrdiff_t)PAGE_BYTES) {
		uint64_t flags = load_be64(p) & RAM_FLAGS;

		if (flags == (RAM_PAGE | RAM_SAME_BLOCK)) {
			p += 8 + PAGE_BYTES;
			pages++;
		} else if (flags == (RAM_ZERO | RAM_SAME_BLOCK)) {
			p += 8 + 1;
			zero_pages++;
		} else {
			break;
		}
	}
	s->pos = (size_t)(p - s->buf);
	s->stats->pages += pages;
	s->stats->zero_pages += zero_pages;
}

static int scan_ram(struct scanner *s)
{
	uint64_t head, flags;
	uint32_t len;
	int r;

	for (;;) {
		scan_pages(s);
		r = want(s, 8, "a RAM record");
		if (r)
			return r;
		head = load_be64(here(s));
		flags = head & RAM_FLAGS;
		if (flags & ~(uint64_t)(RAM_ZERO | RAM_SIZE | RAM_PAGE | RAM_EOS | RAM_SAME_BLOCK |
					RAM_XBZRLE | RAM_COMPRESSED))
			return not_understood(s, "RAM record with flags 0x%x", (unsigned int)flags);
		s->pos += 8;
		if (flags & (RAM_ZERO | RAM_PAGE | RAM_XBZRLE | RAM_COMPRESSED) &&
		    !(flags & RAM_SAME_BLOCK)) {
			r = want(s, 1, "the name of a RAM block");
			if (!r)
				r = skip(s, 1 + here(s)[0], "the name of a RAM block");
			if (r)
				return r;
		}
		switch (flags & ~(uint64_t)RAM_SAME_BLOCK) {
		case RAM_SIZE:
			r = scan_blocks(s, head & ~(uint64_t)RAM_FLAGS);
			break;
		case RAM_PAGE:
			r = skip(s, PAGE_BYTES, "a RAM page");
			s->stats->pages++;
			break;
		case RAM_ZERO:
			r = skip(s, 1, "a RAM page of zeros");
			s->stats->zero_pages++;
			break;
		case RAM_XBZRLE:
			r = want(s, 3, "a RAM page's difference");
			if (r)
				return r;
			len = load_be16(here(s) + 1);
			if (len > PAGE_BYTES)
				return fail(s, TCE_ERR_STREAM,
					    "the difference of a RAM page has %u bytes", len);
			r = skip(s, 3 + len, "a RAM page's difference");
			s->stats->xbzrle_pages++;
			break;
		case RAM_COMPRESSED:
			r = want(s, 4, "a compressed RAM page");
			if (r)
				return r;
			len = load_be32(here(s));
			if (len > COMPRESSED_MAX)
				return fail(s, TCE_ERR_STREAM,
					    "a compressed RAM page has %u bytes", len);
			r = skip(s, 4 + (uint64_t)len, "a compressed RAM page");
			s->stats->compressed_pages++;
			break;
		case RAM_EOS:
			return 0;
		default:
			s->pos -= 8;
			return fail(s, TCE_ERR_STREAM, "RAM record with flags 0x%x",
				    (unsigned int)flags);
		}
		if (r)
			return r;
	}
}

/*
 * Hashed page table (spapr/htab): be32, which is -1 without one, the table's order in the
 * first section, and 0 in those that bring entries.
 */
static int scan_htab(struct scanner *s)
{
	uint32_t index, valid, invalid;
	int r;

	r = want(s, 4, "the hashed page table");
	if (r)
		return r;
	index = load_be32(here(s));
	s->pos += 4;
	if (index)
		return 0;
	do {
		r = want(s, 8, "the hashed page table");
		if (r)
			return r;
		index = load_be32(here(s));
		valid = load_be16(here(s) + 4);
		invalid = load_be16(here(s) + 6);
		s->pos += 8;
		r = skip(s, (uint64_t)valid * HPTE_BYTES, "the hashed page table");
		if (r)
			return r;
	} while (index || valid || invalid);
	return 0;
}

/* Machine types before 2.4 have no footers; the first section that ends tells. */
static int scan_footer(struct scanner *s, uint32_t id)
{
	int r;

	r = want(s, 1, "what follows it");
	if (r)
		return r;
	if (!s->footers_known) {
		s->footers_known = true;
		s->footers = here(s)[0] == QEMU_FOOTER;
	}
	if (!s->footers)
		return 0;
	r = want(s, FOOTER_SIZE, "its footer");
	if (r)
		return r;
	if (here(s)[0] != QEMU_FOOTER || load_be32(here(s) + 1) != id)
		return fail(s, TCE_ERR_STREAM, "its footer is not there");
	s->pos += FOOTER_SIZE;
	return 0;
}

static int scan_iterated(struct scanner *s, struct iterated *section)
{
	uint64_t begin = position(s);
	int r;

	r = section->kind == KIND_RAM ? scan_ram(s) : scan_htab(s);
	if (r)
		return r;
	*(section->kind == KIND_RAM ? &s->stats->ram_bytes : &s->stats->htab_bytes) +=
		position(s) - begin;
	return scan_footer(s, section->id);
}

/*
 * Devices
 */

static bool is_name(const uint8_t *name, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!isascii(name[i]) || !isprint(name[i]))
			return false;
	return len > 0;
}

/*
 * May what is @at bytes from here on follow a footer? Where the stream ends before that is sure,
 * it may: then the stream is torn, and that is found where it is parsed. Returns 1, 0, or an
 * error.
 */
static int may_follow(struct scanner *s, size_t at)
{
	const struct iterated *section;
	uint32_t command, len;
	int r;

	r = fill(s, at + 1);
	if (r <= 0)
		return r < 0 ? r : 1;
	switch (here(s)[at]) {
	case QEMU_END:
		r = fill(s, at + 2);
		if (r <= 0)
			return r < 0 ? r : 1;
		if (here(s)[at + 1] != QEMU_DESCRIPTION)
			return 0;
		r = fill(s, at + 7);
		if (r <= 0)
			return r < 0 ? r : 1;
		return here(s)[at + 6] == '{';
	case QEMU_START:
	case QEMU_FULL:
		r = fill(s, at + 6);
		if (r <= 0)
			return r < 0 ? r : 1;
		len = here(s)[at + 5];
		r = fill(s, at + 6 + len);
		if (r <= 0)
			return r < 0 ? r : 1;
		return is_name(here(s) + at + 6, len);
	case QEMU_PART:
	case QEMU_LAST:
		r = fill(s, at + 5);
		if (r <= 0)
			return r < 0 ? r : 1;
		section = find_iterated(s, load_be32(here(s) + at + 1));
		return section && !section->ended;
	case QEMU_COMMAND:
		r = fill(s, at + 5);
		if (r <= 0)
			return r < 0 ? r : 1;
		command = load_be16(here(s) + at + 1);
		len = load_be16(here(s) + at + 3);
		return command >= COMMAND_RETURN_PATH && command <= COMMAND_SWITCHOVER &&
		       len <= (command == COMMAND_ADVISE ? 16 : 4);
	default:
		return 0;
	}
}

/* Go past a device's contents and its footer. */
static int scan_contents(struct scanner *s, uint32_t id)
{
	const uint8_t *mark;
	int r;

	if (s->footers_known && !s->footers)
		return not_understood(s, "a machine type without section footers");
	for (;;) {
		r = want(s, FOOTER_SIZE, "its contents");
		if (r)
			return r;
		mark = memchr(here(s), QEMU_FOOTER, s->end - s->pos - (FOOTER_SIZE - 1));
		if (!mark) {
			s->pos = s->end - (FOOTER_SIZE - 1);
			continue;
		}
		s->pos = (size_t)(mark - s->buf);
		if (load_be32(mark + 1) == id) {
			r = may_follow(s, FOOTER_SIZE);
			if (r < 0)
				return r;
			if (r) {
				s->pos += FOOTER_SIZE;
				return 0;
			}
		}
		s->pos++;
	}
}

static int put_words(struct scanner *s, const struct tce_stream_table *table, uint64_t index,
		     size_t count)
{
	int r = 0;

	if (s->hooks && s->hooks->words)
		r = s->hooks->words(s->hooks->ctx, table, index, s->words, count, s->err);
	if (!r && s->out && s->out->words)
		r = s->out->words(s->out->ctx, index, s->words, count, s->err);
	return r;
}

TCE_WIDE static void load_words(uint64_t *words, const uint8_t *bytes, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		words[i] = load_be64(bytes + 8 * i);
}

static int scan_words(struct scanner *s, const struct tce_stream_table *table)
{
	uint64_t index = 0, left = table->geometry.entries;
	size_t held = 0, count;
	int r;

	while (left) {
		r = want(s, 8, "a table's entries");
		if (r) {
			if (s->err && r == TCE_ERR_TORN) {
				s->err->liobn = table->geometry.liobn;
				s->err->index = index + held;
				s->err->fields |= TCE_ERROR_LIOBN | TCE_ERROR_INDEX;
			}
			return r;
		}
		count = (s->end - s->pos) / 8;
		if (count > left)
			count = (size_t)left;
		if (count > TCE_BLOCK_MAX - held)
			count = TCE_BLOCK_MAX - held;
		load_words(s->words + held, here(s), count);
		/* they go out as words, not as bytes */
		s->start = s->pos += 8 * count;
		held += count;
		left -= count;
		if (held == TCE_BLOCK_MAX || !left) {
			r = put_words(s, table, index, held);
			if (r)
				return r;
			index += held;
			held = 0;
		}
	}
	return 0;
}

/*
 * What follows a table's entries: default window (since version 3), a subsection if the window is
 * not at 0 with pages of 4 KiB, the footer. Not that: *whole stays false.
 */
static int scan_table_end(struct scanner *s, struct tce_stream_table *table, uint32_t version)
{
	static const char name[] = "spapr_iommu_ex";
	const size_t sub_size = 2 + sizeof(name) - 1 + 4 + 8 + 4;
	struct tce_geometry *geometry = &table->geometry;
	const uint8_t *p;
	int r;

	geometry->page_shift = 12;
	geometry->bus_offset = 0;
	if (version >= 3) {
		r = want(s, 1, "a table's end");
		if (r)
			return r;
		if (here(s)[0] > 1)
			return 0;
		table->default_window = here(s)[0];
		s->pos++;
	}
	r = want(s, 1, "a table's end");
	if (r)
		return r;
	if (here(s)[0] == QEMU_SUBSECTION) {
		r = want(s, sub_size, "a table's end");
		if (r)
			return r;
		p = here(s) + 1;
		if (*p++ != sizeof(name) - 1 || memcmp(p, name, sizeof(name) - 1))
			return 0;
		p += sizeof(name) - 1;
		if (load_be32(p) != 1)
			return 0;
		geometry->bus_offset = load_be64(p + 4);
		geometry->page_shift = load_be32(p + 12);
		s->pos += sub_size;
	}
	r = want(s, FOOTER_SIZE, "its footer");
	if (r)
		return r;
	if (here(s)[0] != QEMU_FOOTER || load_be32(here(s) + 1) != table->section_id)
		return 0;
	s->pos += FOOTER_SIZE;
	geometry->known = TCE_KNOWN_ALL;
	table->whole = !geometry->entries || !tce_check_geometry(geometry, NULL);
	return 0;
}

/* A section "spapr_iommu": be32 LIOBN, be32 entries, u8 bypass, the entries, the end. */
static int scan_table(struct scanner *s, struct tce_stream_table *table, uint32_t instance,
		      uint32_t version)
{
	const struct stream_output *out = s->out;
	struct tce_geometry *geometry = &table->geometry;
	bool at_end;
	int r;

	r = want(s, 9, "its contents");
	if (r)
		return r;
	/* a newer version, or no table at all */
	if (version < 2 || version > 3 || load_be32(here(s)) != instance || here(s)[8] > 1)
		return scan_contents(s, table->section_id);
	geometry->known = TCE_KNOWN_LIOBN | TCE_KNOWN_ENTRIES;
	geometry->liobn = instance;
	geometry->entries = load_be32(here(s) + 4);
	table->bypass = here(s)[8];
	snprintf(geometry->origin, sizeof(geometry->origin), "%s", s->stats->machine);
	s->pos += 9;

	s->stats->tables++;
	s->stats->entries += geometry->entries;
	s->stats->table_bytes += geometry->entries * 8;
	r = emit(s);
	if (!r && s->hooks && s->hooks->begin_table)
		r = s->hooks->begin_table(s->hooks->ctx, table, s->err);
	if (!r && geometry->entries && out && out->begin_table)
		r = out->begin_table(out->ctx, table, s->err);
	if (!r)
		r = scan_words(s, table);
	if (!r && geometry->entries && out && out->end_words)
		r = out->end_words(out->ctx, s->err);
	if (!r)
		r = scan_table_end(s, table, version);
	if (r)
		return r;
	at_end = geometry->known == TCE_KNOWN_ALL;
	if (s->hooks && s->hooks->end_table)
		r = s->hooks->end_table(s->hooks->ctx, table, s->err);
	if (r)
		return r;
	return at_end ? 0 : scan_contents(s, table->section_id);
}

static int add_section(struct scanner *s, const struct stream_section *section)
{
	struct stream_section *more;
	size_t room;

	if (s->section_count == SECTIONS_MAX)
		return not_understood(s, "more than %u sections", SECTIONS_MAX);
	if (s->section_count == s->section_room) {
		room = s->section_room ? 2 * s->section_room : 256;
		more = realloc(s->sections, room * sizeof(*more));
		if (!more)
			return tce_set_error(s->err, TCE_ERR_NOMEM, ENOMEM, "list of sections");
		s->sections = more;
		s->section_room = room;
	}
	s->sections[s->section_count++] = *section;
	return 0;
}

/*
 * Sections
 */

static int scan_first(struct scanner *s)
{
	struct stream_section section = { 0 };
	struct tce_stream_table table = { 0 };
	char name[NAME_MAX_BYTES + 1];
	struct iterated *iterated;
	uint32_t id, version;
	uint64_t contents;
	uint8_t type;
	size_t len;
	int r;

	section.offset = position(s);
	r = want(s, 6, "a section's header");
	if (r)
		return r;
	type = here(s)[0];
	id = load_be32(here(s) + 1);
	len = here(s)[5];
	snprintf(s->where, sizeof(s->where), "section %u", id);
	r = want(s, 6 + len + 8, "its header");
	if (r)
		return r;
	set_where(s, id, here(s) + 6, len);
	memcpy(name, here(s) + 6, len);
	name[len] = '\0';
	section.name_hash = stream_hash_name(name, len);
	section.instance = load_be32(here(s) + 6 + len);
	version = load_be32(here(s) + 6 + len + 4);
	if (!len)
		return fail(s, TCE_ERR_STREAM, "a section without a name");

	if (type == QEMU_START) {
		if (find_iterated(s, id))
			return fail(s, TCE_ERR_STREAM, "starts a second time");
		if (s->iterated_count == ITERATED_MAX)
			return not_understood(s, "more than %u iterated sections", ITERATED_MAX);
		iterated = &s->iterated[s->iterated_count];
		iterated->id = id;
		if (!strcmp(name, "ram") && version == 4)
			iterated->kind = KIND_RAM;
		else if (!strcmp(name, "spapr/htab") && version == 1)
			iterated->kind = KIND_HTAB;
		else
			return not_understood(s, "%s", s->where);
		s->iterated_count++;
		s->pos += 6 + len + 8;
		return scan_iterated(s, iterated);
	}

	if (find_iterated(s, id))
		return fail(s, TCE_ERR_STREAM, "its number is that of a section sent in parts");
	s->pos += 6 + len + 8;
	contents = position(s);
	s->stats->devices++;
	section.is_table = !strcmp(name, "spapr_iommu") && (s->footers || !s->footers_known);
	if (section.is_table) {
		table.offset = section.offset;
		table.section_id = id;
		r = scan_table(s, &table, section.instance, version);
	} else {
		r = scan_contents(s, id);
	}
	if (r)
		return r;
	section.length = position(s) - contents - FOOTER_SIZE;
	return add_section(s, &section);
}

static int scan_part(struct scanner *s)
{
	struct iterated *section;
	uint32_t id;
	bool last;
	int r;

	snprintf(s->where, sizeof(s->where), "section");
	r = want(s, 5, "its header");
	if (r)
		return r;
	last = here(s)[0] == QEMU_LAST;
	id = load_be32(here(s) + 1);
	snprintf(s->where, sizeof(s->where), "section %u", id);
	section = find_iterated(s, id);
	if (!section)
		return fail(s, TCE_ERR_STREAM, "goes on but was never started");
	snprintf(s->where, sizeof(s->where), "section %u (%s)", id,
		 section->kind == KIND_RAM ? "ram" : "spapr/htab");
	if (section->ended)
		return fail(s, TCE_ERR_STREAM, "goes on after its end");
	section->ended = last;
	s->pos += 5;
	return scan_iterated(s, section);
}

static int scan_command(struct scanner *s)
{
	uint32_t command, len;
	int r;

	snprintf(s->where, sizeof(s->where), "command");
	r = want(s, 5, "a command");
	if (r)
		return r;
	command = load_be16(here(s) + 1);
	len = load_be16(here(s) + 3);
	switch (command) {
	case COMMAND_RETURN_PATH:
	case COMMAND_PING:
	case COMMAND_SWITCHOVER:
		break;
	case 0:
		return fail(s, TCE_ERR_STREAM, "command 0");
	default:
		return not_understood(s, "command %u (postcopy or COLO)", command);
	}
	s->pos += 5;
	s->stats->commands++;
	return skip(s, len, "a command");
}

static int end_hook(struct scanner *s)
{
	if (s->hooks && s->hooks->end)
		return s->hooks->end(s->hooks->ctx, s->stats, s->err);
	return 0;
}

static int scan_description(struct scanner *s)
{
	size_t differs, at, len;
	const char *problem;
	uint8_t *larger;
	int r;

	snprintf(s->where, sizeof(s->where), "description");
	r = want(s, 6, "its length");
	if (r)
		return r;
	len = load_be32(here(s) + 2);
	s->stats->description_bytes = len;
	if (len > DESCRIPTION_MAX) {
		r = end_hook(s);
		if (r)
			return r;
		s->pos += 6;
		return skip(s, len, "JSON");
	}
	if (6 + len > s->size) {
		larger = realloc(s->buf - OUTPUT_HEADROOM, OUTPUT_HEADROOM + 6 + len);
		if (!larger)
			return tce_set_error(s->err, TCE_ERR_NOMEM, ENOMEM, "description");
		s->buf = larger + OUTPUT_HEADROOM;
		s->size = 6 + len;
	}
	r = want(s, 6 + len, "JSON");
	if (r)
		return r;
	r = stream_check_description((const char *)here(s) + 6, len, s->sections,
				     s->section_count, &differs, &at, &problem);
	if (r < 0) {
		s->pos += 6 + at;
		return fail(s, TCE_ERR_STREAM, "%s", problem);
	}
	s->stats->verdict = (enum tce_stream_verdict)r;
	if (r == TCE_STREAM_DISAGREES)
		s->stats->verdict_at = differs < s->section_count ?
				       s->sections[differs].offset : position(s);
	r = end_hook(s);
	s->pos += 6 + len;
	return r;
}

static int scan_end(struct scanner *s)
{
	size_t i;
	int r;

	snprintf(s->where, sizeof(s->where), "end mark");
	for (i = 0; i < s->iterated_count; i++)
		if (!s->iterated[i].ended)
			return fail(s, TCE_ERR_STREAM, "section %u (%s) has not ended",
				    s->iterated[i].id,
				    s->iterated[i].kind == KIND_RAM ? "ram" : "spapr/htab");
	r = fill(s, 2);
	if (r < 0)
		return r;
	s->stats->understood = true;
	if (r && here(s)[1] == QEMU_DESCRIPTION) {
		r = scan_description(s);
	} else {
		r = end_hook(s);
		s->pos++;
	}
	if (r)
		return r;
	r = fill(s, 1);
	if (r < 0)
		return r;
	if (r) {
		s->stats->understood = false;
		return not_understood(s, "something follows the stream's end");
	}
	return emit(s);
}

static int scan_sections(struct scanner *s)
{
	int r;

	r = want(s, 8, "its first bytes");
	if (r)
		return r;
	if (load_be32(here(s)) != QEMU_MAGIC)
		return fail(s, TCE_ERR_STREAM, "not a QEMU migration stream");
	if (load_be32(here(s) + 4) != QEMU_VERSION)
		return fail(s, TCE_ERR_STREAM, "version %u of QEMU's format is not known",
			    load_be32(here(s) + 4));
	s->pos += 8;
	r = want(s, 1, "its beginning");
	if (!r && here(s)[0] == QEMU_CONFIGURATION)
		r = scan_configuration(s);
	while (!r) {
		snprintf(s->where, sizeof(s->where), "sections");
		r = want(s, 1, "the middle: no end mark");
		if (r)
			break;
		switch (here(s)[0]) {
		case QEMU_END:
			return scan_end(s);
		case QEMU_START:
		case QEMU_FULL:
			r = scan_first(s);
			break;
		case QEMU_PART:
		case QEMU_LAST:
			r = scan_part(s);
			break;
		case QEMU_COMMAND:
			r = scan_command(s);
			break;
		case QEMU_SUBSECTION:
		case QEMU_DESCRIPTION:
		case QEMU_CONFIGURATION:
		case QEMU_FOOTER:
			return fail(s, TCE_ERR_STREAM, "0x%02x where a section must begin",
				    here(s)[0]);
		default:
			return not_understood(s, "section type 0x%02x", here(s)[0]);
		}
	}
	return r;
}

int stream_scan(const struct tce_source *source, const struct stream_output *output,
		const struct tce_stream_hooks *hooks, struct tce_stream_stats *stats,
		struct tce_error *err)
{
	struct scanner s = { .source = *source, .out = output, .hooks = hooks, .stats = stats,
			     .err = err, .size = BUFFER_SIZE, .where = "stream" };
	uint8_t *room;
	int r;

	room = malloc(OUTPUT_HEADROOM + BUFFER_SIZE);
	if (!room)
		return tce_set_error(err, TCE_ERR_NOMEM, ENOMEM, "stream buffers");
	s.buf = room + OUTPUT_HEADROOM;
	s.words = malloc(TCE_BLOCK_MAX * sizeof(*s.words));
	if (!s.words) {
		r = tce_set_error(err, TCE_ERR_NOMEM, ENOMEM, "stream buffers");
		goto out;
	}
	r = scan_sections(&s);
	if (r == NOT_UNDERSTOOD) {
		r = end_hook(&s);
		while (!r) {
			s.pos = s.end;
			r = emit(&s);
			if (!r)
				r = fill(&s, 1);
			if (r <= 0)
				break;
			r = 0;
		}
	}
out:
	free(s.sections);
	free(s.words);
	free(s.buf - OUTPUT_HEADROOM);
	return r;
}
