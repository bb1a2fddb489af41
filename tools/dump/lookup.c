// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where does a bus address lead, and by which bus addresses is a guest page reached?
 */
#include <inttypes.h>

#include "dump/dump.h"

/* Runs of hits that are printed for a table without --all. */
#define LINES_MAX 32

typedef unsigned __int128 u128;

/**
 * struct lookup - a search in one table
 * @choice: what is looked for.
 * @geometry: header of the table.
 * @runs: stretches of entries found in it.
 * @all: stretches printed so far, in all tables.
 * @lines_max: stretches of a table that are printed. It is looked for one more: an image may claim
 *	any number.
 * @cut: not all were printed.
 */
struct lookup {
	const struct choice *choice;
	const struct tce_geometry *geometry;
	uint64_t runs;
	uint64_t all;
	uint64_t lines_max;
	bool cut;
};

static uint64_t page_mask(const struct tce_geometry *geometry)
{
	return (1ULL << geometry->page_shift) - 1;
}

/* Permission names of entries that all have the same. */
static const char *access_name(uint64_t tce)
{
	const struct run run = { .count = 1, .tce = tce };

	return run_access(&run);
}

static int need_ioba(const struct tce_geometry *geometry, struct tce_error *err)
{
	char name[TABLE_NAME_SIZE];

	if (knows_ioba(geometry))
		return TCE_OK;
	return tce_set_error(err, TCE_ERR_UNKNOWN, 0,
			     "%s: page size or bus offset is not known; see --page-shift",
			     format_table(geometry, name));
}

/* Get one entry, without reading what comes after it. */
static int get_entry(struct source *source, uint64_t index, uint64_t *tce, struct tce_error *err)
{
	struct tce_extent extent;
	int ret;

	*tce = 0;
	if (source->ops->read_entry)
		return source->ops->read_entry(source, index, tce, err);
	do {
		ret = source->ops->next_extent(source, &extent, err);
		if (ret <= 0)
			return ret;
	} while (extent.first + extent.count <= index);
	if (extent.first <= index)
		tce_expand_extent(&extent, index - extent.first, tce, 1);
	return TCE_OK;
}

static void print_at(struct lookup *lookup, uint64_t index, uint64_t tce)
{
	const struct tce_geometry *geometry = lookup->geometry;
	const uint64_t address = lookup->choice->address, mask = page_mask(geometry);
	const bool mapped = tce & TCE_PERMISSIONS;
	char name[TABLE_NAME_SIZE];

	if (lookup->choice->json) {
		printf("%s\n\t\t{", lookup->all ? "," : "");
		print_json_name(geometry);
		printf(", \"index\": %" PRIu64 ", \"tce\": \"0x%016" PRIx64
		       "\", \"access\": \"%s\"",
		       index, tce, tce ? access_name(tce) : "none");
		if (mapped)
			printf(", \"gpa\": \"0x%" PRIx64 "\"", (tce & ~mask) | (address & mask));
		printf("}");
	} else if (mapped) {
		print_result("%s: entry %" PRIu64 ": 0x%016" PRIx64 ": guest address 0x%" PRIx64
			     ", %s",
			     format_table(geometry, name), index, tce,
			     (tce & ~mask) | (address & mask), access_name(tce));
	} else {
		print_result("%s: entry %" PRIu64 ": 0x%016" PRIx64 ": %s",
			     format_table(geometry, name), index, tce,
			     tce ? "poison: no access" : "nothing is mapped");
	}
	lookup->all++;
}

/* Look the address up in the table that the source stands at. Return: 1 if it leads somewhere. */
static int look_at(struct source *source, struct lookup *lookup, struct tce_error *err)
{
	const struct tce_geometry *geometry = lookup->geometry;
	const uint64_t offset = lookup->choice->address - geometry->bus_offset;
	uint64_t tce;
	int ret = need_ioba(geometry, err);

	if (ret < 0 || lookup->choice->address < geometry->bus_offset ||
	    offset >> geometry->page_shift >= geometry->entries)
		return ret;
	ret = get_entry(source, offset >> geometry->page_shift, &tce, err);
	if (ret < 0)
		return ret;
	print_at(lookup, offset >> geometry->page_shift, tce);
	return (tce & TCE_PERMISSIONS) != 0;
}

static void print_found(struct lookup *lookup, uint64_t first, uint64_t count, uint64_t tce,
			uint64_t stride)
{
	const struct tce_geometry *geometry = lookup->geometry;
	const uint64_t from = tce_ioba(geometry, first);
	const uint64_t to = tce_ioba(geometry, first + count) - 1;
	char name[TABLE_NAME_SIZE];

	if (lookup->runs++ == lookup->lines_max)
		return;
	if (lookup->choice->json) {
		printf("%s\n\t\t{", lookup->all ? "," : "");
		print_json_name(geometry);
		printf(", \"first\": %" PRIu64 ", \"count\": %" PRIu64 ", \"ioba\": \"0x%" PRIx64
		       "\", \"tce\": \"0x%016" PRIx64 "\", \"stride\": \"0x%" PRIx64
		       "\", \"access\": \"%s\"}",
		       first, count, from, tce, stride, access_name(tce));
	} else {
		print_result("%s: IOBA 0x%" PRIx64 "-0x%" PRIx64 ": guest address 0x%" PRIx64
			     ", %s",
			     format_table(geometry, name), from, to, tce & ~page_mask(geometry),
			     access_name(tce));
	}
	lookup->all++;
}

