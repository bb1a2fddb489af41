// SPDX-License-Identifier: GPL-2.0-or-later
/* Checks of the test programs, one line each. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

int check_failures;

void check(bool good, const char *name, const char *fmt, ...)
{
	va_list ap;

	if (good) {
		printf("ok %s\n", name);
		return;
	}
	check_failures++;
	printf("not ok %s: ", name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void fails(long ret, int want, const char *name)
{
	int err = errno;

	check(ret == -1 && err == want, name, "returned %ld, errno %s, not %s", ret, strerror(err),
	      strerror(want));
}

void gives(long ret, long want, const char *name)
{
	int err = errno;

	check(ret == want, name, "returned %ld (%s), not %ld", ret,
	      ret < 0 ? strerror(err) : "no error", want);
}
