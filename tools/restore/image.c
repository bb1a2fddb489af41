// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The first reading of the image.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "restore/restore.h"

/* Tables of an image that are restored at a time. */
#define TABLES_MAX 4096

/* Fill in what the image does not know; what it does know must agree with what was said. */
static int apply_by_hand(struct target *target, const struct tce_geometry *by_hand,
			 struct tce_error *err)
{
	struct tce_geometry *saved = &target->saved;
	const unsigned int both = saved->known & by_hand->known;

	if ((both & TCE_KNOWN_PAGE_SHIFT && saved->page_shift != by_hand->page_shift) ||
	    (both & TCE_KNOWN_BUS_OFFSET && saved->bus_offset != by_hand->bus_offset) ||
	    (both & TCE_KNOWN_ENTRIES && saved->entries != by_hand->entries) ||
	    (by_hand->known & TCE_KNOWN_ENTRIES && saved->entries < by_hand->entries)) {
		tce_set_error(err, TCE_ERR_GEOMETRY, 0,
			      "the image has another geometry than the command line");
		return target_error(target, err);
	}
	if (by_hand->known & TCE_KNOWN_PAGE_SHIFT)
		saved->page_shift = by_hand->page_shift;
	if (by_hand->known & TCE_KNOWN_BUS_OFFSET)
		saved->bus_offset = by_hand->bus_offset;
	if (by_hand->known & TCE_KNOWN_ENTRIES)
		saved->entries = by_hand->entries;
	saved->known |= by_hand->known;
	return tce_check_geometry(saved, err) < 0 ? target_error(target, err) : TCE_OK;
}

/* Tables of several VMs may have one LIOBN. */
static bool same_table(const struct tce_geometry *a, const struct tce_geometry *b)
{
	return a->known & b->known & TCE_KNOWN_LIOBN && a->liobn == b->liobn &&
	       (!a->has_vm || !b->has_vm || a->vm == b->vm);
}

static int add_target(struct restore *restore, const struct tce_geometry *geometry,
		      struct target **result, struct tce_error *err)
{
	char name[TABLE_NAME_SIZE];
	struct target *grown;
	size_t i;

	for (i = 0; i < restore->count; i++) {
		if (same_table(geometry, &restore->targets[i].saved))
			return tce_set_error(err, TCE_ERR_CORRUPT, 0, "%s is in the image twice",
					     format_table(geometry, name));
	}
	if (restore->count == TABLES_MAX)
		return tce_set_error(err, TCE_ERR_LIMIT, 0, "the image has more than %u tables",
				     TABLES_MAX);
	grown = realloc(restore->targets, (restore->count + 1) * sizeof(*grown));
	if (!grown)
		return no_memory(err, "a list of tables");
	restore->targets = grown;
	*result = &grown[restore->count++];
	memset(*result, 0, sizeof(**result));
	(*result)->saved = *geometry;
	return TCE_OK;
}

/*
 * Read all of a table: for a dry run, or to see that a shorter table, said by hand, holds every
 * entry.
 */
static int check_entries(struct tce_reader *reader, struct target *target, struct tce_error *err)
{
	struct tce_extent extent;
	int ret;

	while ((ret = tce_next_extent(reader, &extent, err)) > 0) {
		uint64_t used = extent.words ? tce_count_used(extent.words, extent.count) :
					       extent.count;

		target->loaded.used += used;
		if (used && extent.first + extent.count > target->saved.entries)
			return tce_set_error(
				err, TCE_ERR_RANGE, 0,
				"the image has entries past the end given with --entries");
	}
	return ret;
}

static int check_table(struct restore *restore, struct tce_reader *reader,
		       const struct tce_geometry *geometry, struct tce_error *err)
{
	const struct options *options = restore->options;
	struct target *target = NULL;
	int ret;

	ret = add_target(restore, geometry, &target, err);
	if (ret < 0)
		return ret;
	target->chosen = (!options->liobn.given || (geometry->known & TCE_KNOWN_LIOBN &&
						    geometry->liobn == options->liobn.value)) &&
			 (!options->vm.given ||
			  (geometry->has_vm && geometry->vm == options->vm.value));
	if (target->chosen)
		ret = apply_by_hand(target, &options->by_hand, err);
	if (ret < 0)
		return ret;
	if (options->dry_run || target->saved.entries < geometry->entries)
		return check_entries(reader, target, err);
	return tce_skip_table(reader, err);
}

int check_image(struct restore *restore, struct tce_error *err)
{
	struct tce_source source = input_source(restore->input);
	struct tce_geometry geometry;
	struct tce_reader *reader;
	int ret;

	ret = tce_create_reader(&reader, &source, err);
	if (ret < 0)
		goto out_name;
	do {
		ret = tce_next_table(reader, &geometry, err);
		if (ret > 0)
			ret = check_table(restore, reader, &geometry, err) < 0 ? err->code : 1;
	} while (ret > 0);
	if (!ret)
		ret = check_input_end(restore->input, err);
	tce_destroy_reader(reader);
out_name:
	if (ret < 0)
		name_error(err, restore->input->name);
	return ret;
}
