// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Arithmetic runs in arrays of TCEs: finding them, writing them out, and the packed list of short
 * runs that an extent of kind TCE_RUNS holds. Nothing here allocates or does I/O.
 *
 * The loops over STEP words have no early exit so that the compiler makes vector code of them; a
 * table is scanned at the speed of memory.
 */
#include "tce-private.h"

#define STEP 32

size_t tce_count_zeros(const uint64_t *words, size_t count)
{
	size_t i = 0, k;

	while (count - i >= STEP) {
		uint64_t any = 0;

		for (k = 0; k < STEP; k++)
			any |= words[i + k];
		if (any)
			break;
		i += STEP;
	}
	while (i < count && !words[i])
		i++;
	return i;
}

TCE_WIDE static size_t count_used(const uint64_t *words, size_t count)
{
	size_t used = 0, i;

	for (i = 0; i < count; i++)
		used += words[i] != 0;
	return used;
}

/* What is cloned stays in its file: compilers do not agree on the symbol that others call. */
size_t tce_count_used(const uint64_t *words, size_t count)
{
	return count_used(words, count);
}

/* How many words, at the beginning of @words, are not zero. */
TCE_WIDE static size_t measure_used(const uint64_t *words, size_t count)
{
	size_t i = 0, k;

	while (count - i >= STEP) {
		uint64_t zeros = 0;

		for (k = 0; k < STEP; k++)
			zeros |= words[i + k] == 0;
		if (zeros)
			break;
		i += STEP;
	}
	while (i < count && words[i])
		i++;
	return i;
}

/* How many steps of @stride lead from one word to the next, at the beginning of @words. */
static size_t count_steps(const uint64_t *words, size_t steps, uint64_t stride)
{
	size_t i = 0, k;

	while (steps - i >= STEP) {
		uint64_t differ = 0;

		for (k = 0; k < STEP; k++)
			differ |= (words[i + k + 1] - words[i + k]) ^ stride;
		if (differ)
			break;
		i += STEP;
	}
	while (i < steps && words[i + 1] - words[i] == stride)
		i++;
	return i;
}

uint64_t tce_first_zero(uint64_t tce, uint64_t stride)
{
	uint64_t odd, inverse;
	int shift, i;

	if (!tce)
		return 0;
	if (!stride)
		return UINT64_MAX;
	shift = __builtin_ctzll(stride);
	if (tce & ((1ULL << shift) - 1))
		return UINT64_MAX;

	/* Newton's iteration: an odd number is its own inverse to 3 bits, then 6, 12, ... 96. */
	odd = stride >> shift;
	inverse = odd;
	for (i = 0; i < 5; i++)
		inverse *= 2 - odd * inverse;
	return ((0 - tce) >> shift) * inverse & (UINT64_MAX >> shift);
}

bool tce_run_has_zero(uint64_t tce, uint64_t stride, uint64_t count)
{
	return tce_first_zero(tce, stride) < count;
}

/* Length of a run, which ends before its first zero. */
static size_t cut_at_zero(const uint64_t *words, size_t count, uint64_t stride)
{
	return min_u64(count, tce_first_zero(words[0], stride));
}

/*
 * How many of @words go on with the run whose next TCE would be @tce. Zeros never do: that a word
 * is zero must not depend on who skipped it as a hole.
 */
size_t tce_extend_run(const uint64_t *words, size_t count, uint64_t tce, uint64_t stride)
{
	size_t n;

	if (!count || words[0] != tce || !tce)
		return 0;
	n = 1 + count_steps(words, count - 1, stride);
	return cut_at_zero(words, n, stride);
}

size_t tce_measure_run(const uint64_t *words, size_t count, uint64_t *stride)
{
	size_t n;

	*stride = 0;
	if (!words[0])
		return tce_count_zeros(words, count);
	if (count < 2 || !words[1])
		return 1;
	*stride = words[1] - words[0];
	n = 1 + count_steps(words, count - 1, *stride);
	return cut_at_zero(words, n, *stride);
}

/* Length of the run without zeros at the end of @words, at least 1 unless the last one is zero. */
size_t tce_measure_tail(const uint64_t *words, size_t count, uint64_t *stride)
{
	size_t n, k;

	*stride = 0;
	if (!count || !words[count - 1])
		return 0;
	if (count < 2 || !words[count - 2])
		return 1;
	*stride = words[count - 1] - words[count - 2];
	n = 2;
	while (count - n >= STEP) {
		const uint64_t *step = words + count - n - STEP;
		uint64_t differ = 0;

		for (k = 0; k < STEP; k++)
			differ |= (step[k + 1] - step[k]) ^ *stride;
		if (differ)
			break;
		n += STEP;
	}
	while (n < count && words[count - n] - words[count - n - 1] == *stride)
		n++;

	/* Keep what comes after the last zero. */
	if (cut_at_zero(words + count - n, n, *stride) == n)
		return n;
	for (k = 1; k < n && words[count - 1 - k]; k++)
		;
	return k;
}

void tce_fill_run(uint64_t *words, size_t count, uint64_t tce, uint64_t stride)
{
	size_t i = 0, k;

	if (count >= 2 * STEP) {
		uint64_t steps[STEP];

		for (k = 0; k < STEP; k++)
			steps[k] = k * stride;
		for (; count - i >= STEP; i += STEP, tce += STEP * stride) {
			for (k = 0; k < STEP; k++)
				words[i + k] = tce + steps[k];
		}
	}
	for (; i < count; i++, tce += stride)
		words[i] = tce;
}

