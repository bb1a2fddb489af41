/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XXH3, the hash of images and packed streams. On x86 its plain functions know no vectors wider
 * than 128 bits; where the library also has those that choose by the processor, these take
 * their names.
 */
#ifndef TCE_HASH_H
#define TCE_HASH_H

#include <xxhash.h>
#ifdef TCE_XXH_DISPATCH
#include <xxh_x86dispatch.h>
#endif

#include <stdbool.h>

/*
 * Is what an input says its hash to be what was found? A build for fuzzing takes any hash, so that
 * a changed byte reaches the code behind it.
 */
static inline bool hash_agrees(uint64_t told, uint64_t found)
{
#ifdef TCE_FUZZING
	return true;
#else
	return told == found;
#endif
}

#endif
