/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libtce: TCE tables inside QEMU migration streams.
 *
 * A migration stream of a pseries guest has every TCE table as a flat array, eight bytes
 * an entry. tce_pack_stream() copies a stream and puts a TCE image in the place of each
 * of those arrays; tce_unpack_stream() gives the original back, byte for byte. Both
 * can show the tables to the caller on the way and let it replace them. A QEMU with the
 * project's series can send tables as runs; these are shown like all others and not packed.
 *
 * Nothing is held back: what has been read is written before the functions wait for more. The
 * exception is a table, of which at most %TCE_BLOCK_MAX entries wait. Memory is constant, under
 * 24 MiB.
 */
#ifndef TCE_STREAM_H
#define TCE_STREAM_H

#include "tce.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct tce_stream_table - one table (a section "spapr_iommu") in a stream
 * @geometry: LIOBN and entries are known from the beginning; the page shift and the bus offset
 *	follow the entries in the stream, so they are known when the table ends. 0 entries:
 *	a window that the guest has not set up.
 * @offset: byte offset of the section in the original stream.
 * @section_id: the section's number in the stream.
 * @bypass: the device uses guest addresses and not the table.
 * @default_window: the 32-bit window that the firmware made (since QEMU 2.10).
 * @whole: the section ended as a table's section must; known when the table ends. Otherwise these
 *	were other bytes that began like a table.
 */
struct tce_stream_table {
	struct tce_geometry geometry;
	uint64_t offset;
	uint32_t section_id;
	bool bypass;
	bool default_window;
	bool whole;
};

/**
 * enum tce_stream_verdict - whether the JSON description at the stream's end names the sections
 *	that were found
 * @TCE_STREAM_UNCHECKED: there is no description (machine option suppress-vmdesc), it is larger
 *	than 16 MiB, or the stream was not understood up to there.
 * @TCE_STREAM_AGREES: it names these sections.
 * @TCE_STREAM_DISAGREES: it names others. A guest can cause this by keeping what looks like a
 *	section in its NVRAM. Then nobody can tell what is a table.
 */
enum tce_stream_verdict {
	TCE_STREAM_UNCHECKED,
	TCE_STREAM_AGREES,
	TCE_STREAM_DISAGREES,
};

/**
 * struct tce_stream_stats - what went through
 * @bytes: bytes of the original stream.
 * @packed_bytes: bytes of the packed stream; 0 when there was none.
 * @ram_bytes: of @bytes, those in RAM sections.
 * @pages: RAM pages sent whole.
 * @zero_pages: RAM pages sent as zeros.
 * @xbzrle_pages: RAM pages sent as a difference.
 * @compressed_pages: RAM pages sent compressed.
 * @blocks: RAM blocks.
 * @htab_bytes: of @bytes, those in sections of the hashed page table.
 * @devices: sections of devices, tables among them.
 * @commands: commands.
 * @tables: tables, empty ones among them.
 * @entries: of all tables.
 * @tables_as_runs: of @tables, those that come as runs, which stay as they are.
 * @table_bytes: of @bytes, those of the other tables' entries.
 * @packed_table_bytes: of @packed_bytes, those that took their place.
 * @description_bytes: size of the JSON description.
 * @verdict: whether the description agrees.
 * @verdict_at: offset of the first section that it does not agree with.
 * @understood: the stream was understood to its end.
 * @stopped_at: if not, the offset from which on it was copied untouched.
 * @stopped_why: and the reason, one line without what a terminal would act on.
 * @machine: QEMU's machine type, or empty.
 * @trailing: bytes follow the stream's end, or that of the packed stream, as in a file or on a
 *	device that was longer. Those behind QEMU's end were copied as they are.
 */
struct tce_stream_stats {
	uint64_t bytes;
	uint64_t packed_bytes;
	uint64_t ram_bytes;
	uint64_t pages;
	uint64_t zero_pages;
	uint64_t xbzrle_pages;
	uint64_t compressed_pages;
	uint64_t blocks;
	uint64_t htab_bytes;
	uint64_t devices;
	uint64_t commands;
	uint64_t tables;
	uint64_t tables_as_runs;
	uint64_t entries;
	uint64_t table_bytes;
	uint64_t packed_table_bytes;
	uint64_t description_bytes;
	enum tce_stream_verdict verdict;
	uint64_t verdict_at;
	bool understood;
	uint64_t stopped_at;
	char stopped_why[128];
	char machine[64];
	bool trailing;
};

