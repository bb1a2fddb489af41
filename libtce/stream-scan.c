// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finds the TCE tables in a QEMU migration stream while it goes by: the loop over its sections.
 * The facts about the format are from migration/savevm.c and vmstate.c of QEMU 7.2 to 10.0.
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
 * guest, are parsed. The description tells those of devices, but it comes last, when the source has
 * sent everything and considers its migration done. Waiting for it would hold every table back, and
 * a source would not hear that its destination has failed. So a device's contents end where its
 * footer is followed by something that can follow it, and tables are parsed by their own structure.
 * The description is checked at the end. If a guest cheats (it can put what looks like a section
 * into its NVRAM), packing is still exact to the byte, as for any bytes, and whoever looks at the
 * tables is told not to trust them. All that a guest gains is that its own migration fails, because
 * of a false table that reaches past the stream's end.
 */
#include <stdio.h>
#include <stdlib.h>

#include "stream-scan.h"

#define QEMU_MAGIC     0x5145564dU /* "QEVM" */
#define QEMU_VERSION   3
#define RAM_VERSION    4
#define HTAB_VERSION   1
#define BITMAP_VERSION 1
#define DISK_VERSION   1

#define UUID_BYTES     16
/* Pages of 4 KiB, unless the stream says otherwise. */
#define PAGE_BYTES	4096U
#define PAGE_BITS_MIN	8
#define PAGE_BITS_MAX	16
#define DESCRIPTION_MAX (16U << 20)
#define SECTIONS_MAX	(1U << 17) /* sections that are compared with the description */
#define SECTIONS_ROOM	256	   /* and that there is room for at first */

/* Name the section that is parsed now. */
static void set_where(struct scanner *scan, uint32_t id, const char *name, size_t len)
{
	char text[STREAM_NAME_SIZE];

	tce_stream_copy_text(text, name, len);
	snprintf(scan->in.where, sizeof(scan->in.where), "section %u (%s)", id, text);
}

static void set_part(struct scanner *scan, const char *part)
{
	snprintf(scan->in.where, sizeof(scan->in.where), "%s", part);
}

/*
 * Configuration
 */

static int scan_machine(struct scanner *scan)
{
	static const char what[] = "the machine type";
	struct stream_input *in = &scan->in;
	const uint8_t *name;
	uint32_t len;
	size_t keep;
	int ret;

	ret = take_be32(in, &len, "the machine type's length");
	if (ret)
		return ret;
	keep = (size_t)min_u64(len, sizeof(in->stats->machine) - 1);
	ret = take_bytes(in, keep, &name, what);
	if (ret)
		return ret;
	tce_stream_copy_text(in->stats->machine, name, keep);
	return tce_stream_skip(in, len - keep, what);
}

/* Capabilities that the destination must know to understand what follows. */
static int scan_capabilities(struct scanner *scan)
{
	static const char what[] = "the capabilities";
	struct stream_input *in = &scan->in;
	char name[STREAM_NAME_SIZE], text[STREAM_NAME_SIZE];
	uint32_t count;
	size_t len;
	int ret;

	ret = take_be32(in, &count, what);
	for (; !ret && count; count--) {
		ret = take_name(in, name, &len, what);
		if (ret)
			return ret;
		if (!strcmp(name, "x-ignore-shared")) {
			scan->ignore_shared = true;
		} else if (!strcmp(name, "mapped-ram")) {
			scan->mapped_ram = true;
		} else {
			tce_stream_copy_text(text, name, len);
			return tce_stream_give_up(in, "capability %s", text);
		}
	}
	return ret;
}

/* QEMU has pages of 256 bytes to 64 KiB. */
static int scan_page_bits(struct scanner *scan)
{
	struct stream_input *in = &scan->in;
	uint32_t bits;
	int ret = take_be32(in, &bits, "the page size");

	if (ret)
		return ret;
	if (bits < PAGE_BITS_MIN || bits > PAGE_BITS_MAX)
		return tce_stream_give_up(in, "pages of 2^%u bytes", bits);
	scan->page_bytes = 1U << bits;
	return 0;
}

