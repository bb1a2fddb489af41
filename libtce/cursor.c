// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A table of an image as words one after the other, holes included.
 */
#include "tce-private.h"

void tce_begin_cursor(struct tce_cursor *cursor, struct tce_reader *reader)
{
	*cursor = (struct tce_cursor){ .reader = reader };
}

int tce_cursor_words(struct tce_cursor *cursor, uint64_t *words, size_t count,
		     struct tce_error *err)
{
	struct tce_extent *extent = &cursor->extent;
	size_t n, put = 0;
	uint64_t gap;
	int ret;

	while (put < count) {
		if (!cursor->at_end && cursor->done == extent->count) {
			ret = tce_next_extent(cursor->reader, extent, err);
			if (ret < 0)
				return ret;
			cursor->at_end = !ret;
			cursor->done = 0;
		}
		gap = cursor->at_end ? count - put : extent->first + cursor->done - cursor->index;
		if (gap) {
			n = (size_t)min_u64(gap, count - put);
			memset(words + put, 0, n * sizeof(*words));
		} else {
			n = (size_t)min_u64(extent->count - cursor->done, count - put);
			tce_expand_extent(extent, cursor->done, words + put, n);
			cursor->done += n;
		}
		cursor->index += n;
		put += n;
	}
	return 0;
}
