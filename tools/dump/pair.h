/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which table of one source is which of another.
 */
#ifndef TCE_TOOLS_PAIR_H
#define TCE_TOOLS_PAIR_H

#include "dump/dump.h"

/* No table of the other side. */
#define NO_PAIR SIZE_MAX

/**
 * struct table_list - the tables of a source
 * @tables: their headers, in the source's order.
 * @pairs: for each the number of its table in the other list, or %NO_PAIR.
 * @count: how many.
 */
struct table_list {
	struct tce_geometry *tables;
	size_t *pairs;
	size_t count;
};

/**
 * list_tables() - list the tables of a source
 * @list: filled in; free it with free_tables(), also after a failure.
 * @source: the source, before its first table; is rewound.
 * @choice: which tables.
 * @err: what failed.
 *
 * Return: 0, or a negative status.
 */
int list_tables(struct table_list *list, struct source *source, const struct choice *choice,
		struct tce_error *err);

/**
 * pair_tables() - find the pairs of two lists
 * @a: one list.
 * @a_name: name of its source.
 * @b: the other.
 * @b_name: name of its source.
 * @err: which tables cannot be told apart.
 *
 * A LIOBN that each list has once is one table. If a list has it more often, the VMs decide.
 *
 * Return: 0, or a negative status.
 */
int pair_tables(struct table_list *a, const char *a_name, struct table_list *b, const char *b_name,
		struct tce_error *err);

/**
 * free_tables() - free a list
 * @list: may be all zeros.
 */
void free_tables(struct table_list *list);

#endif /* TCE_TOOLS_PAIR_H */