static int scan_uuid(struct scanner *scan)
{
	return tce_stream_skip(&scan->in, UUID_BYTES, "the UUID");
}

static int scan_configuration(struct scanner *scan)
{
	static const struct {
		const char *name;
		int (*scan)(struct scanner *scan);
	} parts[] = {
		{ "configuration/target-page-bits", scan_page_bits },
		{ "configuration/uuid", scan_uuid },
		{ "configuration/capabilities", scan_capabilities },
	};
	static const char what[] = "a subsection's name";
	struct stream_input *in = &scan->in;
	char name[STREAM_NAME_SIZE];
	uint32_t version;
	size_t len, i;
	int ret;

	set_part(scan, "configuration");
	in->pos++;
	ret = scan_machine(scan);
	while (!ret) {
		ret = tce_stream_fill(in, 1);
		if (ret <= 0 || in->buf[in->pos] != QEMU_SUBSECTION)
			return ret < 0 ? ret : 0;
		in->pos++;
		ret = take_name(in, name, &len, what);
		if (!ret)
			ret = take_be32(in, &version, what);
		if (ret)
			return ret;
		for (i = 0; i < ARRAY_SIZE(parts); i++)
			if (!strcmp(name, parts[i].name))
				break;
		if (i == ARRAY_SIZE(parts))
			return tce_stream_give_up(in, "an unknown part of the configuration");
		ret = parts[i].scan(scan);
	}
	return ret;
}

/*
 * Sections
 */

static int add_section(struct scanner *scan, const struct stream_section *section)
{
	struct stream_section *more;
	size_t room;

	if (scan->section_count == SECTIONS_MAX)
		return tce_stream_give_up(&scan->in, "more than %u sections", SECTIONS_MAX);
	if (scan->section_count == scan->section_room) {
		room = scan->section_room ? 2 * scan->section_room : SECTIONS_ROOM;
		more = realloc(scan->sections, room * sizeof(*more));
		if (!more)
			return tce_set_error(scan->in.err, TCE_ERR_NOMEM, 0,
					     "no memory for a list of sections");
		scan->sections = more;
		scan->section_room = room;
	}
	scan->sections[scan->section_count++] = *section;
	return 0;
}

/* A section that is sent in parts, after its header. */
static int scan_start(struct scanner *scan, uint32_t id, const char *name, uint32_t version)
{
	static const struct {
		const char *name;
		uint32_t version;
		enum iterated_kind kind;
	} kinds[] = {
		{ "ram", RAM_VERSION, KIND_RAM },
		{ "spapr/htab", HTAB_VERSION, KIND_HTAB },
		{ "dirty-bitmap", BITMAP_VERSION, KIND_BITMAPS },
		{ "block", DISK_VERSION, KIND_DISKS },
	};
	struct iterated *section;
	size_t i;

	if (tce_stream_find_iterated(scan, id))
		return tce_stream_give_up(&scan->in, "starts a second time");
	if (scan->iterated_count == ITERATED_MAX)
		return tce_stream_give_up(&scan->in, "more than %u iterated sections",
					  ITERATED_MAX);
	section = &scan->iterated[scan->iterated_count];
	section->id = id;
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(name, kinds[i].name) && version == kinds[i].version)
			break;
	if (i == ARRAY_SIZE(kinds))
		return tce_stream_give_up(&scan->in, "an unknown kind of section");
	section->kind = kinds[i].kind;
	scan->iterated_count++;
	return tce_stream_scan_iterated(scan, section);
}

/* A device, after its header. */
static int scan_full(struct scanner *scan, uint32_t id, const char *name, uint32_t version,
		     struct stream_section *section)
{
	struct stream_input *in = &scan->in;
	const uint64_t contents = stream_position(in);
	struct tce_stream_table table = { .offset = section->offset, .section_id = id };
	int ret;

