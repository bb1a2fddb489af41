/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For the test programs: a check prints one line, as the lab's scenarios do. */
#ifndef TCE_VMM_CHECK_H
#define TCE_VMM_CHECK_H

#include <stdbool.h>

extern int check_failures;

/* ok NAME, or not ok NAME: and what the format says */
void check(bool good, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A call that must fail: -1, and this errno. */
void fails(long ret, int want, const char *name);
/* A call that must return `want`. */
void gives(long ret, long want, const char *name);

#endif
