// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The live tables of a VMM, again and again: pictures in place on a terminal, else a line for each
 * table. Tables are found anew each time, as a guest may make and drop them. Nothing but reading
 * is done to them: a dirty log belongs to whoever has switched it on.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "dump/map.h"

/* Lines of a terminal that cannot be asked. */
#define LINES_DEFAULT 24

#define CLOCK_SIZE    16 /* hours, minutes and seconds */

/* To the upper left corner; wipe the rest of a line; wipe the rest of the screen. */
#define HOME	  "\033[H"
#define WIPE_LINE "\033[K\n"
#define WIPE_REST "\033[J"

/**
 * struct watched - a table that is watched
 * @next: in the list.
 * @geometry: its header.
 * @map: its picture.
 * @seen: it was there this time.
 */
struct watched {
	struct watched *next;
	struct tce_geometry geometry;
	struct map map;
	bool seen;
};

/**
 * struct watch - what is watched
 * @tables: all of them.
 * @count: how many there were the last time.
 * @terminal: pictures are shown.
 * @first: it is the first time.
 * @now: the new picture.
 */
struct watch {
	struct watched *tables;
	unsigned int count;
	bool terminal;
	bool first;
	struct map now;
};

static volatile sig_atomic_t stopped;

static void stop(int number)
{
	stopped = 1;
}

static bool same_table(const struct tce_geometry *a, const struct tce_geometry *b)
{
	return a->known == b->known && a->liobn == b->liobn && a->has_vm == b->has_vm &&
	       a->vm == b->vm && a->entries == b->entries && a->bus_offset == b->bus_offset &&
	       a->page_shift == b->page_shift && !strcmp(a->origin, b->origin);
}

/* The table as it was the last time, or a new one. */
static struct watched *find_watched(struct watch *watch, const struct tce_geometry *geometry,
				    bool *is_new)
{
	struct watched *table;

	*is_new = false;
	for (table = watch->tables; table; table = table->next)
		if (same_table(&table->geometry, geometry))
			return table;
	table = calloc(1, sizeof(*table));
	if (!table)
		return NULL;
	*is_new = true;
	table->geometry = *geometry;
	table->next = watch->tables;
	watch->tables = table;
	return table;
}

/* Forget the tables that are not there any more. */
static void drop_unseen(struct watch *watch)
{
	struct watched **link = &watch->tables, *table;

	while ((table = *link)) {
		if (table->seen) {
			table->seen = false;
			link = &table->next;
			continue;
		}
		*link = table->next;
		free(table);
	}
}

/* As many rows for each table as the terminal has room for. */
static uint64_t get_rows(const struct watch *watch)
{
	const unsigned int count = watch->count ? watch->count : 1;
	struct winsize size;
	unsigned int lines;

	if (!watch->terminal)
		return MAP_ROWS_MAX;
	lines = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row ? size.ws_row :
									  LINES_DEFAULT;
	/* A line of each table is its name, and the screen's last one stays empty. */
	lines = (lines - 1) / count;
	lines = lines > 1 ? lines - 1 : 1;
	return lines < MAP_ROWS_MAX ? lines : MAP_ROWS_MAX;
}

static uint64_t count_changes(const struct map *a, const struct map *b)
{
	uint64_t cell, changes = 0;

	for (cell = 0; cell < a->cells; cell++)
		changes += a->sums[cell] != b->sums[cell];
	return changes;
}

static void print_line(const struct tce_geometry *geometry, const struct map *map,
		       const struct totals *totals, const struct map *before, const char *what)
{
	const time_t now = time(NULL);
	char name[TABLE_NAME_SIZE], clock[CLOCK_SIZE] = "";
	struct tm tm;

	if (localtime_r(&now, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	printf("%s %s: %" PRIu64 " of %" PRIu64 " entries used", clock,
	       format_table(geometry, name), totals->used, geometry->entries);
	if (before)
		printf(", %" PRIu64 " of %" PRIu64 " cells changed\n", count_changes(map, before),
		       map->cells);
	else
		printf("%s\n", what);
}

static int show_table(struct watch *watch, struct source *source,
		      const struct tce_geometry *geometry, uint64_t rows, struct tce_error *err)
{
	const struct map *before;
	struct watched *table;
	struct totals totals;
	bool is_new;
	int ret;

	table = find_watched(watch, geometry, &is_new);
	if (!table)
		return no_memory(err, "a picture");
	ret = fill_map(&watch->now, source, geometry, map_columns(), rows, &totals, err);
	if (ret < 0)
		return ret;
	/* In another size, the pictures can't be compared. */
	before = !is_new && table->map.cells == watch->now.cells ? &table->map : NULL;
	if (watch->terminal)
		print_map(geometry, &watch->now, &totals, before, WIPE_LINE);
	else
		print_line(geometry, &watch->now, &totals, before,
			   is_new && !watch->first ? ", new" : "");
	table->map = watch->now;
	table->seen = true;
	return TCE_OK;
}

/* Show all tables once. Return: how many, or a negative status. */
static int show_tables(struct watch *watch, const struct live_choice *live,
		       const struct choice *choice, struct tce_error *err)
{
	const uint64_t rows = get_rows(watch);
	struct tce_geometry geometry;
	struct source *source;
	int tables = 0, ret;

	ret = open_live_source(&source, live, err);
	if (ret < 0)
		return ret;
	if (watch->terminal)
		fputs(HOME, stdout);
	while (!stopped && (ret = next_chosen_table(source, choice, &geometry, err)) > 0) {
		ret = show_table(watch, source, &geometry, rows, err);
		if (ret < 0)
			break;
		tables++;
	}
	close_source(source);
	if (ret < 0)
		return ret;
	if (watch->terminal)
		fputs(WIPE_REST, stdout);
	if (!stopped)
		drop_unseen(watch);
	watch->count = (unsigned int)tables;
	watch->first = false;
	return tables;
}

/* A signal ends it, also one that comes between the look at @stopped and the waiting. */
static void wait_for_next(uint64_t seconds)
{
	const struct timespec interval = { .tv_sec = (time_t)seconds };
	sigset_t ending, before;

	sigemptyset(&ending);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGTERM);
	sigprocmask(SIG_BLOCK, &ending, &before);
	if (!stopped)
		ppoll(NULL, 0, &interval, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

int watch_tables(const struct live_choice *live, const struct choice *choice, uint64_t seconds,
		 struct tce_error *err)
{
	struct sigaction action = { .sa_handler = stop };
	struct watch *watch = calloc(1, sizeof(*watch));
	bool shown = false;
	int ret = 0;

	if (!watch)
		return no_memory(err, "a picture");
	watch->terminal = isatty(STDOUT_FILENO);
	watch->first = true;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	while (!stopped) {
		ret = show_tables(watch, live, choice, err);
		if (ret < 0)
			break;
		if (fflush(stdout)) {
			/* The signal that ends it may also have come while it was written. */
			if (stopped)
				clearerr(stdout);
			break;
		}
		shown = true;
		wait_for_next(seconds);
	}
	/* A VMM that has ended is the end of the watching, and no failure. */
	if (shown && (ret == TCE_ERR_NO_PROCESS || ret == TCE_ERR_NO_KVM)) {
		print_note("PID %d has ended", (int)live->pid);
		ret = 0;
	}
	drop_unseen(watch);
	drop_unseen(watch);
	free(watch);
	return ret < 0 ? ret : 0;
}