	if (tce_stream_find_iterated(scan, id))
		return tce_stream_give_up(in, "its number is that of a section sent in parts");
	in->stats->devices++;
	tce_stream_watch(in);
	section->is_table = !strcmp(name, "spapr_iommu") && (scan->footers || !scan->footers_known);
	if (!section->is_table)
		ret = tce_stream_scan_contents(scan, id);
	else if (version == VERSION_RUNS)
		ret = tce_stream_scan_runs(scan, &table, section);
	else
		ret = tce_stream_scan_table(scan, &table, version, section);
	if (ret)
		return ret;
	section->length = stream_position(in) - contents - FOOTER_SIZE;
	return add_section(scan, section);
}

/* The first or the only part of a section: u8 type, be32 id, name, be32 instance, be32 version. */
static int scan_first(struct scanner *scan)
{
	static const char what[] = "its header";
	struct stream_input *in = &scan->in;
	struct stream_section section = { .offset = stream_position(in) };
	char name[STREAM_NAME_SIZE];
	uint32_t id, version;
	uint8_t type;
	size_t len;
	int ret;

	ret = take_u8(in, &type, what);
	if (!ret)
		ret = take_be32(in, &id, "a section's header");
	if (ret)
		return ret;
	snprintf(in->where, sizeof(in->where), "section %u", id);
	ret = take_name(in, name, &len, what);
	if (!ret) {
		set_where(scan, id, name, len);
		ret = take_be32(in, &section.instance, what);
	}
	if (!ret)
		ret = take_be32(in, &version, what);
	if (ret)
		return ret;
	if (!len)
		return tce_stream_give_up(in, "a section without a name");
	section.name_hash = tce_stream_hash_name(name, len);
	if (type == QEMU_START)
		return scan_start(scan, id, name, version);
	return scan_full(scan, id, name, version, &section);
}

/* Another part of a section: u8 type, be32 id. */
static int scan_part(struct scanner *scan)
{
	static const char *const kinds[] = {
		[KIND_RAM] = "ram",
		[KIND_HTAB] = "spapr/htab",
		[KIND_BITMAPS] = "dirty-bitmap",
		[KIND_DISKS] = "block",
	};
	static const char what[] = "its header";
	struct stream_input *in = &scan->in;
	struct iterated *section;
	uint32_t id;
	uint8_t type;
	int ret;

	set_part(scan, "section");
	ret = take_u8(in, &type, what);
	if (!ret)
		ret = take_be32(in, &id, what);
	if (ret)
		return ret;
	snprintf(in->where, sizeof(in->where), "section %u", id);
	section = tce_stream_find_iterated(scan, id);
	if (!section)
		return tce_stream_give_up(in, "goes on but was never started");
	snprintf(in->where, sizeof(in->where), "section %u (%s)", id, kinds[section->kind]);
	if (section->ended)
		return tce_stream_give_up(in, "goes on after its end");
	section->ended = type == QEMU_LAST;
	return tce_stream_scan_iterated(scan, section);
}

/*
 * A command: u8 type, be16 command, be16 length, that many bytes. A whole stream of its own, of
 * devices, may follow COMMAND_PACKAGED, whose be32 is its length: its sections are read as all
 * others are. After COMMAND_COLO more than this stream follows its end.
 */
static int scan_command(struct scanner *scan)
{
	static const char what[] = "a command";
	struct stream_input *in = &scan->in;
	const uint8_t *bytes;
	uint16_t command, len;
	int ret;

	set_part(scan, "command");
	ret = tce_stream_need(in, 5, what);
	if (ret)
		return ret;
	bytes = in->buf + in->pos;
	command = load_be16(bytes + 1);
	len = load_be16(bytes + 3);
	if (!tce_stream_is_command(command, len))
		return tce_stream_give_up(in, "command %u of %u bytes", command, len);
	in->pos += 5;
	in->stats->commands++;
	if (command != COMMAND_ADVISE || !len)
		return tce_stream_skip(in, len, what);
	ret = take_be64(in, &scan->page_sizes, what);
	return ret ? ret : tce_stream_skip(in, len - sizeof(scan->page_sizes), what);
}

