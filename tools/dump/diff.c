// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How the tables of two sources differ. Tables are paired by LIOBN.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dump/diff.h"

/* Differences of a table that are printed without --all. */
#define LINES_MAX	16

/* Tables that one source may have: their LIOBNs are kept. */
#define TABLES_MAX	65536

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
						    "LIOBN 0x%" PRIx64 " is there twice",
						    side->geometry.liobn);
			else
				ret = tce_set_error(err, TCE_ERR_UNKNOWN, 0,
						    "several tables without a known LIOBN cannot be told apart");
			break;
		}
		if (!(n & (n - 1))) {
			struct tce_geometry *grown;

			grown = realloc(tables, (n ? 2 * n : 1) * sizeof(*grown));
			if (!grown) {
				ret = no_memory(err, "a list of tables");
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

/* Compare the tables that both sources have. Return: how many, or a negative status. */
static int compare_sources(struct diff *diff, bool only_pair, bool *differ, struct tce_error *err)
{
	int ret, compared = 0;

	while ((ret = next_chosen_table(diff->a.source, diff->a.choice, &diff->a.geometry,
					err)) > 0) {
		if (only_pair)
			ret = next_chosen_table(diff->b.source, diff->b.choice, &diff->b.geometry,
						err);
		else
			ret = seek_table(&diff->b, &diff->a.geometry, err);
		if (ret > 0)
			ret = compare_tables(diff, differ, err) < 0 ? err->code : 1;
		if (ret < 0)
			return ret;
		compared += ret;
	}
	return ret < 0 ? ret : compared;
}

static int diff_sources(struct diff *diff, bool *differ, struct tce_error *err)
{
	struct tce_geometry *a_tables = NULL, *b_tables = NULL;
	size_t a_count = 0, b_count = 0;
	bool only_pair;
	int ret;

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
		*differ = print_missing(a_tables, a_count, b_tables, b_count,
					diff->a.source->name) |
			  print_missing(b_tables, b_count, a_tables, a_count,
					diff->b.source->name);
	ret = compare_sources(diff, only_pair, differ, err);

out_free:
	free(b_tables);
	free(a_tables);
	return ret;
}

int view_diff(struct source *source, const struct choice *choice, bool *no, struct tce_error *err)
{
	struct diff *diff = calloc(1, sizeof(*diff));
	int ret;

	if (!diff)
		return no_memory(err, "blocks of entries");
	ret = open_source(&diff->b.source, choice->other, true, err);
	if (ret < 0)
		goto out_free;
	diff->a.source = source;
	diff->a.choice = choice;
	diff->b.choice = choice;
	diff->lines_max = choice->all ? UINT64_MAX : LINES_MAX;
	ret = diff_sources(diff, no, err);
	if (ret >= 0 && !*no)
		print_result("no difference in %d table%s", ret, ret == 1 ? "" : "s");
	close_source(diff->b.source);

out_free:
	free(diff);
	return ret;
}
