// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-dump: show, compare, check and save TCE tables.
 */
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dump.h"

enum mode {
	MODE_TEXT,
	MODE_JSON,
	MODE_MAP,
	MODE_DIFF,
	MODE_VERIFY,
	MODE_SAVE,
};

struct options {
	enum mode mode;
	unsigned int modes_given;
	const char *source;
	const char *other;
	const char *output;
	struct live_choice live;
	struct choice choice;
};

enum {
	OPT_PID = 256,
	OPT_FD,
	OPT_LIOBN,
	OPT_PAGE_SHIFT,
	OPT_BUS_OFFSET,
	OPT_ENTRIES,
	OPT_JSON,
	OPT_MAP,
	OPT_DIFF,
	OPT_VERIFY,
	OPT_ALL,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "pid", required_argument, NULL, OPT_PID },
	{ "fd", required_argument, NULL, OPT_FD },
	{ "liobn", required_argument, NULL, OPT_LIOBN },
	{ "page-shift", required_argument, NULL, OPT_PAGE_SHIFT },
	{ "bus-offset", required_argument, NULL, OPT_BUS_OFFSET },
	{ "entries", required_argument, NULL, OPT_ENTRIES },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "map", no_argument, NULL, OPT_MAP },
	{ "diff", required_argument, NULL, OPT_DIFF },
	{ "verify", no_argument, NULL, OPT_VERIFY },
	{ "output", required_argument, NULL, 'o' },
	{ "all", no_argument, NULL, OPT_ALL },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void print_help(void)
{
	printf("Usage: tce-dump [OPTIONS] --pid PID\n"
	       "       tce-dump [OPTIONS] --fd N\n"
	       "       tce-dump [OPTIONS] SOURCE\n"
	       "Show, compare, check or save the TCE tables of a PAPR guest. SOURCE is a file, a\n"
	       "folder, or - for standard input; tce-dump(1) says which kinds there are.\n"
	       "\n"
	       "Where from:\n"
	       "      --pid PID         the live tables of a running VMM\n"
	       "      --fd N            the table that is fd N of the VMM, or of tce-dump itself\n"
	       "      --liobn LIOBN     only this table\n"
	       "\n"
	       "What the kernel does not tell, said by hand:\n"
	       "      --page-shift N    log2 of the I/O page size\n"
	       "      --bus-offset ADDR bus address of the first entry\n"
	       "      --entries N       number of entries\n"
	       "\n"
	       "What to do (shows header, runs and totals without one of these):\n"
	       "      --json            show it all as JSON\n"
	       "      --map             show occupancy as a picture\n"
	       "      --diff OTHER      show how SOURCE and OTHER differ; exit 1 when they do\n"
	       "      --verify          only check that SOURCE is whole\n"
	       "  -o, --output IMAGE    save as a TCE image (- for standard output)\n"
	       "\n"
	       "      --all             no limit on the lines of a table\n"
	       "      --help            this text\n"
	       "      --version         the version\n");
}

static int set_mode(struct options *options, enum mode mode)
{
	options->mode = mode;
	options->modes_given++;
	return 0;
}

static int set_number(const char *option, const char *text, uint64_t max, uint64_t *value)
{
	if (!parse_number(text, max, value))
		return misuse("%s: '%s' is not a number from 0 to %" PRIu64, option, text, max);
	return 0;
}