/*
 * The end
 */

static int end_hook(struct scanner *scan)
{
	const struct tce_stream_hooks *hooks = scan->hooks;

	if (hooks && hooks->end)
		return hooks->end(hooks->ctx, scan->in.stats, scan->in.err);
	return 0;
}

/* Compare the description, which is all there, with the sections. */
static int check_description(struct scanner *scan, const char *json, size_t len)
{
	struct stream_input *in = &scan->in;
	size_t differs, at;
	const char *problem;
	int ret;

	ret = tce_stream_check_description(json, len, scan->sections, scan->section_count, &differs,
					   &at, &problem);
	if (ret < 0)
		return tce_stream_give_up(in, "byte %zu: %s", at, problem);
	in->stats->verdict = (enum tce_stream_verdict)ret;
	if (ret == TCE_STREAM_DISAGREES)
		in->stats->verdict_at = differs < scan->section_count ?
						scan->sections[differs].offset :
						stream_position(in);
	return 0;
}

/*
 * Tables that are sent as other runs have other sizes than the description says: replace it by one
 * with the right sizes.
 */
static int correct_description(struct scanner *scan, size_t head, size_t len)
{
	struct stream_input *in = &scan->in;
	const struct stream_output *out = in->out;
	const uint8_t *from = in->buf + in->pos;
	size_t replaced = 0, size, i;
	uint8_t *bytes, *to;
	int ret;

	for (i = 0; i < scan->section_count; i++)
		replaced += scan->sections[i].replaced;
	if (!replaced)
		return 0;
	bytes = malloc(OUTPUT_HEADROOM + head + len + replaced * DESCRIPTION_DIGITS);
	if (!bytes)
		return tce_set_error(in->err, TCE_ERR_NOMEM, 0, "no memory for a description");
	to = bytes + OUTPUT_HEADROOM;
	size = tce_stream_correct_sizes((const char *)from + head, len, scan->sections,
					scan->section_count, (char *)to + head);
	memcpy(to, from, head);
	store_be32(to + 2, (uint32_t)size);
	ret = tce_stream_emit(in);
	if (!ret)
		ret = out->bytes(out->ctx, to, head + size, in->err);
	in->start = in->pos + head + len;
	free(bytes);
	return ret;
}

/* The description, after the mark: be32 length, JSON. The bytes before it are not sent yet. */
static int scan_description(struct scanner *scan)
{
	struct stream_input *in = &scan->in;
	const size_t head = 2 + 4;
	size_t len;
	int ret;

	set_part(scan, "description");
	ret = tce_stream_need(in, head, "its length");
	if (ret)
		return ret;
	len = load_be32(in->buf + in->pos + 2);
	in->stats->description_bytes = len;
	if (len > DESCRIPTION_MAX) {
		in->stats->understood = true;
		ret = end_hook(scan);
		in->pos += head;
		return ret ? ret : tce_stream_skip(in, len, "JSON");
	}
	ret = tce_stream_grow_input(in, head + len);
	if (!ret)
		ret = tce_stream_need(in, head + len, "JSON");
	if (!ret)
		ret = check_description(scan, (const char *)in->buf + in->pos + head, len);
	if (ret)
		return ret;
	in->stats->understood = true;
	ret = end_hook(scan);
	if (!ret && in->out && in->stats->verdict == TCE_STREAM_AGREES)
		ret = correct_description(scan, head, len);
	in->pos += head + len;
	return ret;
}

/* Give the rest of the input to the output as it is. */
static int copy_rest(struct stream_input *in)
{
	int ret;

	do {
		in->pos = in->end;
		ret = tce_stream_emit(in);
		if (!ret)
			ret = tce_stream_fill(in, 1);
	} while (ret > 0);
	return ret;
}

/*
 * The end mark. Sections need not have ended: a background snapshot's RAM never does. If a file was
 * longer, or is a device, bytes follow the description. They mean nothing, but they are kept.
 */
