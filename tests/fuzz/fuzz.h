/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between a fuzz target and what drives it.
 */
#ifndef TCE_TESTS_FUZZ_H
#define TCE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* The target: takes any bytes, and must neither crash nor hang nor use much memory. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The target may add inputs that it makes itself, by add_to_corpus(). */
void fill_corpus(void);
void add_to_corpus(const void *data, size_t size);

#endif /* TCE_TESTS_FUZZ_H */
