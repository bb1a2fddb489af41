// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sections "spapr_iommu" of version 4, which the QEMU series sends with the machine's property
 * tce-runs: be32 LIOBN, be32 entries, be32 page shift, be64 bus offset, u8 bypass, records, u8
 * default window. The records, in ascending order of entries:
 *
 *	u8 1, be32 first, be32 count, be64 TCE, be64 stride	a run
 *	u8 2, be32 first, be32 count, be64 for each		other entries, at most 512
 *	u8 0							the end
 *
 * Entries of no record are zero.
 */
#include <inttypes.h>
#include <stdio.h>

#include "stream-runs.h"

#define HEADER_SIZE (4 + 4 + 4 + 8 + 1)

/**
 * struct run_records - the records of a table that are being read
 * @scan: the stream's scanner.
 * @in: the stream.
 * @table: whose they are.
 * @next: index after those of the last record.
 * @status: 0, NOT_UNDERSTOOD when the stream has ended among what were no records, or an error.
 * @replaced: others take their place, so they go nowhere.
 * @ended: the record at the end was there.
 * @words: of the last record.
 */
struct run_records {
	struct scanner *scan;
	struct stream_input *in;
	const struct tce_stream_table *table;
	uint64_t next;
	int status;
	bool replaced;
	bool ended;
	uint64_t words[RECORD_WORDS_MAX];
};

static int stop(struct run_records *records, int status)
{
	struct tce_error *err = records->in->err;

	if (err && status == TCE_ERR_TORN) {
		err->liobn = records->table->geometry.liobn;
		err->index = records->next;
		err->fields |= TCE_ERROR_LIOBN | TCE_ERROR_INDEX;
	}
	records->status = status;
	return status < 0 ? status : 0;
}

static void take_run(struct run_records *records, struct tce_extent *extent)
{
	const uint8_t *bytes = records->in->buf + records->in->pos + RECORD_HEAD;

	extent->words = NULL;
	extent->tce = load_be64(bytes);
	extent->stride = load_be64(bytes + sizeof(extent->tce));
}

/*
 * No image has a run with zeros in it: who keeps one has to take it apart, entry by entry. Guests
 * hardly make any; what a stream that is made for it claims is bounded.
 */
static int check_work(struct run_records *records, const struct tce_extent *run)
{
	const uint64_t allowed = tce_stream_allow_entries(stream_position(records->in));
	struct scanner *scan = records->scan;

	if (!scan->hooks || !scan->hooks->extent || (!run->tce && !run->stride) ||
	    !tce_run_has_zero(run->tce, run->stride, run->count))
		return 0;
	scan->made += run->count;
	if (scan->made <= allowed)
		return 0;
	return tce_stream_fail(records->in, TCE_ERR_LIMIT,
			       "%" PRIu64 " entries of runs with zeros among them", scan->made);
}

static void take_words(struct run_records *records, struct tce_extent *extent)
{
	const uint8_t *bytes = records->in->buf + records->in->pos + RECORD_HEAD;
	size_t i;

	for (i = 0; i < extent->count; i++)
		records->words[i] = load_be64(bytes + i * sizeof(*records->words));
	extent->words = records->words;
}

/* Is this a record that can come next? Where it is not, what was taken for a table is none. */
static bool is_in_order(const struct run_records *records, const struct tce_extent *extent,
			uint8_t type)
{
	const uint64_t entries = records->table->geometry.entries;

	return (type == RECORD_RUN || type == RECORD_WORDS) && extent->first >= records->next &&
	       extent->first < entries && extent->count &&
	       extent->count <= entries - extent->first &&
	       (type == RECORD_RUN || extent->count <= RECORD_WORDS_MAX);
}

/* struct stream_tables's @next */
static int next_record(void *ctx, struct tce_extent *extent)
{
	static const char what[] = "a table's runs";
	struct run_records *records = ctx;
	struct stream_input *in = records->in;
	uint8_t type;
	size_t size;
	int ret;

	ret = tce_stream_need(in, 1, what);
	if (ret)
		return stop(records, ret);
	type = in->buf[in->pos];
	if (type == RECORD_END) {
		in->pos++;
		if (records->replaced)
			in->start = in->pos;
		records->ended = true;
		return 0;
	}
	ret = tce_stream_need(in, RECORD_HEAD, what);
	if (ret)
		return stop(records, ret);
	*extent = (struct tce_extent){ .first = load_be32(in->buf + in->pos + 1),
				       .count = load_be32(in->buf + in->pos + 5) };
	if (!is_in_order(records, extent, type))
		return 0;
	size = type == RECORD_RUN ? RUN_SIZE : RECORD_HEAD + extent->count * sizeof(uint64_t);
	ret = tce_stream_need(in, size, what);
	if (ret)
		return stop(records, ret);
	if (type == RECORD_RUN) {
		take_run(records, extent);
		ret = check_work(records, extent);
		if (ret)
			return stop(records, ret);
	} else {
		take_words(records, extent);
	}
	in->pos += size;
	if (records->replaced)
		in->start = in->pos;
	records->next = extent->first + extent->count;
	return 1;
}

