// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * For a target that libFuzzer drives: large buffers and zstd's contexts are kept for the next
 * input. A sanitizer maps each large buffer anew, and that would be most of the time.
 *
 * Nobody may use a buffer that was given back: its beginning is poisoned, as a sanitizer's own
 * free() does it with all of it.
 */
#include <sanitizer/asan_interface.h>
#include <stdbool.h>
#include <string.h>

#include "system.h"

#define KEPT_MIN   (32 << 10)
#define KEPT_MAX   64
#define POISON_MAX (16 << 10)

struct block {
	void *data;
	size_t size;
	bool used;
};

static struct block blocks[KEPT_MAX];
static size_t block_count;
static ZSTD_CCtx *compressors[KEPT_MAX];
static ZSTD_DCtx *unpackers[KEPT_MAX];
static size_t compressor_count, unpacker_count;

static size_t poisoned(const struct block *block)
{
	return block->size < POISON_MAX ? block->size : POISON_MAX;
}

static struct block *find_block(const void *data)
{
	size_t i;

	for (i = 0; i < block_count; i++) {
		if (blocks[i].data == data)
			return &blocks[i];
	}
	return NULL;
}

void *system_malloc(size_t size)
{
	struct block *block;

	if (size < KEPT_MIN)
		return __real_malloc(size);
	for (block = blocks; block < blocks + block_count; block++) {
		if (!block->used && block->size == size) {
			ASAN_UNPOISON_MEMORY_REGION(block->data, poisoned(block));
			block->used = true;
			return block->data;
		}
	}
	if (block_count == KEPT_MAX)
		return __real_malloc(size);
	*block = (struct block){ __real_malloc(size), size, true };
	block_count++;
	return block->data;
}

void __wrap_free(void *data);
void __wrap_free(void *data)
{
	struct block *block = find_block(data);

	if (!data || !block) {
		__real_free(data);
		return;
	}
	if (!block->used)
		abort();
	block->used = false;
	ASAN_POISON_MEMORY_REGION(data, poisoned(block));
}

void *system_realloc(void *data, size_t size)
{
	struct block *block = find_block(data);
	void *grown;

	if (!data || !block)
		return __real_realloc(data, size);
	grown = system_malloc(size);
	memcpy(grown, data, size < block->size ? size : block->size);
	__wrap_free(data);
	return grown;
}

ZSTD_CCtx *system_create_compressor(void)
{
	return compressor_count ? compressors[--compressor_count] : __real_ZSTD_createCCtx();
}

size_t __wrap_ZSTD_freeCCtx(ZSTD_CCtx *compressor);
size_t __wrap_ZSTD_freeCCtx(ZSTD_CCtx *compressor)
{
	if (!compressor || compressor_count == KEPT_MAX)
		return __real_ZSTD_freeCCtx(compressor);
	ZSTD_CCtx_reset(compressor, ZSTD_reset_session_and_parameters);
	compressors[compressor_count++] = compressor;
	return 0;
}

ZSTD_DCtx *system_create_unpacker(void)
{
	return unpacker_count ? unpackers[--unpacker_count] : __real_ZSTD_createDCtx();
}

size_t __wrap_ZSTD_freeDCtx(ZSTD_DCtx *unpacker);
size_t __wrap_ZSTD_freeDCtx(ZSTD_DCtx *unpacker)
{
	if (!unpacker || unpacker_count == KEPT_MAX)
		return __real_ZSTD_freeDCtx(unpacker);
	ZSTD_DCtx_reset(unpacker, ZSTD_reset_session_and_parameters);
	unpackers[unpacker_count++] = unpacker;
	return 0;
}
