// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-dump: show, compare, check and save TCE tables.
 */
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "cli.h"
#include "dump/dump.h"
#include "geometry.h"
#include "vmm.h"

/* A day: longest time from one look to the next. */
#define SECONDS_MAX 86400

enum mode {
	MODE_TEXT, /* 0: none was given */
	MODE_MAP,
	MODE_DIFF,
	MODE_VERIFY,
	MODE_SAVE,
	MODE_INFO,
	MODE_AT,
	MODE_FIND,
	MODE_WATCH,
};

struct options {
	int mode;
	const char *source;
	const char *at;
	const char *find;
	const char *seconds_text;
	uint64_t seconds;
	struct cli_number pid;
	struct cli_number fd;
	struct cli_number liobn;
	struct cli_number vm;
	struct cli_number offset;
	const char *snapshot;
	struct stated_geometry stated;
	struct live_choice live;
	struct choice choice;
};

#define PLACE(member) offsetof(struct options, member)

static const struct cli_option option_table[] = {
	{ CLI_GROUP, .name = "Where from" },
	{ CLI_NUMBER, 0, "pid", "PID", .help = "the live tables of a running VMM",
	  .place = PLACE(pid), .min = 1, .max = INT_MAX },
	{ CLI_NUMBER, 0, "fd", "N",
	  .help = "the table that is fd N of the VMM, or of tce-dump itself", .place = PLACE(fd),
	  .max = INT_MAX },
	{ CLI_NUMBER, 0, "liobn", "LIOBN", .help = "only this table", .place = PLACE(liobn),
	  .max = UINT64_MAX },
	{ CLI_NUMBER, 0, "vm", "N",
	  .help = "only tables of this virtual machine, where there are several",
	  .place = PLACE(vm), .max = UINT64_MAX },
	{ CLI_NUMBER, 0, "offset", "BYTES", .help = "where in SOURCE a stream or an image begins",
	  .place = PLACE(offset), .max = INT64_MAX },
	{ CLI_TEXT, 0, "snapshot", "NAME", .help = "which of a qcow2 disk's snapshots",
	  .place = PLACE(snapshot) },
	{ CLI_GROUP, .name = "To say what the kernel does not tell" },
	GEOMETRY_OPTIONS(struct options),
	{ CLI_GROUP, .name = "What to do (without one of these: show header, runs and totals)" },
	{ CLI_CHOICE, 0, "map", .help = "show occupancy as a picture", .place = PLACE(mode),
	  .value = MODE_MAP },
	{ CLI_CHOICE, 0, "diff", "OTHER",
	  .help = "show how SOURCE and OTHER differ; exit 1 when they do", .place = PLACE(mode),
	  .value = MODE_DIFF, .text_place = PLACE(choice.other) },
	{ CLI_CHOICE, 0, "verify", .help = "only check that SOURCE is whole", .place = PLACE(mode),
	  .value = MODE_VERIFY },
	{ CLI_CHOICE, 'o', "output", "IMAGE", .help = "save as a TCE image (- for standard output)",
	  .place = PLACE(mode), .value = MODE_SAVE, .text_place = PLACE(choice.output) },
	{ CLI_CHOICE, 0, "info", .help = "show headers only", .place = PLACE(mode),
	  .value = MODE_INFO },
	{ CLI_CHOICE, 0, "at", "IOBA", .help = "show where this bus address leads",
	  .place = PLACE(mode), .value = MODE_AT, .text_place = PLACE(at) },
	{ CLI_CHOICE, 0, "find", "GPA[-GPA]",
	  .help = "show which bus addresses reach this guest memory", .place = PLACE(mode),
	  .value = MODE_FIND, .text_place = PLACE(find) },
	{ CLI_CHOICE, 0, "watch", "SECONDS", .optional = true,
	  .help = "show occupancy of live tables again and again", .place = PLACE(mode),
	  .value = MODE_WATCH, .text_place = PLACE(seconds_text) },
	{ CLI_GROUP, .name = "How" },
	{ CLI_FLAG, 0, "json", .help = "as JSON", .place = PLACE(choice.json) },
	{ CLI_FLAG, 0, "all", .help = "show every line of a table", .place = PLACE(choice.all) },
};

