// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sections "spapr_iommu": be32 LIOBN, be32 entries, u8 bypass, the entries as be64, since version
 * 3 u8 default window, and a subsection if the window is not at 0 with pages of 4 KiB. The facts
 * are from QEMU's hw/ppc/spapr_iommu.c. Version 4 is read in stream-runs.c.
 */
#include <stdio.h>

#include "stream-runs.h"

#define WORD		   sizeof(uint64_t)
#define VERSION_MIN	   2
#define VERSION_FLAT	   3
#define DEFAULT_PAGE_SHIFT 12

/* Mark, name with its length, be32 version, be64 bus offset, be32 page shift. */
#define SUBSECTION_NAME	     "\x0espapr_iommu_ex"
#define SUBSECTION_NAME_SIZE (sizeof(SUBSECTION_NAME) - 1)
#define SUBSECTION_SIZE	     (1 + SUBSECTION_NAME_SIZE + 4 + 8 + 4)
#define SUBSECTION_VERSION   1

static int put_words(struct scanner *scan, const struct tce_stream_table *table, uint64_t index,
		     size_t count)
{
	const struct tce_stream_hooks *hooks = scan->hooks;
	const struct stream_output *out = scan->in.out;
	int ret = 0;

	if (hooks && hooks->words)
		ret = hooks->words(hooks->ctx, table, index, scan->words, count, scan->in.err);
	if (!ret && out && out->words)
		ret = out->words(out->ctx, index, scan->words, count, scan->in.err);
	return ret;
}

TCE_WIDE static void load_words(uint64_t *words, const uint8_t *bytes, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		words[i] = load_be64(bytes + WORD * i);
}

/* Have a word to read; without one, the error says which is missing. */
static int need_word(struct scanner *scan, const struct tce_stream_table *table, uint64_t index)
{
	struct tce_error *err = scan->in.err;
	int ret = tce_stream_need(&scan->in, WORD, "a table's entries");

	if (err && ret == TCE_ERR_TORN) {
		err->liobn = table->geometry.liobn;
		err->index = index;
		err->fields |= TCE_ERROR_LIOBN | TCE_ERROR_INDEX;
	}
	return ret;
}

/*
 * The stream has ended, as it should, in what was taken for a table. What was held of it goes out.
 * Returns NOT_UNDERSTOOD, or an error.
 */
static int cut_words(struct scanner *scan, const struct tce_stream_table *table, uint64_t index,
		     size_t held, uint64_t missing)
{
	struct stream_input *in = &scan->in;
	int ret = 0;

	in->stats->entries -= missing;
	in->stats->table_bytes -= missing * WORD;
	if (held)
		ret = put_words(scan, table, index, held);
	if (!ret && in->out && in->out->cut_words)
		ret = in->out->cut_words(in->out->ctx, missing, in->err);
	return ret ? ret : NOT_UNDERSTOOD;
}

/* Show a block of an extent that nobody takes as such, or of the gap before one. */
static int show_words(struct scanner *scan, const struct tce_stream_table *table,
		      const struct tce_extent *extent)
{
	const struct tce_stream_hooks *hooks = scan->hooks;
	uint64_t skip = 0;
	size_t n;
	int ret = 0;

	for (; !ret && skip < extent->count; skip += n) {
		n = (size_t)min_u64(extent->count - skip, TCE_BLOCK_MAX);
		tce_expand_extent(extent, skip, scan->words, n);
		ret = hooks->words(hooks->ctx, table, extent->first + skip, scan->words, n,
				   scan->in.err);
		if (!ret && scan->replacement)
			ret = tce_stream_put_runs(scan->replacement, extent->first + skip,
						  scan->words, n, scan->in.err);
	}
	return ret;
}

int tce_stream_scan_extents(struct scanner *scan, const struct tce_stream_table *table,
			    const struct stream_tables *from)
{
	const struct tce_stream_hooks *hooks = scan->hooks;
	struct tce_extent extent, gap = { 0 };
	int ret;

	for (;;) {
		ret = from->next(from->ctx, &extent);
		if (ret < 0)
			return ret;
		if (hooks && hooks->extent && !scan->replacement) {
			if (!ret)
				return 0;
			ret = hooks->extent(hooks->ctx, table, &extent, scan->in.err);
		} else if (hooks && hooks->words) {
			gap.count = (ret ? extent.first : table->geometry.entries) - gap.first;
			if (!ret)
				return show_words(scan, table, &gap);
			ret = show_words(scan, table, &gap);
			if (!ret)
				ret = show_words(scan, table, &extent);
			gap.first = extent.first + extent.count;
		} else if (!ret) {
			return 0;
		} else {
			ret = 0;
		}
		if (ret)
			return ret;
	}
}

static int scan_words(struct scanner *scan, const struct tce_stream_table *table)
{
	struct stream_input *in = &scan->in;
	uint64_t index = 0, left = table->geometry.entries;
	size_t held = 0, count;
	int ret;

	while (left) {
		ret = need_word(scan, table, index + held);
		if (ret == NOT_UNDERSTOOD)
			return cut_words(scan, table, index, held, left);
		if (ret)
			return ret;
		count = (size_t)min_u64((in->end - in->pos) / WORD, left);
		count = (size_t)min_u64(count, TCE_BLOCK_MAX - held);
		load_words(scan->words + held, in->buf + in->pos, count);
		/* They go out as words, not as bytes. */
		in->pos += WORD * count;
		in->start = in->pos;
		held += count;
		left -= count;
		if (held == TCE_BLOCK_MAX || !left) {
			ret = put_words(scan, table, index, held);
			if (ret)
				return ret;
			index += held;
			held = 0;
		}
	}
	return 0;
}