/* Return: 0, or an exit code. */
static int take_option(struct options *options, int option, const char *text)
{
	struct tce_geometry *geometry = &options->live.geometry;
	uint64_t value;
	int ret = 0;

	switch (option) {
	case OPT_PID:
		ret = set_number("--pid", text, INT_MAX, &value);
		if (!ret && !value)
			ret = misuse("--pid: there is no process 0");
		options->live.pid = (pid_t)value;
		break;
	case OPT_FD:
		ret = set_number("--fd", text, INT_MAX, &value);
		options->live.fd = (int)value;
		break;
	case OPT_LIOBN:
		ret = set_number("--liobn", text, UINT64_MAX, &options->choice.liobn);
		options->choice.liobn_given = true;
		break;
	case OPT_PAGE_SHIFT:
		ret = set_number("--page-shift", text, 63, &value);
		geometry->page_shift = (uint32_t)value;
		geometry->known |= TCE_KNOWN_PAGE_SHIFT;
		break;
	case OPT_BUS_OFFSET:
		ret = set_number("--bus-offset", text, UINT64_MAX, &geometry->bus_offset);
		geometry->known |= TCE_KNOWN_BUS_OFFSET;
		break;
	case OPT_ENTRIES:
		ret = set_number("--entries", text, UINT64_MAX, &geometry->entries);
		geometry->known |= TCE_KNOWN_ENTRIES;
		break;
	case OPT_JSON:
		return set_mode(options, MODE_JSON);
	case OPT_MAP:
		return set_mode(options, MODE_MAP);
	case OPT_VERIFY:
		return set_mode(options, MODE_VERIFY);
	case OPT_DIFF:
		options->other = text;
		return set_mode(options, MODE_DIFF);
	case 'o':
		options->output = text;
		return set_mode(options, MODE_SAVE);
	case OPT_ALL:
		options->choice.all = true;
		break;
	default:
		return misuse("that is no option");
	}
	return ret;
}

