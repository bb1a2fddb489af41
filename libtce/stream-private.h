/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the stream codec share: the scanner, which finds the tables in QEMU's
 * stream; the description at that stream's end; and the two ends of the packed format.
 */
#ifndef STREAM_PRIVATE_H
#define STREAM_PRIVATE_H

#include "tce-private.h"
#include "tce-stream.h"

static inline uint16_t load_be16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static inline uint32_t load_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline uint64_t load_be64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void store_be64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

/* The bytes in front of what is given to struct stream_output's @bytes. */
#define OUTPUT_HEADROOM 16

/**
 * struct stream_output - where the scanner's findings go
 * @bytes: takes every byte of the stream, in order, but for the entries of tables. The
 *	OUTPUT_HEADROOM bytes in front of them, and those bytes themselves, are the callee's to
 *	overwrite, so that it can put a header there and write both at once.
 * @flush: more is waited for: what was taken must not wait inside.
 * @begin_table: a table begins that has entries.
 * @words: takes them, in blocks of TCE_BLOCK_MAX; the last one may be shorter.
 * @end_words: it has had all its entries.
 * @cut_words: its last @missing entries are not there, for the stream has ended.
 * @ctx: handed to each of them.
 *
 * Any of them may be NULL.
 */
struct stream_output {
	int (*bytes)(void *ctx, uint8_t *bytes, size_t len, struct tce_error *err);
	int (*flush)(void *ctx, struct tce_error *err);
	int (*begin_table)(void *ctx, const struct tce_stream_table *table, struct tce_error *err);
	int (*words)(void *ctx, uint64_t index, uint64_t *words, size_t count,
		     struct tce_error *err);
	int (*end_words)(void *ctx, struct tce_error *err);
	int (*cut_words)(void *ctx, uint64_t missing, struct tce_error *err);
	void *ctx;
};

/**
 * struct stream_tables - a source's way to hand out tables without making bytes of them
 * @begin: comes the entries of a table next, of exactly @entries? 1, 0, or an error.
 * @next: its next extent: 1, 0 at the table's end, or an error. All must be taken.
 * @ctx: handed to both.
 */
struct stream_tables {
	int (*begin)(void *ctx, uint64_t entries);
	int (*next)(void *ctx, struct tce_extent *extent);
	void *ctx;
};

int tce_stream_scan(const struct tce_source *source, const struct stream_tables *tables,
		    const struct stream_output *output, const struct tce_stream_hooks *hooks,
		    struct tce_stream_stats *stats, struct tce_error *err);

/* A device section as the scanner saw it, to be compared with the description. */
struct stream_section {
	uint64_t offset;
	uint64_t name_hash;
	uint64_t length; /* of its contents, header and footer not counted */
	uint32_t instance;
	bool is_table;
	bool replaced;	/* other runs are sent in place of its own */
	uint64_t grown; /* by how many bytes they are longer, modulo 2^64 */
	/* The description may tell the size of the runs, at this place in it. */
	uint64_t runs_size;
	size_t runs_at, runs_len;
};

/* The name's hash in struct stream_section. */
uint64_t tce_stream_hash_name(const char *name, size_t len);

/*
 * Compare the description (@json, @len bytes, not NUL-ended) with @count sections. Returns
 * TCE_STREAM_AGREES or TCE_STREAM_DISAGREES (*@differs: number of the first section that differs,
 * maybe @count), or -1 when it is not JSON or no description; then *@at is how far into it, and
 * *@problem a static string.
 */
int tce_stream_check_description(const char *json, size_t len, struct stream_section *sections,
				 size_t count, size_t *differs, size_t *at, const char **problem);

/*
 * A description that agrees, to @to, with the sizes that the replaced sections have now: returns
 * its length, which is at most @len and DESCRIPTION_DIGITS for each of these.
 */
#define DESCRIPTION_DIGITS 20
size_t tce_stream_correct_sizes(const char *json, size_t len, const struct stream_section *sections,
				size_t count, char *to);

/* The packed format; stream-pack.c describes it. Everything is little-endian. */
#define PACKED_MAGIC	   0x53435489U /* bytes 89 "TCS" */
#define PACKED_VERSION	   1U
#define PACKED_HEADER_SIZE 8
#define CHUNK_HEADER_SIZE  OUTPUT_HEADROOM
#ifdef TCE_FUZZING
#define CHUNK_MAX (16U << 10) /* large buffers are what fuzzing waits for */
#else
#define CHUNK_MAX (1U << 20)
#endif
#define CHUNK_END_SIZE 16
#define CHUNK_CUT_SIZE 8

enum chunk_type {
	CHUNK_BYTES = 1,
	CHUNK_IMAGE = 2,
	CHUNK_END = 3,
	CHUNK_CUT = 4,
};

/*
 * A few bytes of a stream stand for any number of entries, and somebody has to write them all. So
 * many are written for nothing: a window of 2^27 entries, the largest that guests make. For more,
 * the stream must have brought something: that of a guest has its RAM and its devices.
 */
#define ENTRIES_FREE	 (1ULL << 27)
#define ENTRIES_PER_BYTE (1ULL << 13)

/* How many entries a stream may make us write after @bytes of it have been read. */
static inline uint64_t tce_stream_allow_entries(uint64_t bytes)
{
	return ENTRIES_FREE + bytes * ENTRIES_PER_BYTE;
}

/* Running hash after a chunk: its type and size, then its payload, seeded with the one before. */
uint64_t tce_stream_chain_hash(uint64_t before, const uint8_t head[8], const void *payload,
			       size_t size);

#endif
