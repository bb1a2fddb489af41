// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-restore: put the tables of a TCE image into the live tables of a VMM, all of them or none.
 *
 * The image is read twice: the first time to see that it is not torn and that every table of it has a
 * table to go to, with the same geometry. That is a matter of its records; words are verified when they
 * are read, once, to be written. Before the first of them is, what the live tables hold is saved to a
 * scratch image; when some are damaged, or the kernel refuses an entry, that is put back. A second
 * process, the guard, does so when the first one is killed.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

/* Tables of an image that are restored at a time. */
#define TABLES_MAX	4096

#define MAPPINGS_MAX	256

struct mapping {
	uint64_t from;
	uint64_t to;
};

struct options {
	pid_t pid;
	int fd;
	bool dry_run;
	bool liobn_given;
	uint64_t liobn;
	struct tce_geometry by_hand;
	struct mapping mappings[MAPPINGS_MAX];
	size_t mapping_count;
	const char *image;
};

/**
 * struct target - a table of the image and where it goes
 * @saved: header in the image, with what was said by hand.
 * @chosen: it is to be restored.
 * @table: the live table; owned by the VMM or the restore.
 * @touched: writing has begun.
 * @loaded: what the table has of the image; in a dry run, what it would have.
 */
struct target {
	struct tce_geometry saved;
	bool chosen;
	struct tce_table *table;
	bool touched;
	struct tce_loaded loaded;
};

/**
 * struct restore - everything at work
 * @options: the command line.
 * @input: the image.
 * @vmm: the process, or NULL.
 * @own: the table behind an inherited fd, or NULL.
 * @targets: tables of the image, in its order.
 * @count: how many.
 * @scratch: what the live tables held, as an image.
 * @guard: the process that watches over the writing.
 * @to_guard: socket to it.
 */
struct restore {
	const struct options *options;
	struct input *input;
	struct tce_vmm *vmm;
	struct tce_table *own;
	struct target *targets;
	size_t count;
	int scratch;
	pid_t guard;
	int to_guard;
};

/* What the guard is told beside the number of each target of which the writing begins. */
#define GUARD_DISMISSED	UINT32_MAX

enum {
	OPT_PID = 256,
	OPT_FD,
	OPT_LIOBN,
	OPT_MAP_LIOBN,
	OPT_PAGE_SHIFT,
	OPT_BUS_OFFSET,
	OPT_ENTRIES,
	OPT_DRY_RUN,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "pid", required_argument, NULL, OPT_PID },
	{ "fd", required_argument, NULL, OPT_FD },
	{ "liobn", required_argument, NULL, OPT_LIOBN },
	{ "map-liobn", required_argument, NULL, OPT_MAP_LIOBN },
	{ "page-shift", required_argument, NULL, OPT_PAGE_SHIFT },
	{ "bus-offset", required_argument, NULL, OPT_BUS_OFFSET },
	{ "entries", required_argument, NULL, OPT_ENTRIES },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void print_help(void)
{
	printf("Usage: tce-restore [OPTIONS] --pid PID IMAGE\n"
	       "       tce-restore [OPTIONS] --fd N IMAGE\n"
	       "Make the live TCE tables of a VMM what IMAGE says (- for standard input): all of\n"
	       "them, or none.\n"
	       "\n"
	       "Where to:\n"
	       "      --pid PID         the tables of a running VMM\n"
	       "      --fd N            the table that is fd N of the VMM, or of tce-restore itself\n"
	       "      --map-liobn A=B   table A of the image goes to table B; may be repeated\n"
	       "\n"
	       "What:\n"
	       "      --liobn LIOBN     only this table of the image\n"
	       "      --dry-run         check everything, write nothing\n"
	       "\n"
	       "What the image does not know, said by hand:\n"
	       "      --page-shift N    log2 of the I/O page size\n"
	       "      --bus-offset ADDR bus address of the first entry\n"
	       "      --entries N       number of entries\n"
	       "\n"
	       "      --help            this text\n"
	       "      --version         the version\n");
}

static int set_number(const char *option, const char *text, uint64_t max, uint64_t *value)
{
	if (!parse_number(text, max, value))
		return misuse("%s: '%s' is not a number from 0 to %" PRIu64, option, text, max);
	return 0;
}

