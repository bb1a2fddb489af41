/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of libtce share and nobody else sees: byte order, the one
 * accessor for untrusted bytes, the limits of the image format, extents, and
 * the operations of a table back end.
 */
#ifndef TCE_PRIVATE_H
#define TCE_PRIVATE_H

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "tce.h"

#define ARRAY_SIZE(a)	    (sizeof(a) / sizeof((a)[0]))

#define TCE_IMAGE_MAGIC	    0x45435489U /* bytes 89 54 43 45: 0x89 "TCE" */
#define TCE_IMAGE_VERSION   1
#define TCE_UPDATES_VERSION 2
#define TCE_PARTS_MAX	    64 /* a table and its updates */
#define TCE_RECORD_MAX	    4096
#define TCE_PAYLOAD_MAX	    (TCE_BLOCK_MAX * sizeof(uint64_t))
#define TCE_STRING_MAX	    127
#define TCE_PAGE_SHIFT_MIN  12 /* as KVM_CREATE_SPAPR_TCE_64 checks it */
#define TCE_PAGE_SHIFT_MAX  34

/*
 * For static functions with loops over a table's words that are several times as fast with vectors
 * of more than 128 bits: compiled once more for them, and chosen when the program starts.
 */
#ifdef TCE_TARGET_CLONES
#define TCE_WIDE __attribute__((target_clones("avx2", "default")))
#else
#define TCE_WIDE
#endif

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint32_t load_le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline void store_le32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void store_le64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

/* Words between host order and the image's order; nothing to do on a little-endian host. */
static inline void swap_words_le(uint64_t *words, size_t count)
{
	size_t i;

	if (__BYTE_ORDER == __LITTLE_ENDIAN)
		return;
	for (i = 0; i < count; i++)
		words[i] = le64toh(words[i]);
}

/**
 * struct tce_bytes - untrusted bytes that are being read
 * @next: first byte not yet read.
 * @end: one past the last.
 */
struct tce_bytes {
	const uint8_t *next;
	const uint8_t *end;
};

/* Read a LEB128 number of at most 64 bits. False when it is cut off or too long. */
static inline bool get_leb128(struct tce_bytes *bytes, uint64_t *value)
{
	uint64_t v = 0;
	unsigned int shift;

	for (shift = 0; shift < 64 && bytes->next < bytes->end; shift += 7) {
		uint8_t byte = *bytes->next++;

		if (shift == 63 && byte > 1)
			return false;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*value = v;
			return true;
		}
	}
	return false;
}

static inline uint8_t *put_leb128(uint8_t *p, uint64_t value)
{
	while (value >= 0x80) {
		*p++ = (uint8_t)value | 0x80;
		value >>= 7;
	}
	*p++ = (uint8_t)value;
	return p;
}

/* Zigzag: numbers near 0 of either sign become small unsigned ones. */
static inline uint64_t zigzag(uint64_t value)
{
	return (value << 1) ^ (0 - (value >> 63));
}

static inline uint64_t unzigzag(uint64_t value)
{
	return (value >> 1) ^ (0 - (value & 1));
}

/**
 * struct tce_run - an arithmetic run of entries
 * @first: index of its first entry.
 * @count: entries; 0 is no run.
 * @tce: first TCE.
 * @stride: what is added from one entry to the next, modulo 2^64.
 */
struct tce_run {
	uint64_t first;
	uint64_t count;
	uint64_t tce;
	uint64_t stride;
};

/* extent.c */
size_t tce_count_zeros(const uint64_t *words, size_t count);
bool tce_run_has_zero(uint64_t tce, uint64_t stride, uint64_t count);
size_t tce_extend_run(const uint64_t *words, size_t count, uint64_t tce, uint64_t stride);
size_t tce_measure_tail(const uint64_t *words, size_t count, uint64_t *stride);
void tce_fill_run(uint64_t *words, size_t count, uint64_t tce, uint64_t stride);
size_t tce_pack_runs(const uint64_t *words, size_t count, uint8_t *buf, size_t size, size_t *runs);
bool tce_unpack_runs(struct tce_bytes bytes, uint64_t *words, size_t count);

/*
 * fd.c: file descriptors that are never 0, 1 or 2. tce_keep_fd() closes the one that it moves, and
 * passes on -1 with its errno.
 */
int tce_duplicate_fd(int fd);
int tce_keep_fd(int fd);
int tce_open_at(int folder, const char *path, int flags, mode_t mode);

/* fdinfo.c */
struct tce_fdinfo {
	unsigned int known; /* TCE_KNOWN_* */
	uint64_t liobn;
	uint64_t page_shift;
	uint64_t bus_offset;
	uint64_t entries;
	bool has_vm;
	uint64_t vm;
	struct tce_table_stats stats;
};

/* For reading, as fopen() does. */
FILE *tce_open_text(const char *path);
bool tce_is_patched_link(const char *link);
bool tce_is_stock_link(const char *link);
int tce_read_fdinfo(int fd, struct tce_fdinfo *info, struct tce_error *err);

/* table.c and its back ends */
struct tce_table_ops {
	int (*read)(struct tce_table *table, uint64_t index, uint64_t *words, size_t count,
		    struct tce_error *err);
	int (*next_data)(struct tce_table *table, uint64_t index, uint64_t *first, uint64_t *count,
			 struct tce_error *err);
	int (*write)(struct tce_table *table, uint64_t index, const uint64_t *words, size_t count,
		     size_t *written, struct tce_error *err);
	int (*clear)(struct tce_table *table, uint64_t index, uint64_t count,
		     struct tce_error *err);
	void (*close)(struct tce_table *table);
};

struct tce_table {
	const struct tce_table_ops *ops;
	enum tce_backend backend;
	int fd;
	int access;   /* O_RDONLY, O_WRONLY or O_RDWR, as the fd was opened */
	bool appends; /* words would only go to the file's end */
	bool keep_position;
	struct tce_geometry geometry;

	/* Stock kernel only: the part of the table that is mapped now. */
	const uint64_t *window;
	uint64_t window_first;
	uint64_t window_count;
};

extern const struct tce_table_ops tce_file_ops;
extern const struct tce_table_ops tce_mmap_ops;
int tce_measure_stock_table(int fd, uint64_t *entries, struct tce_error *err);

/* error.c */
int tce_set_table_error(const struct tce_table *table, struct tce_error *err, int code,
			int sys_errno, uint64_t index, const char *what);

/* transfer.c */
int tce_load_extent(struct tce_table *table, const struct tce_extent *extent, uint64_t *words,
		    uint64_t *done, const struct tce_progress *progress, struct tce_error *err);

/*
 * image-write.c: an image of one table that may have updates, each ended by tce_end_table(). What
 * is put into an update is what changed, zeros included. Between parts a writer has no buffers.
 */
int tce_create_updates_writer(struct tce_writer **writer, const struct tce_sink *sink,
			      struct tce_error *err);
int tce_begin_update(struct tce_writer *writer, struct tce_error *err);
int tce_put_zeros(struct tce_writer *writer, uint64_t index, uint64_t count, struct tce_error *err);

/*
 * image-read.c: take the table and its updates as they come. Call the first before
 * tce_next_table(), the second, which gives 1 with an update, when tce_next_extent() gave 0.
 */
void tce_read_in_order(struct tce_reader *reader);
int tce_next_update(struct tce_reader *reader, struct tce_error *err);

/* io.c */
int tce_read_fully(const struct tce_source *source, void *buf, size_t len, size_t *got);

#endif /* TCE_PRIVATE_H */
