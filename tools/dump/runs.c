// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The runs of a table, put together across the pieces that a source hands out.
 */
#include <string.h>

#include "dump/dump.h"
#include "meter.h"

/**
 * struct walk - a walk over a table
 * @run: the run so far; no run when its count is 0.
 * @last_stride: stride of the run before.
 * @take: called for each run; may be NULL.
 * @ctx: handed to @take.
 * @totals: sums so far.
 */
struct walk {
	struct run run;
	uint64_t last_stride;
	void (*take)(void *ctx, const struct run *run);
	void *ctx;
	struct totals totals;
};

const char *run_access(const struct run *run)
{
	static const char *const names[] = { "poison", "read-only", "write-only", "read-write" };

	if (run->stride & TCE_PERMISSIONS)
		return "mixed";
	return names[run->tce & TCE_PERMISSIONS];
}

static void count_run(struct totals *totals, const struct run *run)
{
	uint64_t i;

	totals->runs++;
	totals->used += run->count;
	if (run->stride & TCE_PERMISSIONS) {
		/* The two bits come round again every four entries. */
		for (i = 0; i < 4; i++)
			totals->access[(run->tce + i * run->stride) & TCE_PERMISSIONS] +=
				run->count / 4 + (i < run->count % 4);
	} else {
		totals->access[run->tce & TCE_PERMISSIONS] += run->count;
	}
}

static void emit(struct walk *walk, const struct run *run)
{
	walk->last_stride = run->stride;
	count_run(&walk->totals, run);
	if (walk->take)
		walk->take(walk->ctx, run);
}

static void end_run(struct walk *walk)
{
	struct run run = walk->run;

	walk->run.count = 0;
	if (!run.count)
		return;
	if (run.count == 2 && run.stride != walk->last_stride) {
		/* Two entries that merely stand beside each other. */
		struct run second = { run.first + 1, 1, run.tce + run.stride, 0 };

		run.count = 1;
		run.stride = 0;
		emit(walk, &run);
		emit(walk, &second);
		return;
	}
	emit(walk, &run);
}

/* Go on with @count entries that are an arithmetic run in themselves. */
static void add_run(struct walk *walk, uint64_t first, uint64_t count, uint64_t tce,
		    uint64_t stride)
{
	struct run *run = &walk->run;

	while (count) {
		uint64_t n = 1;

		if (run->count && run->first + run->count != first)
			end_run(walk);
		if (!run->count) {
			*run = (struct run){ first, 1, tce, 0 };
		} else if (run->count == 1) {
			run->stride = tce - run->tce;
			run->count = 2;
		} else if (run->tce + run->count * run->stride == tce) {
			if (stride == run->stride)
				n = count;
			run->count += n;
		} else if (run->count == 2 && run->stride != walk->last_stride) {
			/* The second of the pair may begin a run with this one. */
			struct run single = { run->first, 1, run->tce, 0 };

			emit(walk, &single);
			run->first++;
			run->tce += run->stride;
			run->count = 1;
			continue;
		} else {
			end_run(walk);
			continue;
		}
		first += n;
		count -= n;
		tce += n * stride;
	}
}

static void add_words(struct walk *walk, uint64_t first, const uint64_t *words, uint64_t count)
{
	uint64_t i = 0, stride;

	while (i < count) {
		size_t n = tce_measure_run(words + i, count - i, &stride);

		if (words[i])
			add_run(walk, first + i, n, words[i], stride);
		i += n;
	}
}

int walk_runs(struct source *source, const struct tce_geometry *geometry,
	      void (*take)(void *ctx, const struct run *run), void *ctx, struct totals *totals,
	      struct tce_error *err)
{
	struct walk walk = { .take = take, .ctx = ctx };
	struct tce_extent extent;
	struct tce_progress progress;
	struct meter meter;
	int ret;

	progress = begin_meter(&meter, geometry);
	while ((ret = source->ops->next_extent(source, &extent, err)) > 0) {
		if (extent.words)
			add_words(&walk, extent.first, extent.words, extent.count);
		else
			add_run(&walk, extent.first, extent.count, extent.tce, extent.stride);
		if (progress.step)
			progress.step(progress.ctx, extent.first + extent.count, geometry->entries);
	}
	end_run(&walk);
	end_meter(&meter);
	if (totals)
		*totals = walk.totals;
	return ret;
}

static bool is_chosen(const struct choice *choice, const struct tce_geometry *geometry)
{
	if (choice->liobn_given &&
	    !(geometry->known & TCE_KNOWN_LIOBN && geometry->liobn == choice->liobn))
		return false;
	if (!choice->vm_given)
		return true;
	return geometry->has_vm ? geometry->vm == choice->vm : choice->vm_unknown;
}

int next_chosen_table(struct source *source, const struct choice *choice,
		      struct tce_geometry *geometry, struct tce_error *err)
{
	int ret;

	do {
		ret = source->ops->next_table(source, geometry, err);
	} while (ret > 0 && !is_chosen(choice, geometry));
	return ret;
}