static int add_mapping(struct options *options, const char *text)
{
	struct mapping *mapping = &options->mappings[options->mapping_count];
	const char *equals = strchr(text, '=');
	char from[32];
	size_t i;

	if (options->mapping_count == MAPPINGS_MAX)
		return misuse("--map-liobn: more than %u times", MAPPINGS_MAX);
	if (!equals || (size_t)(equals - text) >= sizeof(from))
		return misuse("--map-liobn: '%s' is not LIOBN=LIOBN", text);
	memcpy(from, text, (size_t)(equals - text));
	from[equals - text] = '\0';
	if (!parse_number(from, UINT64_MAX, &mapping->from) ||
	    !parse_number(equals + 1, UINT64_MAX, &mapping->to))
		return misuse("--map-liobn: '%s' is not LIOBN=LIOBN", text);
	for (i = 0; i < options->mapping_count; i++) {
		if (options->mappings[i].from == mapping->from)
			return misuse("--map-liobn: 0x%" PRIx64 " is mapped twice", mapping->from);
	}
	options->mapping_count++;
	return 0;
}

/* Return: 0, or an exit code. */
static int take_option(struct options *options, int option, const char *text)
{
	struct tce_geometry *by_hand = &options->by_hand;
	uint64_t value;
	int ret = 0;

	switch (option) {
	case OPT_PID:
		ret = set_number("--pid", text, INT_MAX, &value);
		if (!ret && !value)
			ret = misuse("--pid: there is no process 0");
		options->pid = (pid_t)value;
		break;
	case OPT_FD:
		ret = set_number("--fd", text, INT_MAX, &value);
		options->fd = (int)value;
		break;
	case OPT_LIOBN:
		ret = set_number("--liobn", text, UINT64_MAX, &options->liobn);
		options->liobn_given = true;
		break;
	case OPT_MAP_LIOBN:
		ret = add_mapping(options, text);
		break;
	case OPT_PAGE_SHIFT:
		ret = set_number("--page-shift", text, 63, &value);
		by_hand->page_shift = (uint32_t)value;
		by_hand->known |= TCE_KNOWN_PAGE_SHIFT;
		break;
	case OPT_BUS_OFFSET:
		ret = set_number("--bus-offset", text, UINT64_MAX, &by_hand->bus_offset);
		by_hand->known |= TCE_KNOWN_BUS_OFFSET;
		break;
	case OPT_ENTRIES:
		ret = set_number("--entries", text, UINT64_MAX, &by_hand->entries);
		by_hand->known |= TCE_KNOWN_ENTRIES;
		break;
	case OPT_DRY_RUN:
		options->dry_run = true;
		break;
	default:
		return misuse("that is no option");
	}
	return ret;
}

/* Return: -1 to go on, or an exit code. */
static int parse_options(struct options *options, int argc, char **argv)
{
	int c, ret;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		if (c == OPT_HELP) {
			print_help();
			return finish_output(EXIT_DONE);
		}
		if (c == OPT_VERSION) {
			printf("tce-restore %s\n", TCE_VERSION);
			return finish_output(EXIT_DONE);
		}
		if (c == '?')
			return misuse("%s: no such option", argv[optind - 1]);
		if (c == ':')
			return misuse("%s needs an argument", argv[optind - 1]);
		ret = take_option(options, c, optarg);
		if (ret)
			return ret;
	}
	if (!options->pid && options->fd < 0)
		return misuse("where to? --pid or --fd is needed");
	if (optind + 1 != argc)
		return misuse("one image is needed");
	options->image = argv[optind];
	return -1;
}

/* The names of a table, for messages: the LIOBN in the image. */
static int target_error(const struct target *target, struct tce_error *err)
{
	if (target->saved.known & TCE_KNOWN_LIOBN) {
		err->fields |= TCE_ERROR_LIOBN;
		err->liobn = target->saved.liobn;
	}
	return err->code;
}

/* Fill in what the image does not know; what it does know must agree with what was said. */
static int apply_by_hand(struct target *target, const struct tce_geometry *by_hand,
			 struct tce_error *err)
{
	struct tce_geometry *saved = &target->saved;
	const unsigned int both = saved->known & by_hand->known;

	if ((both & TCE_KNOWN_PAGE_SHIFT && saved->page_shift != by_hand->page_shift) ||
	    (both & TCE_KNOWN_BUS_OFFSET && saved->bus_offset != by_hand->bus_offset) ||
	    (both & TCE_KNOWN_ENTRIES && saved->entries != by_hand->entries) ||
	    (by_hand->known & TCE_KNOWN_ENTRIES && saved->entries < by_hand->entries)) {
		tce_set_error(err, TCE_ERR_GEOMETRY, 0,
			      "the image says another geometry than the command line");
		return target_error(target, err);
	}
	if (by_hand->known & TCE_KNOWN_PAGE_SHIFT)
		saved->page_shift = by_hand->page_shift;
	if (by_hand->known & TCE_KNOWN_BUS_OFFSET)
		saved->bus_offset = by_hand->bus_offset;
	if (by_hand->known & TCE_KNOWN_ENTRIES)
		saved->entries = by_hand->entries;
	saved->known |= by_hand->known;
	return TCE_OK;
}

