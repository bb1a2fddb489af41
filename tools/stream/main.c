// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-stream: the hook in QEMU's migration stream. Packs the TCE tables of a stream that goes by,
 * or puts them back; on the way tables can be exported to images or replaced from images.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "stream/address.h"
#include "stream/proxy.h"

/* What the kernel allows without privilege; fewer changes of process for the same bytes. */
#define PIPE_SIZE (1 << 20)

static int add_import_option(void *values, const char *text)
{
	struct job *job = values;
	struct tce_error err = TCE_ERROR_INIT;

	return add_imports(&job->imports, text, &err) < 0 ? print_error(&err) : 0;
}

#define PLACE(member) offsetof(struct job, member)

static const struct cli_option option_table[] = {
	{ CLI_TEXT, 0, "export", "DIR", .help = "write each table to an image DIR/LIOBN.tce",
	  .place = PLACE(export_folder) },
	{ CLI_CALL, 0, "import", "FILE",
	  .help = "replace the tables that the image FILE has; may be repeated",
	  .call = add_import_option },
	{ CLI_FLAG, 0, "require", .help = "fail when the stream can't be packed to its end",
	  .place = PLACE(require) },
	{ CLI_FLAG, 0, "stats", .help = "report on stderr what went through",
	  .place = PLACE(stats) },
	{ CLI_FLAG, 0, "json", .help = "as JSON, in one line", .place = PLACE(json) },
	{ CLI_GROUP, .name = "As a proxy between two QEMUs" },
	{ CLI_TEXT, 0, "listen", "ADDR", .help = "take the connections of one migration",
	  .place = PLACE(listen) },
	{ CLI_TEXT, 0, "connect", "ADDR",
	  .help = "hand them on; ADDR is unix:PATH, tcp:HOST:PORT, or fd:N",
	  .place = PLACE(connect) },
};

static const struct cli cli = {
	.name = "tce-stream",
	.usage =
		(const char *const[]){
			"pack [OPTIONS] < QEMU's stream > packed stream",
			"unpack [OPTIONS] < packed stream > QEMU's stream",
			"pack|unpack [OPTIONS] --listen ADDR --connect ADDR",
			NULL,
		},
	.about = "Pack the TCE tables of a QEMU migration stream, or restore the stream.",
	.options = option_table,
	.count = ARRAY_SIZE(option_table),
	.after = "  migrate \"exec:tce-stream pack | ssh HOST 'cat > vm.tcs'\"\n"
		 "  -incoming \"exec:tce-stream unpack < vm.tcs\"\n",
};

static int run_filter(struct job *job)
{
	const struct tce_source source = tce_fd_source(STDIN_FILENO);
	const struct tce_sink sink = tce_fd_sink(STDOUT_FILENO);
	struct tce_stream_stats stats = { 0 };
	struct tce_error err = TCE_ERROR_INIT;
	int ret;

	/* Fails if the limit is lower or it is not a pipe. Then it is only slower. */
	(void)fcntl(STDIN_FILENO, F_SETPIPE_SZ, PIPE_SIZE);
	(void)fcntl(STDOUT_FILENO, F_SETPIPE_SZ, PIPE_SIZE);
	ret = copy_stream(job, &source, &sink, true, &stats, &err);
	report_stream(job, &stats);
	if (!ret && close(STDOUT_FILENO))
		ret = tce_set_error(&err, TCE_ERR_IO, errno, "cannot write the output");
	return ret ? print_error(&err) : EXIT_DONE;
}

/* Before QEMU sends: found at the stream's end, it would be a failed migration. */
static int check_folder(const char *folder, struct tce_error *err)
{
	int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), ret = TCE_OK;

	if (fd < 0 || faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS)) {
		ret = tce_set_error(err, TCE_ERR_IO, errno, "cannot make images there");
		name_error(err, folder);
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

/* Return: an exit code. */
static int run(struct job *job)
{
	struct tce_error err = TCE_ERROR_INIT;

	/* A dead peer is an error like others, with a message. */
	signal(SIGPIPE, SIG_IGN);
	if (job->export_folder) {
		if (check_folder(job->export_folder, &err) < 0 ||
		    open_stream_tables(&job->tables, &err) < 0)
			return print_error(&err);
		job->keep = stream_tables_hooks(&job->tables);
	}
	return job->listen ? run_proxy(job) : run_filter(job);
}

/* Return: CLI_GO, or an exit code. */
static int parse_options(struct job *job, int argc, char **argv)
{
	char **operands;
	int ret;

	ret = cli_parse(&cli, job, argc, argv, &operands);
	if (ret != CLI_GO)
		return ret;
	if (!operands[0] || (strcmp(operands[0], "pack") && strcmp(operands[0], "unpack")))
		return misuse("one of pack and unpack must be given");
	if (operands[1])
		return misuse("'%s': %s takes no file; it reads standard input", operands[1],
			      operands[0]);
	job->pack = !strcmp(operands[0], "pack");
	if (job->require && !job->pack)
		return misuse("--require is for pack");
	if (job->json && !job->stats)
		return misuse("--json is for --stats");
	if (!job->listen != !job->connect)
		return misuse("--listen and --connect go together");
	if (job->listen && !strcmp(job->listen, job->connect))
		return misuse("--listen and --connect are one address");
	if (job->listen)
		return check_address("--listen", job->listen) &&
				       check_address("--connect", job->connect) ?
			       CLI_GO :
			       EXIT_MISUSE;
	if (isatty(STDIN_FILENO) || isatty(STDOUT_FILENO))
		return misuse("a stream can neither come from a terminal nor go to one");
	return CLI_GO;
}

int main(int argc, char **argv)
{
	struct job job = { .tables.fd = -1, .imports.fd = -1 };
	int code;

	begin_program(cli.name);
	code = parse_options(&job, argc, argv);
	if (code == CLI_GO)
		code = run(&job);
	close_imports(&job.imports);
	close_stream_tables(&job.tables);
	return code;
}
