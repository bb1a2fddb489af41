/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XXH3, the hash of images and packed streams. On x86 its plain functions know no vectors wider than
 * 128 bits; where the library also has those that choose by the processor, these take their names.
 */
#ifndef TCE_HASH_H
#define TCE_HASH_H

#include <xxhash.h>
#ifdef TCE_XXH_DISPATCH
#include <xxh_x86dispatch.h>
#endif

#endif