static int add_target(struct restore *restore, const struct tce_geometry *geometry,
		      struct target **result, struct tce_error *err)
{
	struct target *grown;
	size_t i;

	for (i = 0; i < restore->count; i++) {
		if (geometry->known & restore->targets[i].saved.known & TCE_KNOWN_LIOBN &&
		    geometry->liobn == restore->targets[i].saved.liobn)
			return tce_set_error(err, TCE_ERR_CORRUPT, 0,
					     "LIOBN 0x%" PRIx64 " is in the image twice",
					     geometry->liobn);
	}
	if (restore->count == TABLES_MAX)
		return tce_set_error(err, TCE_ERR_LIMIT, 0, "the image has more than %u tables",
				     TABLES_MAX);
	grown = realloc(restore->targets, (restore->count + 1) * sizeof(*grown));
	if (!grown)
		return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for a list of tables");
	restore->targets = grown;
	*result = &grown[restore->count++];
	memset(*result, 0, sizeof(**result));
	(*result)->saved = *geometry;
	return TCE_OK;
}

/* Read all of a table: for a dry run, or to see that a shorter table, said by hand, holds every entry. */
static int check_entries(struct tce_reader *reader, struct target *target, struct tce_error *err)
{
	struct tce_extent extent;
	int ret;

	while ((ret = tce_next_extent(reader, &extent, err)) > 0) {
		uint64_t used = extent.words ? tce_count_used(extent.words, extent.count) :
					       extent.count;

		target->loaded.used += used;
		if (used && extent.first + extent.count > target->saved.entries)
			return tce_set_error(err, TCE_ERR_RANGE, 0,
					     "the image has entries past the end given with --entries");
	}
	return ret;
}

/* The first reading: is the image whole, and what is in it? */
static int check_image(struct restore *restore, struct tce_error *err)
{
	const struct options *options = restore->options;
	struct tce_source source = input_source(restore->input);
	struct tce_geometry geometry;
	struct tce_reader *reader;
	char more;
	int ret;

	ret = tce_create_reader(&reader, &source, err);
	if (ret < 0)
		goto out_name;
	while ((ret = tce_next_table(reader, &geometry, err)) > 0) {
		struct target *target = NULL;

		ret = add_target(restore, &geometry, &target, err);
		if (ret < 0)
			break;
		target->chosen = !options->liobn_given ||
				 (geometry.known & TCE_KNOWN_LIOBN &&
				  geometry.liobn == options->liobn);
		if (target->chosen)
			ret = apply_by_hand(target, &options->by_hand, err);
		if (!ret && (options->dry_run || target->saved.entries < geometry.entries))
			ret = check_entries(reader, target, err);
		else if (!ret)
			ret = tce_skip_table(reader, err);
		if (ret < 0)
			break;
	}
	if (!ret && source.read(source.ctx, &more, 1) > 0)
		ret = tce_set_error(err, TCE_ERR_CORRUPT, 0, "more bytes follow the image's end");
	tce_destroy_reader(reader);
out_name:
	if (ret < 0)
		name_error(err, restore->input->name);
	return ret;
}

static int find_by_fd(struct restore *restore, struct tce_table **table, struct tce_error *err)
{
	const struct options *options = restore->options;
	size_t i;

	if (!options->pid) {
		*table = restore->own;
		return TCE_OK;
	}
	for (i = 0; i < tce_vmm_count(restore->vmm); i++) {
		if (tce_vmm_fd(restore->vmm, i) == options->fd) {
			*table = tce_vmm_table(restore->vmm, i);
			return TCE_OK;
		}
	}
	return tce_set_error(err, TCE_ERR_NO_TABLE, 0, "PID %d has no TCE table as fd %d",
			     (int)options->pid, options->fd);
}

/* The LIOBN that a table of the image has to go to. */
static uint64_t map_liobn(const struct options *options, uint64_t liobn)
{
	size_t i;

	for (i = 0; i < options->mapping_count; i++) {
		if (options->mappings[i].from == liobn)
			return options->mappings[i].to;
	}
	return liobn;
}

