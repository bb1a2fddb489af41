/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the scanner share. stream-scan.c describes QEMU's format and has the loop
 * over its sections; each other file reads one kind of section.
 */
#ifndef STREAM_SCAN_H
#define STREAM_SCAN_H

#include "stream-input.h"

enum command {
	COMMAND_RETURN_PATH = 1,
	COMMAND_PING = 2,
	COMMAND_ADVISE = 3, /* this and the next ones: postcopy */
	COMMAND_LISTEN = 4,
	COMMAND_RUN = 5,
	COMMAND_DISCARD = 6,
	COMMAND_RESUME = 7,
	COMMAND_PACKAGED = 8,
	COMMAND_BITMAP = 9,
	COMMAND_COLO = 10,
	COMMAND_SWITCHOVER = 11,
};

#define FOOTER_SIZE  5
#define ADVISE_BYTES 16 /* be64 sizes of RAM pages, be64 size of a page */
#define ITERATED_MAX 64 /* sections that are sent in parts */

/**
 * struct iterated - a section that is sent in parts
 * @id: its number.
 * @kind: what its contents are.
 * @ended: its last part has been seen.
 */
struct iterated {
	uint32_t id;
	enum iterated_kind { KIND_RAM, KIND_HTAB, KIND_BITMAPS, KIND_DISKS } kind;
	bool ended;
};

/**
 * struct scanner - a stream that is being looked through
 * @in: the stream.
 * @hooks: are shown its tables; or NULL.
 * @footers: sections have footers; valid when @footers_known is set.
 * @footers_known: a section has ended, which tells whether there are footers.
 * @ignore_shared: RAM blocks come with an address.
 * @mapped_ram: RAM is not in the stream but elsewhere in its file; the stream says where.
 * @page_sizes: of the RAM blocks together, if postcopy has been announced; else 0.
 * @page_bytes: of a RAM page in the stream.
 * @iterated: sections sent in parts.
 * @iterated_count: how many.
 * @sections: other sections, for the description.
 * @section_count: how many.
 * @section_room: how many there is room for.
 * @words: TCE_BLOCK_MAX entries of a table.
 * @tables: the stream's tables without their bytes, or NULL.
 * @replacement: of the records of the table that is being parsed, or NULL.
 * @made: entries that the hooks had to make of runs with zeros among them.
 */
struct scanner {
	struct stream_input in;
	const struct tce_stream_hooks *hooks;
	bool footers, footers_known;
	bool ignore_shared;
	bool mapped_ram;
	uint64_t page_sizes;
	uint32_t page_bytes;
	struct iterated iterated[ITERATED_MAX];
	size_t iterated_count;
	struct stream_section *sections;
	size_t section_count, section_room;
	uint64_t *words;
	const struct stream_tables *tables;
	struct run_writer *replacement;
	uint64_t made;
};

/* stream-ram.c: sections that are sent in parts */
struct iterated *tce_stream_find_iterated(struct scanner *scan, uint32_t id);
int tce_stream_scan_iterated(struct scanner *scan, struct iterated *section);

/* stream-disk.c: the contents of sections of disks and of their dirty bitmaps */
int tce_stream_scan_bitmaps(struct stream_input *in);
int tce_stream_scan_disks(struct stream_input *in);

/* stream-device.c: is this a command of QEMU's, with the right number of bytes? */
bool tce_stream_is_command(uint16_t command, uint16_t len);

/* The same file: go past the contents of a device's section and its footer. */
int tce_stream_scan_contents(struct scanner *scan, uint32_t id);

/* Version of a section "spapr_iommu" in which the entries are runs. */
#define VERSION_RUNS 4

/* stream-table.c: the contents and the footer of a section "spapr_iommu" of another version */
int tce_stream_scan_table(struct scanner *scan, struct tce_stream_table *table, uint32_t version,
			  struct stream_section *section);

/* stream-runs.c: the same for that version */
int tce_stream_scan_runs(struct scanner *scan, struct tce_stream_table *table,
			 struct stream_section *section);

/* stream-table.c: show the entries of a table, all of which are taken from @from */
int tce_stream_scan_extents(struct scanner *scan, const struct tce_stream_table *table,
			    const struct stream_tables *from);

/* The same file: the footer. If it is there, the table is known, and maybe whole. */
int tce_stream_scan_footer(struct scanner *scan, struct tce_stream_table *table, bool *known);

#endif
