/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the scanner share. stream-scan.c describes QEMU's format and has the loop
 * over its sections; each other file reads one kind of section.
 */
#ifndef STREAM_SCAN_H
#define STREAM_SCAN_H

#include "stream-input.h"

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

enum command {
	COMMAND_RETURN_PATH	= 1,
	COMMAND_PING		= 2,
	COMMAND_ADVISE		= 3,	/* postcopy, as are 4 to 7; 8: packaged, 9: its bitmap */
	COMMAND_COLO		= 10,
	COMMAND_SWITCHOVER	= 11,
};

/* The status of functions here beside negative ones and 0: copy the rest as it is. */
#define NOT_UNDERSTOOD		1

#define FOOTER_SIZE		5
#define ITERATED_MAX		64		/* sections that are sent in parts */

/**
 * struct iterated - a section that is sent in parts
 * @id: its number.
 * @kind: what its contents are.
 * @ended: its last part has been seen.
 */
struct iterated {
	uint32_t id;
	enum { KIND_RAM, KIND_HTAB } kind;
	bool ended;
};

/**
 * struct scanner - a stream that is being looked through
 * @in: the stream.
 * @hooks: who wants to see its tables, or NULL.
 * @footers: sections have footers; valid when @footers_known is set.
 * @footers_known: the first section that has ended told.
 * @ignore_shared: RAM blocks come with an address.
 * @iterated: sections sent in parts.
 * @iterated_count: how many.
 * @sections: other sections, for the description.
 * @section_count: how many.
 * @section_room: how many there is room for.
 * @words: TCE_BLOCK_MAX entries of a table.
 */
struct scanner {
	struct stream_input in;
	const struct tce_stream_hooks *hooks;
	bool footers, footers_known;
	bool ignore_shared;
	struct iterated iterated[ITERATED_MAX];
	size_t iterated_count;
	struct stream_section *sections;
	size_t section_count, section_room;
	uint64_t *words;
};

/* Say why the rest is copied as it is. Returns NOT_UNDERSTOOD. */
int tce_stream_give_up(struct scanner *scan, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* stream-ram.c: sections that are sent in parts */
struct iterated *tce_stream_find_iterated(struct scanner *scan, uint32_t id);
int tce_stream_scan_iterated(struct scanner *scan, struct iterated *section);

/* stream-device.c: go past the contents of a device's section and its footer */
int tce_stream_scan_contents(struct scanner *scan, uint32_t id);

/* stream-table.c: the contents and the footer of a section "spapr_iommu" */
int tce_stream_scan_table(struct scanner *scan, struct tce_stream_table *table, uint32_t instance,
			  uint32_t version);

#endif
