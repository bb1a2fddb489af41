// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The live tables of a VMM, again and again: on a terminal pictures that are redrawn in place,
 * elsewhere a line for each table. Tables are looked for each time, because a guest may make and
 * drop them. They are only read: a dirty log belongs to the one who has started it.
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

/* The last line stays empty; the one before says how many tables have no room. */
#define LINES_SPARE 2

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
 * @count: how many there are.
 * @room: lines of the screen that are left.
 * @terminal: pictures are shown.
 * @first: it is the first time.
 * @none: there was no table the last time.
 * @now: the new picture.
 */
struct watch {
	struct watched *tables;
	unsigned int count;
	unsigned int room;
	bool terminal;
	bool first;
	bool none;
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

/* Lines that stand above each table's rows. */
static unsigned int header_lines(void)
{
	struct winsize size;

	return !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col &&
			       size.ws_col < MAP_HEADER_WIDTH ?
		       MAP_HEADER + 1 :
		       MAP_HEADER;
}

/* As many rows for each table as the terminal has room for. */
static uint64_t get_rows(struct watch *watch)
{
	struct winsize size;
	unsigned int lines;

	if (!watch->terminal)
		return MAP_ROWS_MAX;
	lines = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row ? size.ws_row :
									  LINES_DEFAULT;
	watch->room = lines > LINES_SPARE ? lines - LINES_SPARE : 0;
	lines = watch->room / (watch->count ? watch->count : 1);
	lines = lines > header_lines() + 1 ? lines - header_lines() : 1;
	return lines < MAP_ROWS_MAX ? lines : MAP_ROWS_MAX;
}

/* Is there room for one more table? The first one is always shown. */
static bool take_room(struct watch *watch, uint64_t rows, int shown)
{
	const unsigned int lines = (unsigned int)rows + header_lines();

	if (!watch->terminal)
		return true;
	if (lines > watch->room && shown)
		return false;
	watch->room -= lines < watch->room ? lines : watch->room;
	return true;
}

static uint64_t count_changes(const struct map *a, const struct map *b)
{
	uint64_t cell, changes = 0;

	for (cell = 0; cell < a->cells; cell++)
		changes += a->sums[cell] != b->sums[cell];
	return changes;
}

static void print_clock(void)
{
	const time_t now = time(NULL);
	char clock[CLOCK_SIZE] = "";
	struct tm tm;

	if (localtime_r(&now, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	printf("%s ", clock);
}

static void print_line(const struct tce_geometry *geometry, const struct map *map,
		       const struct totals *totals, const struct map *before, const char *what)
{
	char name[TABLE_NAME_SIZE];

	print_clock();
	printf("%s: %" PRIu64 " of %" PRIu64 " entries used", format_table(geometry, name),
	       totals->used, geometry->entries);
	if (before)
		printf(", %" PRIu64 " of %" PRIu64 " cells changed\n", count_changes(map, before),
		       map->cells);
	else
		printf("%s\n", what);
}

/* A guest makes and drops tables: there may be none for a while, as when it boots again. */
static void show_none(struct watch *watch)
{
	drop_unseen(watch);
	if (watch->terminal) {
		fputs(HOME "no table" WIPE_LINE WIPE_REST, stdout);
	} else if (!watch->none) {
		print_clock();
		puts("no table");
	}
	watch->none = true;
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

/* How many tables are there now? Return: 0, or a negative status. */
static int count_tables(struct watch *watch, struct source *source, const struct choice *choice,
			struct tce_error *err)
{
	struct tce_geometry geometry;
	int ret;

	watch->count = 0;
	while ((ret = next_chosen_table(source, choice, &geometry, err)) > 0)
		watch->count++;
	if (ret < 0)
		return ret;
	if (!watch->count && choice->vm_given)
		return tce_set_error(err, TCE_ERR_NO_TABLE, 0, "no table of VM %" PRIu64,
				     choice->vm);
	return source->ops->rewind(source, err);
}

/* Show all tables, or as many as there is room for. Return: 0, or a negative status. */
static int show_each(struct watch *watch, struct source *source, const struct choice *choice,
		     struct tce_error *err)
{
	const uint64_t rows = get_rows(watch);
	struct tce_geometry geometry;
	int shown = 0, ret = 0;

	while (!stopped && (ret = next_chosen_table(source, choice, &geometry, err)) > 0) {
		if (!take_room(watch, rows, shown)) {
			printf("... and %u more, for which there is no room%s",
			       watch->count - (unsigned int)shown, WIPE_LINE);
			return TCE_OK;
		}
		ret = show_table(watch, source, &geometry, rows, err);
		if (ret < 0)
			return ret;
		shown++;
		watch->none = false;
	}
	return ret < 0 ? ret : TCE_OK;
}

/* Look at all tables once. Return: 0, or a negative status. */
static int show_tables(struct watch *watch, const struct live_choice *live,
		       const struct choice *choice, struct tce_error *err)
{
	struct source *source;
	int ret;

	ret = open_live_source(&source, live, err);
	if (ret < 0)
		return ret;
	if (watch->terminal)
		fputs(HOME, stdout);
	ret = count_tables(watch, source, choice, err);
	if (!ret)
		ret = show_each(watch, source, choice, err);
	close_source(source);
	if (ret < 0)
		return ret;
	if (watch->terminal)
		fputs(WIPE_REST, stdout);
	if (!stopped)
		drop_unseen(watch);
	watch->first = false;
	return TCE_OK;
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
		if (ret == TCE_ERR_NO_TABLE && shown) {
			*err = (struct tce_error)TCE_ERROR_INIT;
			show_none(watch);
			ret = 0;
		}
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
