// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How the entries of two tables differ. Both sides are read side by side, a block at a time.
 */
#include <inttypes.h>
#include <string.h>

#include "dump/diff.h"

static void reset_side(struct side *side)
{
	side->left = 0;
	side->ended = false;
}

static int fetch(struct side *side, struct tce_error *err)
{
	int ret;

	if (side->left || side->ended)
		return TCE_OK;
	ret = side->source->ops->next_extent(side->source, &side->extent, err);
	if (ret < 0)
		return ret;
	if (ret)
		side->left = side->extent.count;
	else
		side->ended = true;
	return TCE_OK;
}

/* First entry from @index on that the side's piece covers. */
static uint64_t piece_first(const struct side *side)
{
	return side->ended ? UINT64_MAX : side->extent.first + side->extent.count - side->left;
}

/* Entries from @index to the next place where the piece begins or ends. */
static uint64_t until_change(const struct side *side, uint64_t index, uint64_t max)
{
	uint64_t first = piece_first(side);
	uint64_t n = first > index ? first - index : side->left;

	return n < max ? n : max;
}

static const uint64_t *side_words(struct side *side, uint64_t index, size_t count)
{
	if (piece_first(side) > index) {
		memset(side->block, 0, count * sizeof(side->block[0]));
		return side->block;
	}
	if (side->extent.words)
		return side->extent.words + (side->extent.count - side->left);
	tce_expand_extent(&side->extent, side->extent.count - side->left, side->block, count);
	return side->block;
}

static void pass(struct side *side, uint64_t index, uint64_t count)
{
	if (piece_first(side) <= index)
		side->left -= count;
}

/* The run that a side is in, or the zeros between its pieces. False when it has words. */
static bool side_run(const struct side *side, uint64_t index, uint64_t *tce, uint64_t *stride)
{
	*tce = 0;
	*stride = 0;
	if (piece_first(side) > index)
		return true;
	if (side->extent.words)
		return false;
	*stride = side->extent.stride;
	*tce = side->extent.tce + (side->extent.count - side->left) * *stride;
	return true;
}

/*
 * Both sides are runs, which may be as long as an image claims: count what differs instead of
 * looking at it. Entries are equal where the difference of the runs, a run itself, is zero.
 */
static void compare_runs(struct diff *diff, uint64_t index, uint64_t count, uint64_t a,
			 uint64_t a_stride, uint64_t b, uint64_t b_stride)
{
	const uint64_t stride = a_stride - b_stride, first = tce_first_zero(a - b, stride);
	uint64_t left = count, period, i;

	if (first < count) {
		/* Every entry, or every 2^64th, is the first only. */
		period = !stride    ? 1 :
			 stride & 1 ? UINT64_MAX :
				      1ULL << (64 - __builtin_ctzll(stride));
		left -= 1 + (count - 1 - first) / period;
	}
	for (i = 0; left && diff->differences < diff->lines_max; i++) {
		if (a + i * a_stride == b + i * b_stride)
			continue;
		print_difference(diff, index + i, a + i * a_stride, b + i * b_stride);
		diff->differences++;
		left--;
	}
	diff->differences += left;
}

static void compare_words(struct diff *diff, uint64_t index, const uint64_t *a, const uint64_t *b,
			  size_t count)
{
	size_t i;

	if (!memcmp(a, b, count * sizeof(*a)))
		return;
	for (i = 0; i < count; i++) {
		if (a[i] == b[i])
			continue;
		if (diff->differences < diff->lines_max)
			print_difference(diff, index + i, a[i], b[i]);
		diff->differences++;
	}
}

static int compare_entries(struct diff *diff, struct tce_error *err)
{
	uint64_t index = 0;
	int ret;

	reset_side(&diff->a);
	reset_side(&diff->b);
	while (index < diff->entries) {
		uint64_t n, a, a_stride, b, b_stride;
		bool runs;

		ret = fetch(&diff->a, err);
		if (!ret)
			ret = fetch(&diff->b, err);
		if (ret < 0)
			return ret;
		n = until_change(&diff->a, index, diff->entries - index);
		n = until_change(&diff->b, index, n);
		runs = side_run(&diff->a, index, &a, &a_stride);
		runs = side_run(&diff->b, index, &b, &b_stride) && runs;
		if (runs) {
			compare_runs(diff, index, n, a, a_stride, b, b_stride);
		} else {
			if (n > DIFF_BLOCK)
				n = DIFF_BLOCK;
			compare_words(diff, index, side_words(&diff->a, index, n),
				      side_words(&diff->b, index, n), n);
		}
		pass(&diff->a, index, n);
		pass(&diff->b, index, n);
		index += n;
	}
	return TCE_OK;
}

int compare_tables(struct diff *diff, struct tce_error *err)
{
	const struct tce_geometry *a = &diff->a.geometry, *b = &diff->b.geometry;
	int ret;

	if (print_geometry_difference(diff, a, b)) {
		diff->differ = true;
		return TCE_OK;
	}
	/* Where the end is known only to the page, what is beyond the other's end must be zero. */
	diff->entries = a->entries > b->entries ? a->entries : b->entries;
	diff->differences = 0;
	begin_table(diff, a);
	ret = compare_entries(diff, err);
	if (ret < 0)
		return ret;
	diff->differ |= diff->differences != 0;
	end_table(diff);
	return TCE_OK;
}