static const struct cli cli = {
	.name = "tce-dump",
	.usage =
		(const char *const[]){
			"[OPTIONS] --pid PID",
			"[OPTIONS] --fd N",
			"[OPTIONS] SOURCE",
			NULL,
		},
	.about = "Show, compare, check or save the TCE tables of a PAPR guest. SOURCE is a file, a "
		 "folder, or - for standard input; tce-dump(1) says which kinds there are.",
	.options = option_table,
	.count = ARRAY_SIZE(option_table),
};

/*
 * What each mode does. @rewinds: it goes over the source more than once. @answers: it is a
 * question, of which the exit code is the answer. @says_none: a source without tables is worth a
 * line.
 * @has_json: it can print JSON.
 */
static const struct {
	int (*view)(struct source *source, const struct choice *choice, bool *no,
		    struct tce_error *err);
	bool rewinds;
	bool answers;
	bool says_none;
	bool has_json;
} modes[] = {
	[MODE_TEXT] = { view_text, .says_none = true, .has_json = true },
	[MODE_MAP] = { view_map, .says_none = true },
	[MODE_DIFF] = { view_diff, .rewinds = true, .answers = true, .has_json = true },
	[MODE_VERIFY] = { view_verify, .has_json = true },
	[MODE_SAVE] = { .view = save_source },
	[MODE_INFO] = { view_info, .says_none = true, .has_json = true },
	[MODE_AT] = { view_at, .answers = true, .has_json = true },
	[MODE_FIND] = { view_find, .answers = true, .has_json = true },
	[MODE_WATCH] = { .view = NULL },
};

/* Put together what was said of a live table by hand. */
static void take_geometry(struct options *options)
{
	struct tce_geometry *geometry = &options->live.geometry;

	take_stated(&options->stated, geometry);
	if (options->liobn.given)
		geometry->known |= TCE_KNOWN_LIOBN;
	geometry->liobn = options->liobn.value;
	geometry->has_vm = options->vm.given;
	geometry->vm = options->vm.value;
}

/* GPA, or GPA-GPA. */
static bool parse_range(const char *text, uint64_t *first, uint64_t *last)
{
	const char *dash = strchr(text, '-');
	char number[32];

	if (!dash) {
		if (!parse_number(text, UINT64_MAX, first))
			return false;
		*last = *first;
		return true;
	}
	if ((size_t)(dash - text) >= sizeof(number))
		return false;
	memcpy(number, text, (size_t)(dash - text));
	number[dash - text] = '\0';
	return parse_number(number, UINT64_MAX, first) &&
	       parse_number(dash + 1, UINT64_MAX, last) && *first <= *last;
}

/* What the modes take, as numbers. Return: CLI_GO, or an exit code. */
static int parse_arguments(struct options *options)
{
	struct choice *choice = &options->choice;

	if (options->at && !parse_number(options->at, UINT64_MAX, &choice->address))
		return misuse("--at: '%s' is not a bus address", options->at);
	if (options->find && !parse_range(options->find, &choice->first_gpa, &choice->last_gpa))
		return misuse("--find: '%s' is neither GPA nor GPA-GPA", options->find);
	options->seconds = 1;
	if (options->seconds_text &&
	    (!parse_number(options->seconds_text, SECONDS_MAX, &options->seconds) ||
	     !options->seconds))
		return misuse("--watch: '%s' is not a number from 1 to %d", options->seconds_text,
			      SECONDS_MAX);
	return CLI_GO;
}