/*
 * The smallest n for which step * n modulo @modulus is at least @low and at most @high, or
 * UINT64_MAX. In time that goes with the number of digits, as Euclid's algorithm does: what is left
 * after each time round the modulus is a smaller step in a smaller modulus.
 */
static uint64_t first_in_range(u128 step, u128 modulus, u128 low, u128 high)
{
	u128 n, rounds;

	if (!low)
		return 0;
	if (!step)
		return UINT64_MAX;
	if (2 * step > modulus)
		return first_in_range(modulus - step, modulus, modulus - high, modulus - low);
	n = (low + step - 1) / step;
	if (n * step <= high)
		return (uint64_t)n;
	rounds = first_in_range((step - modulus % step) % step, step, low % step, high % step);
	if (rounds == UINT64_MAX)
		return UINT64_MAX;
	return (uint64_t)((low + modulus * rounds + step - 1) / step);
}

/* The first of @count entries that is from @low to @high. Return: its number, or @count. */
static uint64_t find_first(uint64_t tce, uint64_t stride, uint64_t count, uint64_t low,
			   uint64_t high)
{
	const u128 modulus = (u128)1 << 64;
	uint64_t n;

	if (tce - low <= high - low)
		return 0;
	/* The range does not go round, since the first entry is not in it. */
	n = first_in_range(stride, modulus, low - tce, high - tce);
	return n < count ? n : count;
}

/* How many entries, from one that is in the range on, are in it without a gap. */
static uint64_t count_inside(uint64_t tce, uint64_t stride, uint64_t count, uint64_t low,
			     uint64_t high)
{
	const bool down = stride >> 63;
	const uint64_t step = down ? -stride : stride;
	uint64_t n;

	if (!step)
		return count;
	n = (down ? tce - low : high - tce) / step + 1;
	return n && n < count ? n : count;
}

/* Find the entries of a run, all of the same permissions, that reach the range of guest pages. */
static void find_in_run(struct lookup *lookup, uint64_t first, uint64_t every,
			const struct run *run)
{
	const uint64_t mask = page_mask(lookup->geometry);
	const uint64_t low = lookup->choice->first_gpa & ~mask;
	const uint64_t high = lookup->choice->last_gpa | mask;
	uint64_t i = 0, n;

	while (i < run->count && lookup->runs <= lookup->lines_max) {
		uint64_t tce = run->tce + i * run->stride;

		n = find_first(tce, run->stride, run->count - i, low, high);
		i += n;
		if (i == run->count)
			break;
		tce += n * run->stride;
		n = every > 1 ? 1 : count_inside(tce, run->stride, run->count - i, low, high);
		print_found(lookup, first + i * every, n, tce, run->stride);
		i += n;
	}
}

static void find_in_mixed_run(void *ctx, const struct run *run)
{
	struct lookup *lookup = ctx;
	uint64_t i;

	if (!(run->stride & TCE_PERMISSIONS)) {
		if (run->tce & TCE_PERMISSIONS)
			find_in_run(lookup, run->first, 1, run);
		return;
	}
	/* The permissions come round again every four entries. */
	for (i = 0; i < 4 && i < run->count; i++) {
		const struct run part = {
			.count = (run->count - i + 3) / 4,
			.tce = run->tce + i * run->stride,
			.stride = 4 * run->stride,
		};

		if (part.tce & TCE_PERMISSIONS)
			find_in_run(lookup, run->first + i, 4, &part);
	}
}

/*
 * Look for the guest pages in the table that the source stands at. Return: 1 if they are reached.
 */
static int look_for(struct source *source, struct lookup *lookup, struct tce_error *err)
{
	char name[TABLE_NAME_SIZE];
	int ret = need_ioba(lookup->geometry, err);

	if (!ret)
		ret = walk_runs(source, lookup->geometry, find_in_mixed_run, lookup, NULL, err);
	if (ret < 0)
		return ret;
	if (lookup->runs > lookup->lines_max) {
		lookup->cut = true;
		if (!lookup->choice->json)
			print_result("%s: ... and more (--all shows them)",
				     format_table(lookup->geometry, name));
	}
	return lookup->runs != 0;
}

static int view_lookup(struct source *source, const struct choice *choice,
		       int (*look)(struct source *source, struct lookup *lookup,
				   struct tce_error *err),
		       bool *no, struct tce_error *err)
{
	struct tce_geometry geometry;
	struct lookup lookup = {
		.choice = choice,
		.geometry = &geometry,
		.lines_max = choice->all ? UINT64_MAX - 1 : LINES_MAX,
	};
	int tables = 0, ret;

	*no = true;
	if (choice->json)
		printf("{\n\t\"found\": [");
	while ((ret = next_chosen_table(source, choice, &geometry, err)) > 0) {
		lookup.runs = 0;
		ret = look(source, &lookup, err);
		if (ret < 0)
			return ret;
		tables++;
		if (ret)
			*no = false;
	}
	if (ret < 0)
		return ret;
	if (choice->json)
		printf("%s],\n\t\"reached\": %s,\n\t\"complete\": %s\n}\n",
		       lookup.all ? "\n\t" : "", *no ? "false" : "true",
		       lookup.cut ? "false" : "true");
	else if (!lookup.all)
		print_result("%s: nothing", source->name);
	return tables;
}

int view_at(struct source *source, const struct choice *choice, bool *no, struct tce_error *err)
{
	return view_lookup(source, choice, look_at, no, err);
}

int view_find(struct source *source, const struct choice *choice, bool *no, struct tce_error *err)
{
	return view_lookup(source, choice, look_for, no, err);
}