/* Return: -1 to go on, or an exit code. */
static int parse_options(struct options *options, int argc, char **argv)
{
	bool live;
	int c, ret;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":o:", long_options, NULL)) != -1) {
		if (c == OPT_HELP) {
			print_help();
			return finish_output(EXIT_DONE);
		}
		if (c == OPT_VERSION) {
			printf("tce-dump %s\n", TCE_VERSION);
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
	live = options->live.pid || options->live.fd >= 0;
	if (options->modes_given > 1)
		return misuse("only one of --json, --map, --diff, --verify and --output at a time");
	if (live ? optind != argc : optind + 1 != argc)
		return misuse("one source is needed: --pid, --fd, or a file");
	if (!live && options->live.geometry.known)
		return misuse("--page-shift, --bus-offset and --entries are for live tables");
	if (live) {
		if (options->choice.liobn_given) {
			options->live.geometry.known |= TCE_KNOWN_LIOBN;
			options->live.geometry.liobn = options->choice.liobn;
		}
	} else {
		options->source = argv[optind];
		if (options->other && !strcmp(options->source, "-") && !strcmp(options->other, "-"))
			return misuse("standard input cannot be both sides of --diff");
	}
	return -1;
}

static int open_chosen(struct source **source, const struct options *options,
		       struct tce_error *err)
{
	if (options->source)
		return open_source(source, options->source, options->mode == MODE_DIFF, err);
	return open_live_source(source, &options->live, err);
}

static int diff_sources(struct source *source, const struct options *options, bool *differ,
			struct tce_error *err)
{
	struct source *other;
	int ret;

	ret = open_source(&other, options->other, true, err);
	if (ret < 0)
		return ret;
	ret = view_diff(source, other, &options->choice, differ, err);
	if (ret >= 0 && !*differ)
		printf("no difference in %d table%s\n", ret, ret == 1 ? "" : "s");
	close_source(other);
	return ret;
}

static int verify_source(struct source *source, const struct choice *choice,
			 struct tce_error *err)
{
	struct totals totals, sum = { 0 };
	struct tce_geometry geometry;
	int tables = 0, ret;

	while ((ret = next_chosen_table(source, choice, &geometry, err)) > 0) {
		ret = walk_runs(source, &geometry, NULL, NULL, &totals, err);
		if (ret < 0)
			return ret;
		tables++;
		sum.used += totals.used;
		sum.runs += totals.runs;
	}
	if (ret < 0)
		return ret;
	print_text(stdout, source->name);
	printf(": whole: %d table%s, %" PRIu64 " entries used, in %" PRIu64 " run%s\n", tables,
	       tables == 1 ? "" : "s", sum.used, sum.runs, sum.runs == 1 ? "" : "s");
	return tables;
}

static int save_table(struct source *source, const struct tce_geometry *geometry,
		      struct tce_writer *writer, struct tce_error *err)
{
	struct tce_extent extent;
	struct tce_progress progress;
	struct meter meter;
	int ret;

	progress = begin_meter(&meter, geometry);
	ret = tce_begin_table(writer, geometry, err);
	if (ret < 0)
		goto out_end;
	while ((ret = source->ops->next_extent(source, &extent, err)) > 0) {
		if (extent.words)
			ret = tce_put_words(writer, extent.first, extent.words, extent.count, err);
		else
			ret = tce_put_run(writer, &extent, err);
		if (ret < 0)
			goto out_end;
		if (progress.step)
			progress.step(progress.ctx, extent.first + extent.count,
				      geometry->entries);
	}
	if (!ret)
		ret = tce_end_table(writer, err);
out_end:
	end_meter(&meter);
	return ret;
}

static int save_tables(struct source *source, const struct choice *choice,
		       const struct tce_sink *sink, uint64_t *size, struct tce_error *err)
{
	struct tce_geometry geometry;
	struct tce_writer *writer;
	int tables = 0, ret;

	ret = tce_create_writer(&writer, sink, "tce-dump " TCE_VERSION, err);
	if (ret < 0)
		return ret;
	while ((ret = next_chosen_table(source, choice, &geometry, err)) > 0) {
		ret = save_table(source, &geometry, writer, err);
		if (ret < 0)
			break;
		tables++;
	}
	/* Not asked for by LIOBN, no tables are what the source has. */
	if (!ret && (tables || !choice->liobn_given))
		ret = tce_end_image(writer, err);
	*size = tce_writer_size(writer);
	tce_destroy_writer(writer);
	return ret < 0 ? ret : tables;
}

/* Save to a file; the old one of that name stays until the new one is whole and on disk. */
static int save_source(struct source *source, const struct options *options,
		       struct tce_error *err)
{
	const char *output = options->output;
	struct tce_file *file;
	struct tce_sink sink;
	uint64_t size;
	int tables, ret;

	if (!strcmp(output, "-")) {
		sink = tce_fd_sink(STDOUT_FILENO);
		tables = save_tables(source, &options->choice, &sink, &size, err);
		if (tables < 0)
			name_error(err, "standard output");
		return tables;
	}

	ret = tce_create_file(&file, output, err);
	if (ret < 0) {
		name_error(err, output);
		return ret;
	}
	sink = tce_file_sink(file);
	tables = save_tables(source, &options->choice, &sink, &size, err);
	ret = tables;
	if (ret > 0 || (!ret && !options->choice.liobn_given))
		ret = tce_commit_file(file, err);
	tce_close_file(file);
	if (ret < 0) {
		name_error(err, output);
		return ret;
	}
	if (tables || !options->choice.liobn_given)
		printf("%s: %d table%s saved in %" PRIu64 " bytes\n", output, tables,
		       tables == 1 ? "" : "s", size);
	return tables;
}

static int run(const struct options *options)
{
	struct tce_error err = TCE_ERROR_INIT;
	struct source *source;
	bool differ = false;
	int ret;

	ret = open_chosen(&source, options, &err);
	if (ret < 0)
		return print_error(&err);
	switch (options->mode) {
	case MODE_TEXT:
		ret = view_text(source, &options->choice, &err);
		break;
	case MODE_JSON:
		ret = view_json(source, &options->choice, &err);
		break;
	case MODE_MAP:
		ret = view_map(source, &options->choice, &err);
		break;
	case MODE_DIFF:
		ret = diff_sources(source, options, &differ, &err);
		break;
	case MODE_VERIFY:
		ret = verify_source(source, &options->choice, &err);
		break;
	case MODE_SAVE:
		ret = save_source(source, options, &err);
		break;
	}
	if (!ret && options->choice.liobn_given && !differ) {
		ret = tce_set_error(&err, TCE_ERR_NO_TABLE, 0, "no table with LIOBN 0x%" PRIx64,
				    options->choice.liobn);
		name_error(&err, source->name);
	}
	if (!ret && (options->mode == MODE_TEXT || options->mode == MODE_MAP)) {
		print_text(stdout, source->name);
		printf(": no tables\n");
	}
	close_source(source);
	if (ret < 0) {
		/* What was printed before comes first. */
		fflush(stdout);
		return print_error(&err);
	}
	return differ ? EXIT_FAILED : EXIT_DONE;
}

int main(int argc, char **argv)
{
	struct options options = { .live.fd = -1 };
	int ret;

	program = "tce-dump";
	setlocale(LC_CTYPE, "");
	ret = parse_options(&options, argc, argv);
	if (ret >= 0)
		return ret;
	return finish_output(run(&options));
}
