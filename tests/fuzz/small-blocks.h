/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Included before all else where libFuzzer drives: tables have several blocks long before they are
 * large, and what is done with each entry is done as often as it has to be.
 */
#ifndef TCE_TESTS_FUZZ_SMALL_BLOCKS_H
#define TCE_TESTS_FUZZ_SMALL_BLOCKS_H

#include "../../libtce/tce.h"

#undef TCE_BLOCK_MAX
#define TCE_BLOCK_MAX 512

#endif /* TCE_TESTS_FUZZ_SMALL_BLOCKS_H */