static int find_table(struct restore *restore, struct target *target, struct tce_error *err)
{
	const struct options *options = restore->options;
	const struct tce_geometry *live;
	uint64_t liobn;
	int ret;

	if (options->fd >= 0) {
		ret = find_by_fd(restore, &target->table, err);
		if (ret < 0)
			return ret;
	} else if (!(target->saved.known & TCE_KNOWN_LIOBN)) {
		return tce_set_error(err, TCE_ERR_UNKNOWN, 0,
				     "the image does not know this table's LIOBN: choose the table to fill with --fd");
	}
	liobn = map_liobn(options, target->saved.liobn);
	if (!target->table) {
		ret = tce_find_table(restore->vmm, liobn, &target->table, err);
		if (ret < 0)
			return ret;
	}

	live = tce_table_geometry(target->table);
	if (target->saved.known & live->known & TCE_KNOWN_LIOBN && live->liobn != liobn) {
		tce_set_error(err, TCE_ERR_GEOMETRY, 0,
			      "the table to fill has LIOBN 0x%" PRIx64 "; --map-liobn allows that",
			      live->liobn);
		return target_error(target, err);
	}
	return TCE_OK;
}

/* See that the image's table fits into the live one. */
static int check_target(const struct target *target, struct tce_error *err)
{
	struct tce_geometry live = *tce_table_geometry(target->table);
	int ret;

	/* A plain file has a size and nothing else to compare. */
	if (tce_table_backend(target->table) == TCE_BACKEND_FILE) {
		live.page_shift = target->saved.page_shift;
		live.bus_offset = target->saved.bus_offset;
		live.known |= target->saved.known & (TCE_KNOWN_PAGE_SHIFT | TCE_KNOWN_BUS_OFFSET);
	}
	ret = tce_match_geometry(&target->saved, &live, err);
	return ret < 0 ? target_error(target, err) : TCE_OK;
}

static int find_targets(struct restore *restore, struct tce_error *err)
{
	const struct options *options = restore->options;
	size_t i, k, chosen = 0;
	int ret;

	for (i = 0; i < restore->count; i++) {
		struct target *target = &restore->targets[i];

		if (!target->chosen)
			continue;
		chosen++;
		ret = find_table(restore, target, err);
		if (ret < 0)
			return ret;
		for (k = 0; k < i; k++) {
			if (restore->targets[k].table != target->table)
				continue;
			tce_set_error(err, TCE_ERR_NO_TABLE, 0,
				      "two tables of the image would go to one live table%s",
				      options->fd >= 0 ? ": choose one with --liobn" : "");
			return target_error(target, err);
		}
	}
	for (i = 0; i < restore->count; i++) {
		if (!restore->targets[i].chosen)
			continue;
		ret = check_target(&restore->targets[i], err);
		if (ret < 0)
			return ret;
	}
	if (!chosen) {
		ret = tce_set_error(err, TCE_ERR_NO_TABLE, 0, options->liobn_given ?
				    "the image has no table with LIOBN 0x%" PRIx64 :
				    "the image has no table", options->liobn);
		name_error(err, restore->input->name);
		return ret;
	}
	return TCE_OK;
}

static void print_plan(const struct restore *restore)
{
	char name[TABLE_NAME_SIZE];
	size_t i;

	for (i = 0; i < restore->count; i++) {
		const struct target *target = &restore->targets[i];

		if (!target->chosen)
			continue;
		printf("%s: %" PRIu64 " of %" PRIu64 " entries %s ",
		       format_table(&target->saved, name), target->loaded.used,
		       target->saved.entries,
		       restore->options->dry_run ? "would go into" : "restored into");
		print_text(stdout, tce_table_geometry(target->table)->origin);
		if (tce_table_geometry(target->table)->known & TCE_KNOWN_LIOBN)
			printf(" (LIOBN 0x%" PRIx64 ")",
			       tce_table_geometry(target->table)->liobn);
		printf("\n");
	}
}

/* Save what the live tables hold, in the order of the targets. */
static int save_old(struct restore *restore, struct tce_error *err)
{
	struct tce_writer *writer;
	struct tce_sink sink;
	size_t i;
	int ret;

	restore->scratch = open_scratch();
	if (restore->scratch < 0)
		return tce_set_error(err, TCE_ERR_IO, -restore->scratch, "no scratch file");
	sink = tce_fd_sink(restore->scratch);
	ret = tce_create_writer(&writer, &sink, NULL, err);
	if (ret < 0)
		return ret;
	for (i = 0; !ret && i < restore->count; i++) {
		if (restore->targets[i].chosen)
			ret = tce_save_table(restore->targets[i].table, writer, NULL, err);
	}
	if (!ret)
		ret = tce_end_image(writer, err);
	tce_destroy_writer(writer);
	if (ret < 0)
		name_error(err, "saving what the tables hold now");
	return ret;
}

