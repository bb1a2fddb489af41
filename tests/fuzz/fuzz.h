/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between a fuzz target and what drives it.
 */
#ifndef TCE_TESTS_FUZZ_H
#define TCE_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An input that takes so long is as bad as one that crashes. */
#define FUZZ_SECONDS 20

/* What a driver calls: any bytes, which must neither crash nor hang nor use much memory. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * The target, where trouble.c is between it and the driver, to have memory, a source or a sink
 * fail now and then.
 */
void fuzz_one(const uint8_t *data, size_t size);

/* In a target: shall this read or write fail? And has anything failed since the input began? */
bool fails_now(void);
bool has_failed(void);

/* One input with each failure that it can meet, up to a limit. Returns how many those were. */
unsigned long fuzz_every_trouble(const uint8_t *data, size_t size);

/* The target may add inputs that it makes itself, by add_to_corpus(). */
void fill_corpus(void);
void add_to_corpus(const void *data, size_t size);

/* Of this driver: are those the first inputs? */
extern const bool made_inputs_first;

/* Bytes in memory as a source; @data and @size are what is left. */
struct fuzz_bytes {
	const uint8_t *data;
	size_t size;
};

struct tce_source bytes_source(struct fuzz_bytes *bytes);

/* Make this all that a file has. It never fails. */
void fuzz_put_file(int fd, const void *data, size_t size);

struct tce_error;

/* What a function of libtce returned: an error must be filled in, and can be said. */
void check_status(int ret, const struct tce_error *err);

#endif /* TCE_TESTS_FUZZ_H */
