// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How the tables of two sources differ. Tables are paired by LIOBN; both sides are read side by
 * side, a block at a time.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"

/* Differences of a table that are printed without --all. */
#define LINES_MAX	16

/* Tables that one source may have: their LIOBNs are kept. */
#define TABLES_MAX	65536

#define BLOCK		4096

/**
 * struct side - one of the two sources
 * @source: the source.
 * @choice: which tables of it.
 * @geometry: header of the table.
 * @extent: piece that is being compared; no piece when its count is 0.
 * @left: entries of @extent that are still to be compared.
 * @ended: no piece follows.
 * @block: some of its entries.
 */
struct side {
	struct source *source;
	const struct choice *choice;
	struct tce_geometry geometry;
	struct tce_extent extent;
	uint64_t left;
	bool ended;
	uint64_t block[BLOCK];
};

struct diff {
	struct side a;
	struct side b;
	uint64_t entries;
	uint64_t differences;
	uint64_t lines_max;
};

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

static void print_place(const struct tce_geometry *geometry)
{
	char name[TABLE_NAME_SIZE];

	printf("%s: ", format_table(geometry, name));
}

static void print_difference(const struct tce_geometry *geometry, uint64_t index, uint64_t a,
			     uint64_t b)
{
	print_place(geometry);
	printf("entry %" PRIu64, index);
	if ((geometry->known & (TCE_KNOWN_BUS_OFFSET | TCE_KNOWN_PAGE_SHIFT)) ==
	    (TCE_KNOWN_BUS_OFFSET | TCE_KNOWN_PAGE_SHIFT))
		printf(" (IOBA 0x%" PRIx64 ")", tce_ioba(geometry, index));
	printf(": 0x%016" PRIx64 " | 0x%016" PRIx64 "\n", a, b);
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
 * Both sides are runs, which may be as long as an image claims: count what differs instead of looking
 * at it. Entries are equal where the difference of the runs, a run itself, is zero.
 */
static void compare_runs(struct diff *diff, uint64_t index, uint64_t count, uint64_t a,
			 uint64_t a_stride, uint64_t b, uint64_t b_stride)
{
	const uint64_t stride = a_stride - b_stride, first = tce_first_zero(a - b, stride);
	uint64_t left = count, period, i;

	if (first < count) {
		/* every entry, or every 2^64th, is the first only */
		period = !stride ? 1 : stride & 1 ? UINT64_MAX : 1ULL << (64 - __builtin_ctzll(stride));
		left -= 1 + (count - 1 - first) / period;
	}
	for (i = 0; left && diff->differences < diff->lines_max; i++) {
		if (a + i * a_stride == b + i * b_stride)
			continue;
		print_difference(&diff->a.geometry, index + i, a + i * a_stride, b + i * b_stride);
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
	for (i = 0; i < count; i++)
		if (a[i] != b[i] && diff->differences++ < diff->lines_max)
			print_difference(&diff->a.geometry, index + i, a[i], b[i]);
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
			if (n > BLOCK)
				n = BLOCK;
			compare_words(diff, index, side_words(&diff->a, index, n),
				      side_words(&diff->b, index, n), n);
		}
		pass(&diff->a, index, n);
		pass(&diff->b, index, n);
		index += n;
	}
	return TCE_OK;
}

/* Print the first part of the geometry that both know and that differs. */
static bool geometry_differs(const struct tce_geometry *a, const struct tce_geometry *b)
{
	const unsigned int both = a->known & b->known;

	if (both & TCE_KNOWN_PAGE_SHIFT && a->page_shift != b->page_shift) {
		print_place(a);
		printf("page shift: %u | %u\n", a->page_shift, b->page_shift);
	} else if (both & TCE_KNOWN_BUS_OFFSET && a->bus_offset != b->bus_offset) {
		print_place(a);
		printf("bus offset: 0x%" PRIx64 " | 0x%" PRIx64 "\n", a->bus_offset, b->bus_offset);
	} else if (both & TCE_KNOWN_ENTRIES && a->entries != b->entries) {
		print_place(a);
		printf("entries: %" PRIu64 " | %" PRIu64 "\n", a->entries, b->entries);
	} else {
		return false;
	}
	return true;
}

/* Compare the tables that both sides stand at. */
static int compare_tables(struct diff *diff, bool *differ, struct tce_error *err)
{
	const struct tce_geometry *a = &diff->a.geometry, *b = &diff->b.geometry;
	int ret;

	if (geometry_differs(a, b)) {
		*differ = true;
		return TCE_OK;
	}

	/* Where the end is known only to the page, what is beyond the other's end must be zero. */
	diff->entries = a->entries > b->entries ? a->entries : b->entries;
	diff->differences = 0;
	ret = compare_entries(diff, err);
	if (ret < 0)
		return ret;
	if (diff->differences) {
		*differ = true;
		print_place(a);
		printf("%" PRIu64 " of %" PRIu64 " entries differ", diff->differences,
		       diff->entries);
		if (diff->differences > diff->lines_max)
			printf(" (--all shows the other %" PRIu64 ")",
			       diff->differences - diff->lines_max);
		printf("\n");
	}
	return TCE_OK;
}