static void tell_guard(const struct restore *restore, uint32_t what)
{
	/* Without a guard, there is nobody to undo a kill, and nothing else is different. */
	send(restore->to_guard, &what, sizeof(what), MSG_NOSIGNAL);
}

/* The second reading: write. */
static int write_tables(struct restore *restore, struct tce_error *err)
{
	struct tce_source source;
	struct tce_geometry geometry;
	struct tce_reader *reader = NULL;
	struct meter meter;
	size_t i;
	int ret;

	ret = rewind_input(restore->input, err);
	if (ret < 0)
		return ret;
	source = input_source(restore->input);
	ret = tce_create_reader(&reader, &source, err);
	for (i = 0; !ret && i < restore->count; i++) {
		struct target *target = &restore->targets[i];
		struct tce_progress progress;

		ret = tce_next_table(reader, &geometry, err);
		if (ret <= 0 || geometry.entries < target->saved.entries ||
		    geometry.liobn != target->saved.liobn) {
			if (ret >= 0)
				ret = tce_set_error(err, TCE_ERR_CORRUPT, 0,
						    "the image has changed while it was read");
			break;
		}
		if (!target->chosen) {
			ret = tce_skip_table(reader, err);
			continue;
		}
		target->touched = true;
		tell_guard(restore, (uint32_t)i);
		progress = begin_meter(&meter, &target->saved);
		ret = tce_load_table(target->table, reader, &target->loaded, &progress, err);
		end_meter(&meter);
	}
	/* Only at its end is an image known to be whole, also one that was overwritten meanwhile. */
	if (!ret)
		ret = tce_next_table(reader, &geometry, err);
	tce_destroy_reader(reader);
	if (ret > 0)
		ret = tce_set_error(err, TCE_ERR_CORRUPT, 0,
				    "the image has changed while it was read");
	if (ret < 0)
		name_error(err, restore->input->name);
	return ret;
}

/* Put back what the tables held. Those that were not reached are left alone. */
static int put_back(struct restore *restore, struct tce_error *err)
{
	struct tce_source source = tce_fd_source(restore->scratch);
	struct tce_geometry geometry;
	struct tce_reader *reader;
	size_t i;
	int ret;

	if (lseek(restore->scratch, 0, SEEK_SET) < 0)
		return tce_set_error(err, TCE_ERR_IO, 0, "the scratch file cannot be read again");
	ret = tce_create_reader(&reader, &source, err);
	if (ret < 0)
		return ret;
	for (i = 0; !ret && i < restore->count; i++) {
		if (!restore->targets[i].chosen)
			continue;
		ret = tce_next_table(reader, &geometry, err);
		if (ret > 0 && restore->targets[i].touched)
			ret = tce_load_table(restore->targets[i].table, reader, NULL, NULL, err);
		else if (ret > 0)
			ret = 0;
	}
	tce_destroy_reader(reader);
	return ret;
}

static void undo(struct restore *restore)
{
	struct tce_error err = TCE_ERROR_INIT;

	if (put_back(restore, &err) < 0) {
		print_error(&err);
		print_note("NOT undone: the tables named above are neither what they were nor what "
			   "the image says");
	} else {
		print_note("undone: every table is as it was before");
	}
}

/* Say what had been written before the failure. */
static void print_written(const struct restore *restore)
{
	char name[TABLE_NAME_SIZE];
	size_t i;

	for (i = 0; i < restore->count; i++) {
		const struct target *target = &restore->targets[i];

		if (!target->touched)
			continue;
		format_table(&target->saved, name);
		if (target->loaded.written)
			print_note("%s: entries 0 to %" PRIu64 " had been written", name,
				   target->loaded.written - 1);
		else
			print_note("%s: no entry had been written", name);
	}
}

/* The guard: undo what the process at the other end of the socket leaves when it is killed. */
static void guard_tables(struct restore *restore, int socket)
{
	const pid_t writer = getppid();
	char name[TABLE_NAME_SIZE];
	uint32_t what;
	size_t i;

	while (recv(socket, &what, sizeof(what), 0) == sizeof(what)) {
		if (what == GUARD_DISMISSED)
			return;
		restore->targets[what].touched = true;
	}
	print_note("process %d was killed in the middle", (int)writer);
	for (i = 0; i < restore->count; i++) {
		if (restore->targets[i].touched)
			print_note("%s: some or all entries had been written",
				   format_table(&restore->targets[i].saved, name));
	}
	undo(restore);
}

