/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Long work on a table with a hardware table behind it (hw-work.c), for the program that kills
 * whoever does it (hw-kill.c).
 */
#ifndef TCE_VMM_HW_WORK_H
#define TCE_VMM_HW_WORK_H

#include "hw-test.h"

#define WORK_SHIFT    12UL
#define WORK_PAGE     (1UL << WORK_SHIFT)
#define WORK_ENTRIES  (1UL << 20)
#define WORK_MEM_SIZE (32UL << 20)

/* All of them go from the first entry to the last. */
struct work {
	const char *name;
	void (*prepare)(struct table *t);
	void (*run)(struct table *t);
	/* Are so many of the entries done, more than none? Without it, the clock tells. */
	bool (*has_done)(const struct table *t, u64 entries);
	/* Has it begun? The work may be the end of what is run. */
	bool (*begun)(const struct table *t);
	bool slots;  /* KVM does it: memory slots can change meanwhile */
	bool unmaps; /* what it has not unmapped yet, VFIO does when the process ends */
	bool whole;  /* it has to be done anyway */
};

/* The last of them has no name. */
extern const struct work works[];
/* This one leaves all entries mapped. */
extern const struct work *const work_write;

/* All of its pages, so that none is to be made while somebody works on it. */
u64 *map_table(const struct table *t);

#endif
