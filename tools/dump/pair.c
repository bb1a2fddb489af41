// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which table of one source is which of another: both lists are sorted and gone through together.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "dump/pair.h"

/* Tables that one source may have: their headers are kept. */
#define TABLES_MAX 65536

/* A table's name, and its number in the list. */
struct key {
	const struct tce_geometry *geometry;
	size_t number;
};

static int add_table(struct table_list *list, const struct tce_geometry *geometry,
		     struct tce_error *err)
{
	struct tce_geometry *grown;
	const size_t n = list->count;

	if (n == TABLES_MAX)
		return tce_set_error(err, TCE_ERR_LIMIT, 0, "more than %u tables", TABLES_MAX);
	if (!(n & (n - 1))) {
		grown = realloc(list->tables, (n ? 2 * n : 1) * sizeof(*grown));
		if (!grown)
			return no_memory(err, "a list of tables");
		list->tables = grown;
	}
	list->tables[list->count++] = *geometry;
	return TCE_OK;
}

int list_tables(struct table_list *list, struct source *source, const struct choice *choice,
		struct tce_error *err)
{
	struct tce_geometry geometry;
	size_t i;
	int ret;

	do {
		ret = next_chosen_table(source, choice, &geometry, err);
		if (ret > 0)
			ret = add_table(list, &geometry, err) < 0 ? err->code : 1;
	} while (ret > 0);
	if (!ret) {
		list->pairs = malloc((list->count + 1) * sizeof(*list->pairs));
		ret = list->pairs ? 0 : no_memory(err, "a list of tables");
	}
	if (ret < 0) {
		name_error(err, source->name);
		return ret;
	}
	for (i = 0; i < list->count; i++)
		list->pairs[i] = NO_PAIR;
	return source->ops->rewind(source, err);
}

void free_tables(struct table_list *list)
{
	free(list->tables);
	free(list->pairs);
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_liobns(const struct tce_geometry *a, const struct tce_geometry *b)
{
	const bool a_known = a->known & TCE_KNOWN_LIOBN, b_known = b->known & TCE_KNOWN_LIOBN;

	if (!a_known || !b_known)
		return compare_numbers(a_known, b_known);
	return compare_numbers(a->liobn, b->liobn);
}

static int compare_vms(const struct tce_geometry *a, const struct tce_geometry *b)
{
	if (!a->has_vm || !b->has_vm)
		return compare_numbers(a->has_vm, b->has_vm);
	return compare_numbers(a->vm, b->vm);
}

static int compare_keys(const void *a, const void *b)
{
	const struct key *one = a, *two = b;
	int ret = compare_liobns(one->geometry, two->geometry);

	return ret ? ret : compare_vms(one->geometry, two->geometry);
}

static struct key *sort_tables(const struct table_list *list, struct tce_error *err)
{
	struct key *keys = malloc((list->count + 1) * sizeof(*keys));
	size_t i;

	if (!keys) {
		no_memory(err, "a list of tables");
		return NULL;
	}
	for (i = 0; i < list->count; i++)
		keys[i] = (struct key){ &list->tables[i], i };
	qsort(keys, list->count, sizeof(*keys), compare_keys);
	return keys;
}

/* How many tables from @first on have its LIOBN. */
static size_t count_same(const struct key *keys, size_t first, size_t count)
{
	size_t n = 1;

	while (first + n < count && !compare_liobns(keys[first].geometry, keys[first + n].geometry))
		n++;
	return n;
}

/* Some tables have one LIOBN: each has to be of another VM. */
static int check_vms(const struct key *keys, size_t count, const char *name, struct tce_error *err)
{
	char table[TABLE_NAME_SIZE];
	size_t i;

	for (i = 0; i + 1 < count; i++) {
		if (compare_vms(keys[i].geometry, keys[i + 1].geometry))
			continue;
		if (keys[i].geometry->known & TCE_KNOWN_LIOBN)
			tce_set_error(err, TCE_ERR_NO_TABLE, 0, "%s is there twice",
				      format_table(keys[i].geometry, table));
		else
			tce_set_error(err, TCE_ERR_UNKNOWN, 0,
				      "several tables without a known LIOBN cannot be told apart");
		name_error(err, name);
		return err->code;
	}
	return TCE_OK;
}

static void set_pair(struct table_list *a, const struct key *one, struct table_list *b,
		     const struct key *two)
{
	a->pairs[one->number] = two->number;
	b->pairs[two->number] = one->number;
}

/* Pair the tables of one LIOBN, @n of one side and @m of the other. */
static int pair_group(struct table_list *a, const struct key *one, size_t n, struct table_list *b,
		      const struct key *two, size_t m, struct tce_error *err)
{
	char table[TABLE_NAME_SIZE];
	size_t i, k = 0;
	int order;

	if (n == 1 && m == 1) {
		set_pair(a, one, b, two);
		return TCE_OK;
	}
	if (!one->geometry->has_vm || !two->geometry->has_vm)
		return tce_set_error(
			err, TCE_ERR_NO_TABLE, 0,
			"%s: one side has it of several VMs, the other does not say of which: "
			"choose with --vm",
			format_table(one->geometry, table));
	for (i = 0; i < n && k < m;) {
		order = compare_vms(one[i].geometry, two[k].geometry);
		if (!order)
			set_pair(a, &one[i], b, &two[k]);
		i += order <= 0;
		k += order >= 0;
	}
	return TCE_OK;
}

static int pair_sorted(struct table_list *a, const struct key *one, const char *a_name,
		       struct table_list *b, const struct key *two, const char *b_name,
		       struct tce_error *err)
{
	size_t i = 0, k = 0, n, m;
	int order, ret = TCE_OK;

	while (!ret && (i < a->count || k < b->count)) {
		n = i < a->count ? count_same(one, i, a->count) : 0;
		m = k < b->count ? count_same(two, k, b->count) : 0;
		order = !n ? 1 : !m ? -1 : compare_liobns(one[i].geometry, two[k].geometry);
		if (order <= 0)
			ret = check_vms(one + i, n, a_name, err);
		if (!ret && order >= 0)
			ret = check_vms(two + k, m, b_name, err);
		if (!ret && !order)
			ret = pair_group(a, one + i, n, b, two + k, m, err);
		if (order <= 0)
			i += n;
		if (order >= 0)
			k += m;
	}
	return ret;
}

int pair_tables(struct table_list *a, const char *a_name, struct table_list *b, const char *b_name,
		struct tce_error *err)
{
	struct key *one, *two = NULL;
	int ret = TCE_ERR_NOMEM;

	one = sort_tables(a, err);
	if (one)
		two = sort_tables(b, err);
	if (two)
		ret = pair_sorted(a, one, a_name, b, two, b_name, err);
	free(one);
	free(two);
	return ret;
}
