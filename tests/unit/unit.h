/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the unit tests share: images in memory, tables to fill them with, fixtures.
 */
#ifndef TCE_TESTS_UNIT_H
#define TCE_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tce.h"

#ifndef ARRAY_SIZE /* libtce's private header has it, too */
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif

/**
 * struct memory - a sink and source in memory
 * @data: what was written.
 * @size: how much.
 * @room: writing fails with ENOSPC past this many bytes.
 * @read: how much has been read.
 * @piece: reading hands out at most this many bytes at a time; 0 is any number.
 */
struct memory {
	uint8_t *data;
	size_t size;
	size_t capacity;
	size_t room;
	size_t read;
	size_t piece;
};

struct tce_sink memory_sink(struct memory *memory);
struct tce_source memory_source(struct memory *memory);
void free_memory(struct memory *memory);

/* Read a file of the fixtures folder, the path of which is in $TCE_FIXTURES. */
void read_fixture(const char *name, struct memory *memory);

uint64_t next_random(uint64_t *state);

/**
 * struct content - entries to fill a table with
 * @name: what they are.
 * @fill: fills @count words, all of which are zero.
 */
struct content {
	const char *name;
	void (*fill)(uint64_t *words, size_t count);
};

extern const struct content contents[];
extern const size_t content_count;

/* A geometry in which everything is known. */
struct tce_geometry make_geometry(uint64_t liobn, uint32_t page_shift, uint64_t bus_offset,
				  uint64_t entries);

/* Write a table as an image; with @seed not 0, cut into random pieces, zeros left out. */
void write_image(struct memory *memory, const struct tce_geometry *geometry, const uint64_t *words,
		 uint64_t seed);

/* Read all tables of an image. @words, when not NULL, receives the entries of the first one. */
int read_image(struct memory *memory, struct tce_geometry *geometry, uint64_t *words, size_t count,
	       struct tce_error *err);

#endif /* TCE_TESTS_UNIT_H */