static int start_guard(struct restore *restore, struct tce_error *err)
{
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return tce_set_error(err, TCE_ERR_IO, errno, "no socket to a second process");
	restore->guard = fork();
	if (restore->guard < 0) {
		tce_set_error(err, TCE_ERR_IO, errno, "no second process to undo in");
		close(sockets[0]);
		close(sockets[1]);
		return err->code;
	}
	if (!restore->guard) {
		close(sockets[0]);
		guard_tables(restore, sockets[1]);
		_exit(EXIT_DONE);
	}
	close(sockets[1]);
	restore->to_guard = sockets[0];
	return TCE_OK;
}

static void dismiss_guard(struct restore *restore)
{
	tell_guard(restore, GUARD_DISMISSED);
	close(restore->to_guard);
	waitpid(restore->guard, NULL, 0);
}

/* Write all tables or none. Prints what fails. */
static int restore_tables(struct restore *restore, struct tce_error *err)
{
	sigset_t blocked, old;
	int ret;

	ret = save_old(restore, err);
	if (ret < 0) {
		print_error(err);
		return ret;
	}

	/* Nothing but SIGKILL comes between the first word and the last, or the undoing; see the guard. */
	sigfillset(&blocked);
	sigprocmask(SIG_BLOCK, &blocked, &old);
	ret = start_guard(restore, err);
	if (ret < 0) {
		print_error(err);
		goto out_unblock;
	}
	ret = write_tables(restore, err);
	if (ret < 0) {
		print_error(err);
		print_written(restore);
		undo(restore);
	}
	dismiss_guard(restore);
out_unblock:
	sigprocmask(SIG_SETMASK, &old, NULL);
	return ret;
}

static int check_writable(const struct tce_table *table, struct tce_error *err)
{
	if (tce_table_backend(table) != TCE_BACKEND_KVM_STOCK)
		return TCE_OK;
	return tce_set_error(err, TCE_ERR_UNSUPPORTED, 0,
			     "restoring needs a kernel with the TCE patches: on this one a table can only be read");
}

static int open_target(struct restore *restore, struct tce_error *err)
{
	const struct options *options = restore->options;
	int ret;

	if (options->pid) {
		ret = tce_open_vmm(&restore->vmm, options->pid, err);
		if (!ret && !tce_vmm_count(restore->vmm))
			ret = tce_set_error(err, TCE_ERR_NO_TABLE, 0,
					    "PID %d has a virtual machine, but no TCE table in the kernel",
					    (int)options->pid);
		/* Before a table is looked for: a stock kernel does not tell their LIOBNs. */
		if (!ret)
			ret = check_writable(tce_vmm_table(restore->vmm, 0), err);
		return ret;
	}
	ret = tce_open_table(&restore->own, options->fd, err);
	if (!ret)
		ret = check_writable(restore->own, err);
	if (ret < 0) {
		char name[24];

		snprintf(name, sizeof(name), "fd %d", options->fd);
		name_error(err, name);
	}
	return ret;
}

static int run(const struct options *options)
{
	struct restore restore = { .options = options, .scratch = -1 };
	struct tce_error err = TCE_ERROR_INIT;
	int ret;

	ret = open_input(&restore.input, options->image, &err);
	if (!ret)
		ret = keep_input(restore.input, &err);
	if (!ret)
		ret = check_image(&restore, &err);
	if (!ret)
		ret = open_target(&restore, &err);
	if (!ret)
		ret = find_targets(&restore, &err);
	if (ret < 0)
		print_error(&err);
	if (!ret && !options->dry_run)
		ret = restore_tables(&restore, &err);
	if (!ret)
		print_plan(&restore);

	if (restore.scratch >= 0)
		close(restore.scratch);
	free(restore.targets);
	tce_close_table(restore.own);
	tce_close_vmm(restore.vmm);
	close_input(restore.input);
	return ret < 0 ? EXIT_FAILED : EXIT_DONE;
}

int main(int argc, char **argv)
{
	static struct options options = { .fd = -1 };
	int ret;

	program = "tce-restore";
	ret = parse_options(&options, argc, argv);
	if (ret >= 0)
		return ret;
	return finish_output(run(&options));
}
