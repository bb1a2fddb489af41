// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Progress of long work.
 */
#include <unistd.h>

#include "meter.h"

static double seconds_since(const struct timespec *then, const struct timespec *now)
{
	return (double)(now->tv_sec - then->tv_sec) + (double)(now->tv_nsec - then->tv_nsec) / 1e9;
}

static void step_meter(void *ctx, uint64_t done, uint64_t total)
{
	struct meter *meter = ctx;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (seconds_since(&meter->began, &now) < 1 ||
	    (meter->shown.tv_sec && seconds_since(&meter->shown, &now) < 0.2))
		return;
	meter->shown = now;
	fprintf(stderr, "\r%s: %s: %3.0f %%", program, meter->what,
		100.0 * (double)done / (double)total);
}

struct tce_progress begin_meter(struct meter *meter, const struct tce_geometry *geometry)
{
	format_table(geometry, meter->what);
	clock_gettime(CLOCK_MONOTONIC, &meter->began);
	meter->shown = (struct timespec){ 0 };
	return (struct tce_progress){
		.step = !quiet && isatty(STDERR_FILENO) ? step_meter : NULL,
		.ctx = meter,
	};
}

void end_meter(struct meter *meter)
{
	if (meter->shown.tv_sec)
		fprintf(stderr, "\r\033[K");
}