static int scan_end(struct scanner *scan)
{
	struct stream_input *in = &scan->in;
	const uint8_t *mark;
	int ret;

	set_part(scan, "end mark");
	ret = peek_bytes(in, 1, 1, &mark);
	if (ret < 0)
		return ret;
	if (ret && *mark == QEMU_DESCRIPTION) {
		ret = scan_description(scan);
	} else if (ret) {
		/* Without a description, who knows whether this was the end? */
		return tce_stream_give_up(in, "something follows the end mark");
	} else {
		in->stats->understood = true;
		ret = end_hook(scan);
		in->pos++;
	}
	if (ret)
		return ret;
	ret = tce_stream_fill(in, 1);
	if (ret <= 0)
		return ret ? ret : tce_stream_emit(in);
	in->stats->trailing = true;
	return in->out ? copy_rest(in) : 0;
}

static int scan_magic(struct stream_input *in)
{
	const uint8_t *bytes;
	int ret;

	ret = tce_stream_need(in, 8, "its first bytes");
	if (ret)
		return ret;
	bytes = in->buf + in->pos;
	if (load_be32(bytes) != QEMU_MAGIC)
		return tce_stream_fail(in, TCE_ERR_STREAM, "not a QEMU migration stream");
	if (load_be32(bytes + 4) != QEMU_VERSION)
		return tce_stream_fail(in, TCE_ERR_STREAM,
				       "version %u of QEMU's format is not known",
				       load_be32(bytes + 4));
	in->pos += 8;
	return 0;
}

/* One section, whose type is @type. */
static int scan_section(struct scanner *scan, uint8_t type)
{
	switch (type) {
	case QEMU_START:
	case QEMU_FULL:
		return scan_first(scan);
	case QEMU_PART:
	case QEMU_LAST:
		return scan_part(scan);
	case QEMU_COMMAND:
		return scan_command(scan);
	case QEMU_SUBSECTION:
	case QEMU_DESCRIPTION:
	case QEMU_CONFIGURATION:
	case QEMU_FOOTER:
		return tce_stream_give_up(&scan->in, "0x%02x where a section must begin", type);
	default:
		return tce_stream_give_up(&scan->in, "section type 0x%02x", type);
	}
}

static int scan_sections(struct scanner *scan)
{
	struct stream_input *in = &scan->in;
	int ret;

	ret = scan_magic(in);
	if (!ret)
		ret = tce_stream_need(in, 1, "its beginning");
	if (!ret && in->buf[in->pos] == QEMU_CONFIGURATION)
		ret = scan_configuration(scan);
	while (!ret) {
		set_part(scan, "sections");
		ret = tce_stream_need(in, 1, "the middle: no end mark");
		if (ret)
			break;
		if (in->buf[in->pos] == QEMU_END)
			return scan_end(scan);
		ret = scan_section(scan, in->buf[in->pos]);
	}
	return ret;
}

int tce_stream_scan(const struct tce_source *source, const struct stream_tables *tables,
		    const struct stream_output *output, const struct tce_stream_hooks *hooks,
		    struct tce_stream_stats *stats, struct tce_error *err)
{
	struct scanner scan = { .hooks = hooks, .page_bytes = PAGE_BYTES };
	int ret;

	ret = tce_stream_open_input(&scan.in, source, output, stats, err);
	if (ret)
		return ret;
	/* The end mark goes out when those who may object to the stream have seen all of it. */
	scan.in.hold = hooks && hooks->end;
	scan.tables = tables;
	scan.words = malloc(TCE_BLOCK_MAX * sizeof(*scan.words));
	if (scan.words)
		ret = scan_sections(&scan);
	else
		ret = tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for a block of entries");
	if (ret == NOT_UNDERSTOOD) {
		ret = end_hook(&scan);
		if (!ret && output)
			ret = copy_rest(&scan.in);
	}
	free(scan.sections);
	free(scan.words);
	tce_stream_close_input(&scan.in);
	return ret;
}
