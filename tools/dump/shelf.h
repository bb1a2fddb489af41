/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of a source, kept in a scratch file so that they can be read in any order.
 */
#ifndef TCE_TOOLS_SHELF_H
#define TCE_TOOLS_SHELF_H

#include "dump/dump.h"

struct shelf;

/**
 * fill_shelf() - keep the tables of a source
 * @shelf: receives the shelf; free it with close_shelf().
 * @source: the source, before its first table.
 * @choice: which tables.
 * @count: how many there are.
 * @err: what failed.
 *
 * Return: 0, or a negative status.
 */
int fill_shelf(struct shelf **shelf, struct source *source, const struct choice *choice,
	       size_t count, struct tce_error *err);

/**
 * take_from_shelf() - begin to read one of the tables
 * @shelf: the shelf.
 * @number: which table, from 0 on.
 * @geometry: receives its header.
 * @err: what failed.
 *
 * Return: 0, or a negative status.
 */
int take_from_shelf(struct shelf *shelf, size_t number, struct tce_geometry *geometry,
		    struct tce_error *err);

/**
 * shelf_source() - the table that was taken, as a source
 * @shelf: the shelf.
 *
 * Return: a source of which only next_extent is there. Belongs to the shelf.
 */
struct source *shelf_source(struct shelf *shelf);

/**
 * close_shelf() - free a shelf
 * @shelf: from fill_shelf(), or NULL.
 */
void close_shelf(struct shelf *shelf);

#endif /* TCE_TOOLS_SHELF_H */
