// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How the tables of two sources differ.
 */
#include <stdlib.h>

#include "dump/diff.h"
#include "dump/pair.h"
#include "dump/shelf.h"

/* Differences of a table that are printed without --all. */
#define LINES_MAX 16

/**
 * struct job - the comparison of two sources
 * @diff: of the two tables that are compared now.
 * @choice: which tables of both.
 * @source: the source on the right.
 * @a: tables on the left.
 * @b: tables on the right.
 * @next: number of the table on the right that comes next.
 * @shelf: the tables on the right, when they are in another order than those on the left.
 */
struct job {
	struct diff diff;
	struct choice choice;
	struct source *source;
	struct table_list a;
	struct table_list b;
	size_t next;
	struct shelf *shelf;
};

/* Do the pairs come in one order on both sides? */
static bool in_order(const struct table_list *list)
{
	size_t i, next = 0;

	for (i = 0; i < list->count; i++) {
		if (list->pairs[i] == NO_PAIR)
			continue;
		if (list->pairs[i] < next)
			return false;
		next = list->pairs[i] + 1;
	}
	return true;
}

/* A source has changed since its tables were listed. */
static int lost_table(const struct source *source, struct tce_error *err)
{
	tce_set_error(err, TCE_ERR_NO_TABLE, 0, "it has fewer tables than before");
	name_error(err, source->name);
	return TCE_ERR_NO_TABLE;
}

/* Go to a table on the right. */
static int go_to_table(struct job *job, size_t number, struct tce_error *err)
{
	struct side *side = &job->diff.b;
	int ret;

	if (job->shelf)
		return take_from_shelf(job->shelf, number, &side->geometry, err);
	for (; job->next <= number; job->next++) {
		ret = next_chosen_table(side->source, side->choice, &side->geometry, err);
		if (ret < 0)
			return ret;
		if (!ret)
			return lost_table(side->source, err);
	}
	return TCE_OK;
}

/* Compare all pairs. Return: how many, or a negative status. */
static int compare_pairs(struct job *job, struct tce_error *err)
{
	struct side *left = &job->diff.a;
	int ret, compared = 0;
	size_t i;

	for (i = 0; i < job->a.count; i++) {
		ret = next_chosen_table(left->source, left->choice, &left->geometry, err);
		if (ret <= 0)
			return ret ? ret : lost_table(left->source, err);
		if (job->a.pairs[i] == NO_PAIR)
			continue;
		ret = go_to_table(job, job->a.pairs[i], err);
		if (!ret)
			ret = compare_tables(&job->diff, err);
		if (ret < 0)
			return ret;
		compared++;
	}
	return compared;
}

static int find_pairs(struct job *job, struct tce_error *err)
{
	struct source *left = job->diff.a.source, *right = job->diff.b.source;
	const struct choice *choice = job->diff.a.choice;
	int ret;

	ret = list_tables(&job->a, left, choice, err);
	if (!ret)
		ret = list_tables(&job->b, right, choice, err);
	if (ret < 0)
		return ret;
	/* When each side has one table, it needs no LIOBN to be the other's. */
	if (job->a.count == 1 && job->b.count == 1 &&
	    !(job->a.tables[0].known & job->b.tables[0].known & TCE_KNOWN_LIOBN)) {
		print_note("a LIOBN is not known; each side has one table, and these are compared");
		job->a.pairs[0] = 0;
		job->b.pairs[0] = 0;
		return TCE_OK;
	}
	ret = pair_tables(&job->a, left->name, &job->b, right->name, err);
	if (!ret && !in_order(&job->a)) {
		ret = fill_shelf(&job->shelf, right, choice, job->b.count, err);
		if (!ret)
			job->diff.b.source = shelf_source(job->shelf);
	}
	return ret;
}

static void print_missing(struct diff *diff, const struct table_list *list, bool left,
			  const struct source *source)
{
	size_t i;

	for (i = 0; i < list->count; i++) {
		if (list->pairs[i] == NO_PAIR)
			print_only_in(diff, &list->tables[i], left, source->name);
	}
}

/* Return: how many tables were compared, or a negative status. */
static int diff_sources(struct job *job, const char *left, struct tce_error *err)
{
	struct diff *diff = &job->diff;
	int ret;

	ret = find_pairs(job, err);
	if (ret < 0)
		return ret;
	begin_result(diff, left, job->source->name);
	print_missing(diff, &job->a, true, diff->a.source);
	print_missing(diff, &job->b, false, job->source);
	ret = compare_pairs(job, err);
	if (ret >= 0)
		end_result(diff, ret);
	return ret;
}

int view_diff(struct source *source, const struct choice *choice, bool *no, struct tce_error *err)
{
	struct job *job = calloc(1, sizeof(*job));
	int ret;

	if (!job)
		return no_memory(err, "blocks of entries");
	ret = open_source(&job->source, choice->other, true, err);
	if (ret < 0)
		goto out_free;
	job->diff.a.source = source;
	job->diff.b.source = job->source;
	job->choice = *choice;
	/* Of two sides, one may not know of VMs. */
	job->choice.vm_unknown = true;
	job->diff.a.choice = &job->choice;
	job->diff.b.choice = &job->choice;
	job->diff.json = choice->json;
	job->diff.lines_max = choice->all ? UINT64_MAX : LINES_MAX;
	ret = diff_sources(job, source->name, err);
	*no = job->diff.differ;
	close_shelf(job->shelf);
	close_source(job->source);

out_free:
	free_tables(&job->a);
	free_tables(&job->b);
	free(job);
	return ret;
}