/* The default window and the footer. */
static int scan_runs_end(struct scanner *scan, struct tce_stream_table *table, bool *known)
{
	struct stream_input *in = &scan->in;
	int ret = tce_stream_need(in, 1, "a table's end");

	if (ret || in->buf[in->pos] > 1)
		return ret;
	table->default_window = in->buf[in->pos++];
	return tce_stream_scan_footer(scan, table, known);
}

/* What comes before the entries. Whether it is a table's has been looked at. */
static void take_header(struct stream_input *in, struct tce_stream_table *table,
			struct tce_geometry *geometry)
{
	const uint8_t *bytes = in->buf + in->pos;

	geometry->known = TCE_KNOWN_LIOBN | TCE_KNOWN_ENTRIES;
	geometry->liobn = load_be32(bytes);
	geometry->entries = load_be32(bytes + 4);
	geometry->page_shift = load_be32(bytes + 8);
	geometry->bus_offset = load_be64(bytes + 12);
	table->bypass = bytes[HEADER_SIZE - 1];
	snprintf(geometry->origin, sizeof(geometry->origin), "%s", in->stats->machine);
	in->pos += HEADER_SIZE;
	in->stats->tables++;
	in->stats->tables_as_runs++;
	in->stats->entries += geometry->entries;
}

static int begin_runs(struct scanner *scan, const struct tce_stream_table *table, bool *replaced)
{
	const struct tce_stream_hooks *hooks = scan->hooks;
	struct stream_input *in = &scan->in;
	int ret = 0;

	if (hooks && hooks->begin_table)
		ret = hooks->begin_table(hooks->ctx, table, in->err);
	*replaced = !ret && in->out && hooks && hooks->words && hooks->replaces &&
		    hooks->replaces(hooks->ctx, table);
	return ret;
}

/* The records, shown to those who look on; others go on in their place. */
static int replace_records(struct scanner *scan, struct tce_stream_table *table,
			   struct run_records *records, uint64_t *grown)
{
	const struct stream_tables source = { .next = next_record, .ctx = records };
	struct stream_input *in = &scan->in;
	struct run_writer writer = { .out = in->out };
	const uint64_t begin = stream_position(in);
	int ret = tce_stream_emit(in);

	scan->replacement = &writer;
	if (!ret)
		ret = tce_stream_scan_extents(scan, table, &source);
	scan->replacement = NULL;
	if (!ret && !records->ended)
		return tce_stream_fail(in, TCE_ERR_STREAM,
				       "what is to be replaced does not end as a table's runs do");
	if (!ret)
		ret = tce_stream_end_runs(&writer, in->err);
	*grown = writer.bytes - (stream_position(in) - begin);
	return ret;
}

static int scan_records(struct scanner *scan, struct tce_stream_table *table,
			struct run_records *records, uint64_t *grown)
{
	const struct stream_tables source = { .next = next_record, .ctx = records };

	if (records->replaced)
		return replace_records(scan, table, records, grown);
	return tce_stream_scan_extents(scan, table, &source);
}

int tce_stream_scan_runs(struct scanner *scan, struct tce_stream_table *table,
			 struct stream_section *section)
{
	const struct tce_stream_hooks *hooks = scan->hooks;
	struct stream_input *in = &scan->in;
	struct run_records records = { .scan = scan, .in = in, .table = table };
	bool known = false;
	int ret;

	ret = tce_stream_need(in, HEADER_SIZE, "its contents");
	if (ret)
		return ret;
	if (load_be32(in->buf + in->pos) != section->instance ||
	    in->buf[in->pos + HEADER_SIZE - 1] > 1)
		return tce_stream_scan_contents(scan, table->section_id);
	take_header(in, table, &table->geometry);
	ret = begin_runs(scan, table, &records.replaced);
	section->replaced = records.replaced;
	if (!ret)
		ret = scan_records(scan, table, &records, &section->grown);
	if (!ret)
		ret = records.status;
	if (!ret && records.ended)
		ret = scan_runs_end(scan, table, &known);
	if (!ret && hooks && hooks->end_table)
		ret = hooks->end_table(hooks->ctx, table, in->err);
	if (ret || known)
		return ret;
	return tce_stream_scan_contents(scan, table->section_id);
}
