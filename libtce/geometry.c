// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The window that a table translates: whether it can exist, and whether the contents of one
 * table may go into another.
 */
#include <inttypes.h>

#include "tce-private.h"

int tce_check_geometry(const struct tce_geometry *geometry, struct tce_error *err)
{
	unsigned int shift = TCE_PAGE_SHIFT_MIN;
	uint64_t pages_max;

	if (geometry->known & TCE_KNOWN_PAGE_SHIFT) {
		shift = geometry->page_shift;
		if (shift < TCE_PAGE_SHIFT_MIN || shift > TCE_PAGE_SHIFT_MAX)
			return tce_set_error(err, TCE_ERR_GEOMETRY, 0,
					     "page shift %u is not within %u and %u", shift,
					     TCE_PAGE_SHIFT_MIN, TCE_PAGE_SHIFT_MAX);
	}
	if (!geometry->entries)
		return tce_set_error(err, TCE_ERR_GEOMETRY, 0, "a table without entries");

	/* As in KVM, the window's end must be a 64-bit bus address too. */
	pages_max = UINT64_MAX >> shift;
	if (geometry->entries > pages_max)
		return tce_set_error(err, TCE_ERR_GEOMETRY, 0,
				     "%" PRIu64 " entries of page shift %u are more than a bus has",
				     geometry->entries, shift);
	if (geometry->known & TCE_KNOWN_BUS_OFFSET) {
		if (geometry->bus_offset & ((1ULL << shift) - 1))
			return tce_set_error(err, TCE_ERR_GEOMETRY, 0,
					     "bus offset 0x%" PRIx64
					     " is not a multiple of the page size",
					     geometry->bus_offset);
		if (geometry->bus_offset >> shift > pages_max - geometry->entries)
			return tce_set_error(err, TCE_ERR_GEOMETRY, 0,
					     "a window of %" PRIu64 " entries at 0x%" PRIx64
					     " is past the bus's end",
					     geometry->entries, geometry->bus_offset);
	}
	return TCE_OK;
}

int tce_match_geometry(const struct tce_geometry *from, const struct tce_geometry *to,
		       struct tce_error *err)
{
	const unsigned int needed = TCE_KNOWN_PAGE_SHIFT | TCE_KNOWN_BUS_OFFSET | TCE_KNOWN_ENTRIES;
	unsigned int i;
	const struct {
		const char *which;
		const struct tce_geometry *geometry;
	} sides[] = { { "saved table", from }, { "table to fill", to } };

	for (i = 0; i < 2; i++) {
		unsigned int missing = needed & ~sides[i].geometry->known;

		if (missing)
			return tce_set_error(err, TCE_ERR_UNKNOWN, 0,
					     "the %s of the %s is not known",
					     missing & TCE_KNOWN_PAGE_SHIFT ? "page shift" :
					     missing & TCE_KNOWN_BUS_OFFSET ? "bus offset" :
									      "number of entries",
					     sides[i].which);
	}
	if (from->page_shift != to->page_shift)
		return tce_set_error(err, TCE_ERR_GEOMETRY, 0,
				     "page shift is %u in the saved table, %u in the table to fill",
				     from->page_shift, to->page_shift);
	if (from->bus_offset != to->bus_offset)
		return tce_set_error(err, TCE_ERR_GEOMETRY, 0,
				     "bus offset is 0x%" PRIx64 " in the saved table, 0x%" PRIx64
				     " in the table to fill",
				     from->bus_offset, to->bus_offset);
	if (from->entries != to->entries)
		return tce_set_error(err, TCE_ERR_GEOMETRY, 0,
				     "the saved table has %" PRIu64
				     " entries, the table to fill %" PRIu64,
				     from->entries, to->entries);
	return TCE_OK;
}
