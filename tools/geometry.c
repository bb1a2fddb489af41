/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table's geometry as the command line says it.
 */
#include "geometry.h"

void take_stated(const struct stated_geometry *stated, struct tce_geometry *geometry)
{
	if (stated->page_shift.given) {
		geometry->known |= TCE_KNOWN_PAGE_SHIFT;
		geometry->page_shift = (uint32_t)stated->page_shift.value;
	}
	if (stated->bus_offset.given) {
		geometry->known |= TCE_KNOWN_BUS_OFFSET;
		geometry->bus_offset = stated->bus_offset.value;
	}
	if (stated->entries.given) {
		geometry->known |= TCE_KNOWN_ENTRIES;
		geometry->entries = stated->entries.value;
	}
}