/* Return: CLI_GO, or an exit code. */
static int parse_options(struct options *options, int argc, char **argv)
{
	bool live;
	char **operands;
	int ret;

	ret = cli_parse(&cli, options, argc, argv, &operands);
	if (ret != CLI_GO)
		return ret;
	live = options->pid.given || options->fd.given;
	if (options->mode == MODE_WATCH && !live)
		return misuse("--watch is for live tables: --pid or --fd is needed");
	/* "--watch 5" means "--watch=5": live tables have no other operand. */
	if (options->mode == MODE_WATCH && !options->seconds_text && operands[0])
		options->seconds_text = *operands++;
	if (options->choice.json && !modes[options->mode].has_json)
		return misuse("--json does not go with --map, --output and --watch");
	ret = parse_arguments(options);
	if (ret != CLI_GO)
		return ret;
	if (live ? operands[0] != NULL : !operands[0] || operands[1])
		return misuse("one source is needed: --pid, --fd, or a file");
	if (!live && (options->stated.page_shift.given || options->stated.bus_offset.given ||
		      options->stated.entries.given))
		return misuse("--page-shift, --bus-offset and --entries are for live tables");
	if (live && (options->offset.given || options->snapshot))
		return misuse("--offset and --snapshot are for files");
	options->choice.liobn_given = options->liobn.given;
	options->choice.liobn = options->liobn.value;
	options->choice.vm_given = options->vm.given;
	options->choice.vm = options->vm.value;
	options->source = operands[0];
	options->live.pid = (pid_t)options->pid.value;
	options->live.fd = options->fd.given ? (int)options->fd.value : -1;
	take_geometry(options);
	if (options->choice.other && options->source && !strcmp(options->source, "-") &&
	    !strcmp(options->choice.other, "-"))
		return misuse("standard input cannot be both sides of --diff");
	if (options->fd.given && !options->pid.given)
		return check_fd_number(options->live.fd);
	return CLI_GO;
}

static int open_chosen(struct source **source, const struct options *options, struct tce_error *err)
{
	const struct place place = {
		.offset = options->offset.value,
		.snapshot = options->snapshot,
	};

	if (options->source)
		return open_source_at(source, options->source, &place, modes[options->mode].rewinds,
				      err);
	return open_live_source(source, &options->live, err);
}

static int no_such_table(const struct options *options, struct tce_error *err)
{
	struct tce_geometry wanted = {
		.known = TCE_KNOWN_LIOBN,
		.liobn = options->liobn.value,
		.has_vm = options->vm.given,
		.vm = options->vm.value,
	};
	char name[TABLE_NAME_SIZE];

	if (!options->liobn.given)
		return tce_set_error(err, TCE_ERR_NO_TABLE, 0, "no table of VM %" PRIu64,
				     options->vm.value);
	return tce_set_error(err, TCE_ERR_NO_TABLE, 0, "no table with %s",
			     format_table(&wanted, name));
}

/* A comparison may have no tables to compare; other questions need some to ask. */
static bool answers_by_table(const struct options *options)
{
	return options->mode == MODE_AT || options->mode == MODE_FIND;
}

/* Return: an exit code. */
static int run(const struct options *options)
{
	struct tce_error err = TCE_ERROR_INIT;
	struct source *source;
	const bool answers = modes[options->mode].answers;
	bool no = false;
	int ret;

	if (options->mode == MODE_WATCH) {
		ret = watch_tables(&options->live, &options->choice, options->seconds, &err);
		return ret < 0 ? print_error(&err) : EXIT_DONE;
	}
	ret = open_chosen(&source, options, &err);
	if (ret < 0) {
		print_error(&err);
		return answers ? EXIT_TROUBLE : EXIT_FAILED;
	}
	ret = modes[options->mode].view(source, &options->choice, &no, &err);
	if (!ret && (options->liobn.given || options->vm.given) &&
	    (!no || answers_by_table(options))) {
		ret = no_such_table(options, &err);
		name_error(&err, source->name);
	}
	if (!ret && modes[options->mode].says_none && !options->choice.json)
		print_result("%s: no tables", source->name);
	close_source(source);
	if (ret < 0) {
		/* What was printed before comes first. */
		fflush(stdout);
		print_error(&err);
		return answers ? EXIT_TROUBLE : EXIT_FAILED;
	}
	return no ? EXIT_NO : EXIT_DONE;
}

int main(int argc, char **argv)
{
	struct options options = { 0 };
	int ret;

	begin_program(cli.name);
	ret = parse_options(&options, argc, argv);
	if (ret != CLI_GO)
		return ret;
	ret = run(&options);
	if (finish_output(EXIT_DONE))
		return modes[options.mode].answers ? EXIT_TROUBLE : EXIT_FAILED;
	return ret;
}