/**
 * struct tce_stream_hooks - a look at the tables of a stream as they go by
 * @begin_table: a table begins.
 * @words: @count of its entries from @index on, in host byte order, in index order without gaps.
 *	What this function writes into @words takes their place.
 * @extent: a piece of a table that comes as runs, or that comes packed and goes nowhere: takes the
 *	place of @words, with runs as runs; entries that are in no piece are zero. For other tables
 *	@words is still called.
 * @replaces: a table that comes as runs has begun: does @words put others in the place of its
 *	entries? Then @words is called rather than @extent, and what it leaves goes on as runs.
 *	Without this hook runs stay as they are.
 * @end_table: a table has ended; @table->geometry and @table->whole are final.
 * @end: every section has been seen, or the stream is not understood from here on
 *	(@stats->understood). The bytes without which QEMU does not start the guest have
 *	not been written yet.
 * @ctx: handed to each of them.
 *
 * Any of them may be NULL. Each returns 0, or a negative &enum tce_status with @err filled in,
 * which ends the copying at once with that status.
 */
struct tce_stream_hooks {
	int (*begin_table)(void *ctx, const struct tce_stream_table *table, struct tce_error *err);
	int (*words)(void *ctx, const struct tce_stream_table *table, uint64_t index,
		     uint64_t *words, size_t count, struct tce_error *err);
	int (*end_table)(void *ctx, const struct tce_stream_table *table, struct tce_error *err);
	int (*end)(void *ctx, const struct tce_stream_stats *stats, struct tce_error *err);
	void *ctx;
	int (*extent)(void *ctx, const struct tce_stream_table *table,
		      const struct tce_extent *extent, struct tce_error *err);
	bool (*replaces)(void *ctx, const struct tce_stream_table *table);
};

/**
 * tce_pack_stream() - copy a migration stream, packing its tables
 * @source: QEMU's stream, read to its end.
 * @sink: takes the packed stream.
 * @hooks: shown the tables, or NULL.
 * @stats: receives what went through, also on failure; or NULL.
 * @err: what failed; its offset is in QEMU's stream.
 *
 * From the first thing on that is not understood (a feature that changes the stream and that PAPR
 * guests don't have, or sections of a newer QEMU) the rest is copied as it is. What no QEMU would
 * accept is an error, and so is a stream that ends in the middle. What had been written by then
 * lacks its end, and unpacking it fails.
 *
 * Return: 0, %TCE_ERR_STREAM, %TCE_ERR_TORN, %TCE_ERR_IO, %TCE_ERR_NOMEM, %TCE_ERR_LIMIT when runs
 * with zeros among them are shown to @extent and claim far more entries than the stream has bytes,
 * or what a hook returned.
 */
int tce_pack_stream(const struct tce_source *source, const struct tce_sink *sink,
		    const struct tce_stream_hooks *hooks, struct tce_stream_stats *stats,
		    struct tce_error *err);

/**
 * tce_unpack_stream() - the stream that was packed
 * @source: a packed stream, read to its end.
 * @sink: takes QEMU's stream.
 * @hooks: shown the tables, or NULL. Without them the stream inside is not parsed.
 * @stats: receives what went through, also on failure; or NULL. Without hooks only the totals and
 *	what concerns packed tables.
 * @err: what failed; its offset is in the packed stream, or in QEMU's when that is malformed.
 *
 * No byte is written before the hash that covers it has been checked.
 *
 * Return: 0, %TCE_ERR_NOT_IMAGE if it is not a packed stream, %TCE_ERR_VERSION, %TCE_ERR_TORN,
 * %TCE_ERR_CORRUPT, %TCE_ERR_LIMIT, as tce_pack_stream(), or, for a table's image inside it, as
 * tce_next_table().
 */
int tce_unpack_stream(const struct tce_source *source, const struct tce_sink *sink,
		      const struct tce_stream_hooks *hooks, struct tce_stream_stats *stats,
		      struct tce_error *err);

/**
 * tce_scan_stream() - look at the tables of a stream
 * @source: QEMU's stream or a packed one, read to its end.
 * @hooks: shown the tables, or NULL.
 * @stats: receives what was seen, also on failure; or NULL.
 * @err: what failed, as for the other two.
 *
 * Return: as tce_pack_stream() and tce_unpack_stream().
 */
int tce_scan_stream(const struct tce_source *source, const struct tce_stream_hooks *hooks,
		    struct tce_stream_stats *stats, struct tce_error *err);

/**
 * define TCE_STREAM_PROBE - how many first bytes tell a stream from other files
 */
#define TCE_STREAM_PROBE 4

/**
 * tce_probe_stream() - may this be a stream?
 * @bytes: the first %TCE_STREAM_PROBE bytes.
 *
 * Return: true for what begins as QEMU's streams or packed ones do.
 */
bool tce_probe_stream(const uint8_t bytes[TCE_STREAM_PROBE]);

#ifdef __cplusplus
}
#endif
#endif /* TCE_STREAM_H */