static bool same_table(const struct tce_geometry *a, const struct tce_geometry *b)
{
	return (a->known & TCE_KNOWN_LIOBN) == (b->known & TCE_KNOWN_LIOBN) && a->liobn == b->liobn;
}

/* Go to the table of @side that is @wanted: ahead of where it stands, else from its beginning. */
static int seek_table(struct side *side, const struct tce_geometry *wanted, struct tce_error *err)
{
	bool rewound = false;
	int ret;

	for (;;) {
		ret = next_chosen_table(side->source, side->choice, &side->geometry, err);
		if (ret < 0)
			return ret;
		if (ret && same_table(&side->geometry, wanted))
			return 1;
		if (ret)
			continue;
		if (rewound)
			return 0;
		ret = side->source->ops->rewind(side->source, err);
		if (ret < 0)
			return ret;
		rewound = true;
	}
}

/* List the tables of a side, and see that each can be told from the others. */
static int list_tables(struct side *side, struct tce_geometry **list, size_t *count,
		       struct tce_error *err)
{
	struct tce_geometry *tables = NULL;
	size_t n = 0, i;
	int ret;

	for (;;) {
		ret = next_chosen_table(side->source, side->choice, &side->geometry, err);
		if (ret <= 0)
			break;
		if (n == TABLES_MAX) {
			ret = tce_set_error(err, TCE_ERR_LIMIT, 0, "more than %u tables",
					    TABLES_MAX);
			break;
		}
		for (i = 0; i < n && !same_table(&tables[i], &side->geometry); i++)
			;
		if (i < n) {
			if (side->geometry.known & TCE_KNOWN_LIOBN)
				ret = tce_set_error(err, TCE_ERR_NO_TABLE, 0,
						    "LIOBN 0x%llx is there twice",
						    (unsigned long long)side->geometry.liobn);
			else
				ret = tce_set_error(err, TCE_ERR_UNKNOWN, 0,
						    "several tables without a known LIOBN cannot be told apart");
			break;
		}
		if (!(n & (n - 1))) {
			struct tce_geometry *grown;

			grown = realloc(tables, (n ? 2 * n : 1) * sizeof(*grown));
			if (!grown) {
				ret = tce_set_error(err, TCE_ERR_NOMEM, 0,
						    "no memory for a list of tables");
				break;
			}
			tables = grown;
		}
		tables[n++] = side->geometry;
	}
	if (ret < 0) {
		name_error(err, side->source->name);
		free(tables);
		return ret;
	}
	*list = tables;
	*count = n;
	return side->source->ops->rewind(side->source, err);
}

/* Print the tables of one side that the other does not have. */
static bool print_missing(const struct tce_geometry *have, size_t have_count,
			  const struct tce_geometry *other, size_t other_count, const char *name)
{
	bool missing = false;
	size_t i, k;

	for (i = 0; i < have_count; i++) {
		for (k = 0; k < other_count && !same_table(&have[i], &other[k]); k++)
			;
		if (k < other_count)
			continue;
		missing = true;
		print_place(&have[i]);
		printf("only in ");
		print_text(stdout, name);
		printf("\n");
	}
	return missing;
}

int view_diff(struct source *left, struct source *right, const struct choice *choice,
	      bool *differ, struct tce_error *err)
{
	struct tce_geometry *a_tables = NULL, *b_tables = NULL;
	size_t a_count = 0, b_count = 0;
	int ret, compared = 0;
	struct diff *diff;
	bool only_pair;

	diff = calloc(1, sizeof(*diff));
	if (!diff)
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for blocks of entries");
	diff->a.source = left;
	diff->b.source = right;
	diff->a.choice = choice;
	diff->b.choice = choice;
	diff->lines_max = choice->all ? UINT64_MAX : LINES_MAX;
	*differ = false;

	ret = list_tables(&diff->a, &a_tables, &a_count, err);
	if (!ret)
		ret = list_tables(&diff->b, &b_tables, &b_count, err);
	if (ret < 0)
		goto out_free;

	/* When each side has one table, it needs no LIOBN to be the other's. */
	only_pair = a_count == 1 && b_count == 1 &&
		    !(a_tables[0].known & b_tables[0].known & TCE_KNOWN_LIOBN);
	if (only_pair)
		print_note("a LIOBN is not known; each side has one table, and these are compared");
	else
		*differ = print_missing(a_tables, a_count, b_tables, b_count, left->name) |
			  print_missing(b_tables, b_count, a_tables, a_count, right->name);

	while ((ret = next_chosen_table(left, choice, &diff->a.geometry, err)) > 0) {
		if (only_pair)
			ret = next_chosen_table(right, choice, &diff->b.geometry, err);
		else
			ret = seek_table(&diff->b, &diff->a.geometry, err);
		if (ret > 0)
			ret = compare_tables(diff, differ, err) < 0 ? err->code : 1;
		if (ret < 0)
			goto out_free;
		compared += ret;
	}

out_free:
	free(b_tables);
	free(a_tables);
	free(diff);
	return ret < 0 ? ret : compared;
}
