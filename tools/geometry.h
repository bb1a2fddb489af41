/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table's geometry as the command line says it, where a kernel or an image does not tell it.
 */
#ifndef TCE_TOOLS_GEOMETRY_H
#define TCE_TOOLS_GEOMETRY_H

#include <limits.h>
#include <stddef.h>

#include <tce.h>

#include "cli.h"

/**
 * struct stated_geometry - what was said of a table
 * @page_shift: log2 of the I/O page size.
 * @bus_offset: bus address of the first entry.
 * @entries: the number of entries.
 */
struct stated_geometry {
	struct cli_number page_shift;
	struct cli_number bus_offset;
	struct cli_number entries;
};

/* The options that say it, for a tool's table; @values has a member "stated". */
#define GEOMETRY_OPTIONS(values)                                                     \
	{ CLI_NUMBER,                                                                \
	  0,                                                                         \
	  "page-shift",                                                              \
	  "N",                                                                       \
	  .help = "log2 of the I/O page size",                                       \
	  .place = offsetof(values, stated.page_shift),                              \
	  .max = 63 },                                                               \
		{ CLI_NUMBER,                                                        \
		  0,                                                                 \
		  "bus-offset",                                                      \
		  "ADDR",                                                            \
		  .help = "bus address of the first entry",                          \
		  .place = offsetof(values, stated.bus_offset),                      \
		  .max = UINT64_MAX },                                               \
	{                                                                            \
		CLI_NUMBER, 0, "entries", "N", .help = "number of entries",          \
			.place = offsetof(values, stated.entries), .max = UINT64_MAX \
	}

/**
 * take_stated() - put what was said into a geometry
 * @stated: what was said.
 * @geometry: gets it, and says that it knows it; the rest stays.
 */
void take_stated(const struct stated_geometry *stated, struct tce_geometry *geometry);

#endif
