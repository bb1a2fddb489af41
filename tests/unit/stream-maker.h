/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes QEMU migration streams for tests, small ones, without any help of the library: from the
 * format's facts alone.
 */
#ifndef TCE_TESTS_STREAM_MAKER_H
#define TCE_TESTS_STREAM_MAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct maker - a stream that is being made
 * @data: its bytes, to be freed.
 * @size: how many.
 * @room: how many there is room for.
 * @json: description so far.
 * @json_size: its size.
 * @json_room: how much there is room for.
 * @footers: sections have footers.
 */
struct maker {
	uint8_t *data;
	size_t size;
	size_t room;
	char *json;
	size_t json_size;
	size_t json_room;
	bool footers;
};

void put_bytes(struct maker *m, const void *bytes, size_t len);
void put_8(struct maker *m, uint8_t v);
void put_be16(struct maker *m, uint16_t v);
void put_be32(struct maker *m, uint32_t v);
void put_be64(struct maker *m, uint64_t v);

/* Magic, version, configuration with a UUID, start of RAM (one block) and of the page table. */
void put_beginning(struct maker *m);
/* Part of RAM with every kind of page, @more plain ones among them; part of the page table. */
void put_parts(struct maker *m, unsigned int more);
/* End of both. */
void put_ends(struct maker *m);
/* Header of a section of any type: 1 start, 4 full. */
void put_section(struct maker *m, uint8_t type, uint32_t id, const char *name, uint32_t instance,
		 uint32_t version);
void put_footer(struct maker *m, uint32_t id);
/* A device with these contents. */
void put_device(struct maker *m, uint32_t id, const char *name, const void *contents, size_t len);
/* A table; its subsection is there when the window is not at 0 with pages of 4 KiB. */
void put_table(struct maker *m, uint32_t id, uint32_t liobn, uint32_t page_shift,
	       uint64_t bus_offset, const uint64_t *words, uint32_t count);
/* The same as runs, of which @records are @len bytes. */
void put_table_as_runs(struct maker *m, uint32_t id, uint32_t liobn, uint32_t page_shift,
		       uint64_t bus_offset, uint32_t count, const void *records, size_t len);
/* Its records. */
void put_run(struct maker *m, uint32_t first, uint32_t count, uint64_t tce, uint64_t stride);
void put_words(struct maker *m, uint32_t first, uint32_t count, const uint64_t *words);
/* End mark and description. */
void put_ending(struct maker *m);
void free_maker(struct maker *m);

/* A whole stream: what QEMU sends for a guest with three tables, one of them empty. */
void make_small_stream(struct maker *m);

#endif