/* The subsection, if it is there. *@known says whether what is there is one, or none. */
static int scan_subsection(struct stream_input *in, struct tce_geometry *geometry, bool *known)
{
	static const char what[] = "a table's end";
	const uint8_t *bytes;
	int ret;

	*known = true;
	ret = tce_stream_need(in, 1, what);
	if (ret || in->buf[in->pos] != QEMU_SUBSECTION)
		return ret;
	ret = tce_stream_need(in, SUBSECTION_SIZE, what);
	if (ret)
		return ret;
	bytes = in->buf + in->pos + 1;
	*known = !memcmp(bytes, SUBSECTION_NAME, SUBSECTION_NAME_SIZE);
	bytes += SUBSECTION_NAME_SIZE;
	if (!*known || load_be32(bytes) != SUBSECTION_VERSION) {
		*known = false;
		return 0;
	}
	geometry->bus_offset = load_be64(bytes + 4);
	geometry->page_shift = load_be32(bytes + 12);
	in->pos += SUBSECTION_SIZE;
	return 0;
}

int tce_stream_scan_footer(struct scanner *scan, struct tce_stream_table *table, bool *known)
{
	struct stream_input *in = &scan->in;
	struct tce_geometry *geometry = &table->geometry;
	const uint8_t *bytes;
	int ret;

	ret = tce_stream_need(in, FOOTER_SIZE, "its footer");
	if (ret)
		return ret;
	bytes = in->buf + in->pos;
	if (bytes[0] != QEMU_FOOTER || load_be32(bytes + 1) != table->section_id)
		return 0;
	in->pos += FOOTER_SIZE;
	*known = true;
	geometry->known = TCE_KNOWN_ALL;
	table->whole = !geometry->entries || !tce_check_geometry(geometry, NULL);
	return 0;
}

/*
 * What follows a table's entries. If it is something else, *@known stays false, and nothing of
 * it has been read that may be part of a footer.
 */
static int scan_table_end(struct scanner *scan, struct tce_stream_table *table, uint32_t version,
			  bool *known)
{
	static const char what[] = "a table's end";
	struct stream_input *in = &scan->in;
	struct tce_geometry *geometry = &table->geometry;
	bool subsection_known;
	int ret;

	*known = false;
	geometry->page_shift = DEFAULT_PAGE_SHIFT;
	geometry->bus_offset = 0;
	if (version == VERSION_FLAT) {
		ret = tce_stream_need(in, 1, what);
		if (ret || in->buf[in->pos] > 1)
			return ret;
		table->default_window = in->buf[in->pos++];
	}
	ret = scan_subsection(in, geometry, &subsection_known);
	if (ret || !subsection_known)
		return ret;
	return tce_stream_scan_footer(scan, table, known);
}

/* The entries, framed for the output and for those who look on. */
static int scan_entries(struct scanner *scan, const struct tce_stream_table *table)
{
	const struct tce_stream_hooks *hooks = scan->hooks;
	const struct stream_output *out = scan->in.out;
	struct tce_error *err = scan->in.err;
	int ret;

	ret = tce_stream_emit(&scan->in);
	if (!ret && hooks && hooks->begin_table)
		ret = hooks->begin_table(hooks->ctx, table, err);
	if (ret || !table->geometry.entries)
		return ret;
	if (scan->tables && scan->in.pos == scan->in.end) {
		ret = scan->tables->begin(scan->tables->ctx, table->geometry.entries);
		if (ret < 0)
			return ret;
		if (ret) {
			scan->in.base += table->geometry.entries * WORD;
			scan->in.stats->bytes = stream_position(&scan->in);
			return tce_stream_scan_extents(scan, table, scan->tables);
		}
	}
	if (out && out->begin_table)
		ret = out->begin_table(out->ctx, table, err);
	if (!ret)
		ret = scan_words(scan, table);
	if (!ret && out && out->end_words)
		ret = out->end_words(out->ctx, err);
	return ret;
}

int tce_stream_scan_table(struct scanner *scan, struct tce_stream_table *table, uint32_t version,
			  struct stream_section *section)
{
	struct stream_input *in = &scan->in;
	struct tce_geometry *geometry = &table->geometry;
	const uint32_t instance = section->instance;
	const uint8_t *bytes;
	bool known = false;
	int ret;

	ret = tce_stream_need(in, 9, "its contents");
	if (ret)
		return ret;
	bytes = in->buf + in->pos;
	/* It is of a newer version, or no table at all. */
	if (version < VERSION_MIN || version > VERSION_FLAT || load_be32(bytes) != instance ||
	    bytes[8] > 1)
		return tce_stream_scan_contents(scan, table->section_id);
	geometry->known = TCE_KNOWN_LIOBN | TCE_KNOWN_ENTRIES;
	geometry->liobn = instance;
	geometry->entries = load_be32(bytes + 4);
	table->bypass = bytes[8];
	snprintf(geometry->origin, sizeof(geometry->origin), "%s", in->stats->machine);
	in->pos += 9;

	in->stats->tables++;
	in->stats->entries += geometry->entries;
	in->stats->table_bytes += geometry->entries * WORD;
	ret = scan_entries(scan, table);
	if (!ret)
		ret = scan_table_end(scan, table, version, &known);
	if (!ret && scan->hooks && scan->hooks->end_table)
		ret = scan->hooks->end_table(scan->hooks->ctx, table, in->err);
	if (ret || known)
		return ret;
	return tce_stream_scan_contents(scan, table->section_id);
}
