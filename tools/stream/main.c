// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-stream: the hook in QEMU's migration stream. Packs the TCE tables of a stream that goes by,
 * or puts them back; on the way tables can be exported to images or replaced from images.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "stream/stream.h"

/* What the kernel allows without privilege; fewer changes of process for the same bytes. */
#define PIPE_SIZE	(1 << 20)

/**
 * struct job - the command line, and what the hooks need
 * @pack: pack, not unpack.
 * @export_folder: where to put images, or NULL.
 * @stats: say what went through.
 * @imports: tables that are replaced.
 * @tables: tables kept for @export_folder.
 * @keep: hooks that keep them.
 */
struct job {
	bool pack;
	const char *export_folder;
	bool stats;
	struct imports imports;
	struct stream_tables tables;
	struct tce_stream_hooks keep;
};

static int begin_table(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct job *job = ctx;
	int ret = begin_import(&job->imports, table, err);

	if (!ret && job->keep.begin_table)
		ret = job->keep.begin_table(job->keep.ctx, table, err);
	return ret;
}

/* Exports what the stream had, not what is imported in its place. */
static int table_words(void *ctx, const struct tce_stream_table *table, uint64_t index,
		       uint64_t *words, size_t count, struct tce_error *err)
{
	struct job *job = ctx;
	int ret = 0;

	if (job->keep.words)
		ret = job->keep.words(job->keep.ctx, table, index, words, count, err);
	if (!ret && job->imports.current)
		ret = read_import(&job->imports, words, count, err);
	return ret;
}

static int end_table(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct job *job = ctx;
	int ret = 0;

	if (job->imports.current)
		ret = end_import(&job->imports, table, err);
	if (!ret && job->stats)
		print_table_stats(table);
	if (!ret && job->keep.end_table)
		ret = job->keep.end_table(job->keep.ctx, table, err);
	return ret;
}

static int end_stream(void *ctx, const struct tce_stream_stats *stats, struct tce_error *err)
{
	struct job *job = ctx;
	int ret;

	if (job->imports.count && (!stats->understood || stats->verdict == TCE_STREAM_DISAGREES))
		return tce_set_error(err, TCE_ERR_STREAM, 0,
				     "the stream is not understood well enough to import tables%s%s",
				     stats->understood ? "" : ": ", stats->stopped_why);
	ret = check_imports_used(&job->imports, err);
	if (!ret && job->keep.end)
		ret = job->keep.end(job->keep.ctx, stats, err);
	if (!ret && job->export_folder)
		ret = export_stream_tables(&job->tables, job->export_folder, err);
	return ret;
}

static int add_import_option(void *values, const char *text)
{
	struct job *job = values;
	struct tce_error err = TCE_ERROR_INIT;

	return add_imports(&job->imports, text, &err) < 0 ? print_error(&err) : 0;
}

#define PLACE(member)	offsetof(struct job, member)

static const struct cli_option option_table[] = {
	{ CLI_TEXT, 0, "export", "DIR", .help = "write each table to an image DIR/LIOBN.tce",
	  .place = PLACE(export_folder) },
	{ CLI_CALL, 0, "import", "FILE",
	  .help = "replace the tables that the image FILE has; may be repeated",
	  .call = add_import_option },
	{ CLI_FLAG, 0, "stats", .help = "say on stderr what went through", .place = PLACE(stats) },
};

static const struct cli cli = {
	.name = "tce-stream",
	.usage = (const char *const[]) {
		"pack [OPTIONS] < QEMU's stream > packed stream",
		"unpack [OPTIONS] < packed stream > QEMU's stream", NULL,
	},
	.about = "Pack the TCE tables of a QEMU migration stream, or give the stream back.",
	.options = option_table,
	.count = ARRAY_SIZE(option_table),
	.after = "  migrate \"exec:tce-stream pack | ssh HOST 'cat > vm.tcs'\"\n"
		 "  -incoming \"exec:tce-stream unpack < vm.tcs\"\n",
};

static int copy_stream(struct job *job, struct tce_stream_stats *stats, struct tce_error *err)
{
	struct tce_stream_hooks hooks = { begin_table, table_words, end_table, end_stream, job };
	struct tce_source source = tce_fd_source(STDIN_FILENO);
	struct tce_sink sink = tce_fd_sink(STDOUT_FILENO);
	const bool look = job->export_folder || job->imports.count || job->stats;

	/* To look is to parse, and entries are copied twice more: only when asked. */
	if (!job->export_folder && !job->imports.count)
		hooks.words = NULL;
	return job->pack ?
	       tce_pack_stream(&source, &sink, look ? &hooks : NULL, stats, err) :
	       tce_unpack_stream(&source, &sink, look ? &hooks : NULL, stats, err);
}

/* Return: an exit code. */
static int run(struct job *job)
{
	struct tce_stream_stats stats = { 0 };
	struct tce_error err = TCE_ERROR_INIT;
	int ret = 0;

	if (job->export_folder) {
		ret = open_stream_tables(&job->tables, &err);
		job->keep = stream_tables_hooks(&job->tables);
	}
	if (!ret)
		ret = copy_stream(job, &stats, &err);
	if (job->stats)
		print_stream_stats(&stats);
	if (!ret && close(STDOUT_FILENO))
		ret = tce_set_error(&err, TCE_ERR_IO, errno, "cannot write the output");
	return ret ? print_error(&err) : EXIT_DONE;
}

/* Return: CLI_GO, or an exit code. */
static int parse_options(struct job *job, int argc, char **argv)
{
	char **operands;
	int ret;

	ret = cli_parse(&cli, job, argc, argv, &operands);
	if (ret != CLI_GO)
		return ret;
	if (!operands[0] || operands[1] ||
	    (strcmp(operands[0], "pack") && strcmp(operands[0], "unpack")))
		return misuse("one of pack and unpack must be given");
	job->pack = !strcmp(operands[0], "pack");
	if (isatty(STDIN_FILENO) || isatty(STDOUT_FILENO))
		return misuse("a stream cannot come from a terminal nor go to one");
	return CLI_GO;
}

int main(int argc, char **argv)
{
	struct job job = { .tables.fd = -1 };
	int code;

	begin_program(cli.name);
	code = parse_options(&job, argc, argv);
	if (code == CLI_GO) {
		/* A dead peer is an error like others, with a message. */
		signal(SIGPIPE, SIG_IGN);
		/* Fails where the limit is lower or it is no pipe; then it is only slower. */
		(void)fcntl(STDIN_FILENO, F_SETPIPE_SZ, PIPE_SIZE);
		(void)fcntl(STDOUT_FILENO, F_SETPIPE_SZ, PIPE_SIZE);
		code = run(&job);
	}
	close_imports(&job.imports);
	close_stream_tables(&job.tables);
	return code;
}