void tce_expand_extent(const struct tce_extent *extent, uint64_t skip, uint64_t *words,
		       size_t count)
{
	if (extent->words)
		memcpy(words, extent->words + skip, count * sizeof(*words));
	else
		tce_fill_run(words, count, extent->tce + skip * extent->stride, extent->stride);
}

/* One run of a list takes at most this: head, gap, stride, tce. */
#define PACKED_RUN_MAX (5 + 5 + 10 + 10)

/*
 * Where runs end among words of which none is zero, found for WINDOW words at once: most of a
 * guest's runs are short, and the branch at the end of each is one that no processor foresees.
 */
#define WINDOW 64
#define LANES  4

typedef uint64_t lanes_t __attribute__((vector_size(LANES * sizeof(uint64_t))));

struct bends {
	uint64_t set; /* bit k: words[first + k + 1] does not go on as the two before it */
	size_t first, end;
};

TCE_WIDE static uint64_t find_window(const uint64_t *words)
{
	lanes_t before, here, after, bit = { 1, 2, 4, 8 }, set = { 0 };
	size_t k;

	for (k = 0; k < WINDOW; k += LANES) {
		memcpy(&before, words + k - 1, sizeof(before));
		memcpy(&here, words + k, sizeof(here));
		memcpy(&after, words + k + 1, sizeof(after));
		set |= (lanes_t)(after - here != here - before) & bit;
		bit <<= LANES;
	}
	return set[0] | set[1] | set[2] | set[3];
}

static uint64_t find_bends(const uint64_t *words, size_t count)
{
	const uint64_t *before = words - 1;
	uint64_t set = 0;
	size_t k;

	if (count == WINDOW)
		return find_window(words);
	for (k = 0; k < count; k++)
		set |= (uint64_t)(words[k + 1] - words[k] != words[k] - before[k]) << k;
	return set;
}

/* Index of the first bend in [@at, @end), or @end. Words @at - 1 to @end are there. */
static size_t next_bend(struct bends *bends, const uint64_t *words, size_t at, size_t end)
{
	while (at < end) {
		uint64_t set;

		if (at >= bends->end) {
			bends->first = at;
			bends->end = at + min_u64(end - at, WINDOW);
			bends->set = find_bends(words + at, bends->end - at);
		}
		set = bends->set >> (at - bends->first);
		if (set)
			return at + (size_t)__builtin_ctzll(set);
		at = bends->end;
		at += count_steps(words + at, end - at, words[at] - words[at - 1]);
	}
	return end;
}

/*
 * Write @words, the first and the last of which are not zero, as a list of runs.
 *
 * Return: bytes used, or 0 when the list does not fit into @size.
 */
size_t tce_pack_runs(const uint64_t *words, size_t count, uint8_t *buf, size_t size, size_t *runs)
{
	uint64_t expected = 0, last_stride = 0;
	struct bends bends = { 0 };
	size_t i = 0, used_end = 0;
	uint8_t *p = buf;

	*runs = 0;
	while (i < count) {
		uint64_t stride = last_stride, tce, head;
		size_t gap = 0, n = 1;

		if (size - (size_t)(p - buf) < PACKED_RUN_MAX)
			return 0;
		if (i == used_end) {
			gap = tce_count_zeros(words + i, count - i);
			i += gap;
			used_end = i + measure_used(words + i, count - i);
		}

		/*
		 * Any two words are a run. If they merely happen to stand beside each other, the
		 * second one is more likely the first of the next run.
		 */
		if (used_end - i > 1) {
			size_t bend = next_bend(&bends, words, i + 1, used_end - 1);

			if (bend > i + 1 || words[i + 1] - words[i] == last_stride) {
				n = bend - i + 1;
				stride = words[i + 1] - words[i];
			}
		}

		tce = words[i];
		head = (uint64_t)(n - 1) << 2 | (stride != last_stride) << 1 | (gap != 0);
		p = put_leb128(p, head);
		if (gap)
			p = put_leb128(p, gap);
		if (stride != last_stride)
			p = put_leb128(p, zigzag(stride));
		p = put_leb128(p, zigzag(tce - expected));

		last_stride = stride;
		expected = tce + n * stride;
		i += n;
		(*runs)++;
	}
	return (size_t)(p - buf);
}

/* Read a list of runs that must cover exactly @count words. False when it does not. */
bool tce_unpack_runs(struct tce_bytes bytes, uint64_t *words, size_t count)
{
	uint64_t expected = 0, stride = 0;
	size_t i = 0;

	while (bytes.next < bytes.end) {
		uint64_t head, gap = 0, value, n;

		if (!get_leb128(&bytes, &head))
			return false;
		if ((head & 1) && !get_leb128(&bytes, &gap))
			return false;
		if (head & 2) {
			if (!get_leb128(&bytes, &value))
				return false;
			stride = unzigzag(value);
		}
		if (!get_leb128(&bytes, &value))
			return false;

		n = (head >> 2) + 1;
		if (gap > count - i || n > count - i - gap)
			return false;
		memset(words + i, 0, gap * sizeof(*words));
		i += gap;
		value = expected + unzigzag(value);
		tce_fill_run(words + i, n, value, stride);
		i += n;
		expected = value + n * stride;
	}
	return i == count;
}
