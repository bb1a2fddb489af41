// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-stream: the hook in QEMU's migration stream. Packs the TCE tables of a stream that goes by,
 * or puts them back; on the way tables can be exported to images or replaced from images.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream-tables.h"

/* What the kernel allows without privilege; fewer changes of process for the same bytes. */
#define PIPE_SIZE	(1 << 20)

struct import {
	const char *file;
	struct tce_geometry geometry;
	unsigned int number;		/* of the table in the file */
	bool used;
};

/* The command line, and what the hooks need. */
struct job {
	const char *export_folder;
	bool stats;
	struct import *imports;
	size_t import_count;

	struct stream_tables tables;
	struct tce_stream_hooks keep;
	struct import *current;		/* table that is being replaced */
	int fd;				/* its image */
	struct tce_reader *reader;
	struct tce_cursor cursor;
};

static int in_file(struct tce_error *err, const char *name, int code)
{
	name_error(err, name);
	return code;
}

/* Note every table of an image; all of it is read, so a torn one is found before QEMU sends. */
static int add_imports(struct job *job, const char *file, struct tce_error *err)
{
	struct tce_geometry geometry;
	struct tce_reader *reader = NULL;
	struct tce_source source;
	struct import *more;
	unsigned int number;
	size_t i;
	int fd, r;

	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return in_file(err, file, tce_set_error(err, TCE_ERR_IO, errno, "cannot open"));
	source = tce_fd_source(fd);
	r = tce_create_reader(&reader, &source, err);
	for (number = 0; !r && (r = tce_next_table(reader, &geometry, err)) > 0; number++) {
		r = 0;
		if (geometry.known != TCE_KNOWN_ALL) {
			r = tce_set_error(err, TCE_ERR_UNKNOWN, 0,
					  "a table of which not all of the geometry is known");
			break;
		}
		for (i = 0; i < job->import_count; i++)
			if (job->imports[i].geometry.liobn == geometry.liobn)
				r = tce_set_error(err, TCE_ERR_ARG, 0,
						  "LIOBN 0x%" PRIx64 " is in %.100s already",
						  geometry.liobn, job->imports[i].file);
		if (r)
			break;
		more = realloc(job->imports, (job->import_count + 1) * sizeof(*more));
		if (!more) {
			r = tce_set_error(err, TCE_ERR_NOMEM, ENOMEM, "imports");
			break;
		}
		job->imports = more;
		more[job->import_count++] = (struct import) { file, geometry, number, false };
	}
	tce_destroy_reader(reader);
	close(fd);
	return r ? in_file(err, file, r) : 0;
}

static void close_import(struct job *job)
{
	tce_destroy_reader(job->reader);
	job->reader = NULL;
	if (job->current)
		close(job->fd);
	job->current = NULL;
}

static int open_import(struct job *job, struct import *import, struct tce_error *err)
{
	struct tce_geometry geometry;
	struct tce_source source;
	unsigned int i;
	int r;

	job->fd = open(import->file, O_RDONLY | O_CLOEXEC);
	if (job->fd < 0)
		return tce_set_error(err, TCE_ERR_IO, errno, "cannot open");
	job->current = import;
	source = tce_fd_source(job->fd);
	r = tce_create_reader(&job->reader, &source, err);
	for (i = 0; !r && i <= import->number; i++) {
		r = tce_next_table(job->reader, &geometry, err);
		if (r >= 0)
			r = r ? 0 : TCE_ERR_TORN;
	}
	if (!r && geometry.entries != import->geometry.entries)
		r = tce_set_error(err, TCE_ERR_GEOMETRY, 0, "the file has changed");
	if (!r)
		tce_begin_cursor(&job->cursor, job->reader);
	return r;
}

static int begin_table(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct job *job = ctx;
	size_t i;
	int r = 0;

	for (i = 0; i < job->import_count; i++) {
		if (job->imports[i].geometry.liobn != table->geometry.liobn)
			continue;
		job->imports[i].used = true;
		if (job->imports[i].geometry.entries != table->geometry.entries)
			r = tce_set_error(err, TCE_ERR_GEOMETRY, 0,
					  "LIOBN 0x%" PRIx64 " has %" PRIu64
					  " entries in the stream and %" PRIu64 " in the image",
					  table->geometry.liobn, table->geometry.entries,
					  job->imports[i].geometry.entries);
		else
			r = open_import(job, &job->imports[i], err);
		if (r)
			return in_file(err, job->imports[i].file, r);
	}
	return job->keep.begin_table ? job->keep.begin_table(job->keep.ctx, table, err) : 0;
}

/* Exports what the stream had, not what is imported in its place. */
static int table_words(void *ctx, const struct tce_stream_table *table, uint64_t index,
		       uint64_t *words, size_t count, struct tce_error *err)
{
	struct job *job = ctx;
	int r = 0;

	if (job->keep.words)
		r = job->keep.words(job->keep.ctx, table, index, words, count, err);
	if (!r && job->current) {
		r = tce_cursor_words(&job->cursor, words, count, err);
		if (r)
			return in_file(err, job->current->file, r);
	}
	return r;
}

static int end_table(void *ctx, const struct tce_stream_table *table, struct tce_error *err)
{
	struct job *job = ctx;
	int r = 0;

	if (job->current) {
		r = table->whole ? tce_match_geometry(&job->current->geometry, &table->geometry, err) :
		    tce_set_error(err, TCE_ERR_STREAM, 0,
				  "the section to be replaced does not end as a table does");
		if (r)
			return in_file(err, job->current->file, r);
		close_import(job);
	}
	if (job->stats)
		fprintf(stderr, "  LIOBN 0x%08" PRIx64 ": %" PRIu64 " entries of %" PRIu64
			" KiB from bus address 0x%" PRIx64 "%s\n", table->geometry.liobn,
			table->geometry.entries,
			table->whole && table->geometry.entries ?
			(UINT64_C(1) << table->geometry.page_shift) / 1024 : 0,
			table->geometry.bus_offset, table->bypass ? ", bypassed" : "");
	return job->keep.end_table ? job->keep.end_table(job->keep.ctx, table, err) : 0;
}

static int end_stream(void *ctx, const struct tce_stream_stats *stats, struct tce_error *err)
{
	struct job *job = ctx;
	size_t i;
	int r = 0;

	if (job->import_count && (!stats->understood || stats->verdict == TCE_STREAM_DISAGREES))
		return tce_set_error(err, TCE_ERR_STREAM, 0,
				     "the stream is not understood well enough to import tables%s%s",
				     stats->understood ? "" : ": ", stats->stopped_why);
	for (i = 0; i < job->import_count; i++)
		if (!job->imports[i].used)
			return in_file(err, job->imports[i].file,
				       tce_set_error(err, TCE_ERR_NO_TABLE, 0,
						     "the stream has no table with LIOBN 0x%" PRIx64,
						     job->imports[i].geometry.liobn));
	if (job->keep.end)
		r = job->keep.end(job->keep.ctx, stats, err);
	if (!r && job->export_folder)
		r = export_stream_tables(&job->tables, job->export_folder, err);
	return r;
}

static void print_stats(const struct tce_stream_stats *s)
{
	static const char *const verdicts[] = {
		[TCE_STREAM_UNCHECKED] = "not checked",
		[TCE_STREAM_AGREES] = "agrees",
		[TCE_STREAM_DISAGREES] = "tells of other sections",
	};

	fprintf(stderr, "stream       %" PRIu64 " bytes of QEMU, %" PRIu64 " packed\n"
		"machine      %s\n"
		"ram          %" PRIu64 " bytes, %" PRIu64 " blocks: %" PRIu64 " pages, %" PRIu64
		" zero, %" PRIu64 " xbzrle, %" PRIu64 " compressed\n"
		"htab         %" PRIu64 " bytes\n"
		"devices      %" PRIu64 " sections, %" PRIu64 " commands\n"
		"tables       %" PRIu64 ", %" PRIu64 " entries: %" PRIu64 " bytes, %" PRIu64
		" packed\n"
		"description  %" PRIu64 " bytes, %s\n",
		s->bytes, s->packed_bytes, s->machine[0] ? s->machine : "not named",
		s->ram_bytes, s->blocks, s->pages, s->zero_pages, s->xbzrle_pages,
		s->compressed_pages, s->htab_bytes, s->devices, s->commands, s->tables, s->entries,
		s->table_bytes, s->packed_table_bytes, s->description_bytes,
		verdicts[s->verdict]);
	if (s->stopped_why[0])
		fprintf(stderr, "untouched    from byte %" PRIu64 " on: %s\n", s->stopped_at,
			s->stopped_why);
}

static void print_help(void)
{
	puts("Usage: tce-stream pack [options] < QEMU's stream > packed stream\n"
	     "       tce-stream unpack [options] < packed stream > QEMU's stream\n"
	     "\n"
	     "Packs the TCE tables of a QEMU migration stream, or gives the stream back.\n"
	     "\n"
	     "  --export DIR    write each table to an image DIR/LIOBN.tce\n"
	     "  --import FILE   replace the tables that the image FILE has; may be repeated\n"
	     "  --stats         say on stderr what went through\n"
	     "  --help          show this\n"
	     "  --version       the version\n"
	     "\n"
	     "  migrate \"exec:tce-stream pack | ssh HOST 'cat > vm.tcs'\"\n"
	     "  -incoming \"exec:tce-stream unpack < vm.tcs\"");
}

static int run(struct job *job, bool pack)
{
	struct tce_stream_hooks hooks = { begin_table, table_words, end_table, end_stream, job };
	struct tce_source source = tce_fd_source(STDIN_FILENO);
	struct tce_sink sink = tce_fd_sink(STDOUT_FILENO);
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_stream_stats stats = { 0 };
	bool look = job->export_folder || job->import_count || job->stats;
	int r = 0;

	/* to look is to parse, and entries are copied twice more: only when asked */
	if (!job->export_folder && !job->import_count)
		hooks.words = NULL;
	if (job->export_folder) {
		r = open_stream_tables(&job->tables, &err);
		job->keep = stream_tables_hooks(&job->tables);
	}
	if (!r)
		r = pack ? tce_pack_stream(&source, &sink, look ? &hooks : NULL, &stats, &err) :
		    tce_unpack_stream(&source, &sink, look ? &hooks : NULL, &stats, &err);
	if (job->stats)
		print_stats(&stats);
	close_import(job);
	close_stream_tables(&job->tables);
	if (!r && close(STDOUT_FILENO))
		r = tce_set_error(&err, TCE_ERR_IO, errno, "cannot write the output");
	return r ? print_error(&err) : EXIT_DONE;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "export", required_argument, NULL, 'e' },
		{ "import", required_argument, NULL, 'i' },
		{ "stats", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL }
	};
	struct tce_error err = TCE_ERROR_INIT;
	struct job job = { 0 };
	int option, code = EXIT_DONE;
	bool pack;

	program = "tce-stream";
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'e':
			job.export_folder = optarg;
			break;
		case 'i':
			if (add_imports(&job, optarg, &err))
				code = print_error(&err);
			break;
		case 's':
			job.stats = true;
			break;
		case 'h':
			print_help();
			code = finish_output(EXIT_DONE);
			goto out;
		case 'v':
			puts("tce-stream " TCE_VERSION);
			code = finish_output(EXIT_DONE);
			goto out;
		default:
			code = misuse("see tce-stream --help");
		}
		if (code)
			goto out;
	}
	if (argc - optind != 1 ||
	    (strcmp(argv[optind], "pack") && strcmp(argv[optind], "unpack"))) {
		code = misuse("one of pack and unpack must be given");
		goto out;
	}
	pack = !strcmp(argv[optind], "pack");
	if (isatty(STDIN_FILENO) || isatty(STDOUT_FILENO)) {
		code = misuse("a stream cannot come from a terminal nor go to one");
		goto out;
	}
	/* a dead peer is an error like others, with a message */
	signal(SIGPIPE, SIG_IGN);
	/* fails where the limit is lower or it is no pipe; then it is only slower */
	(void)fcntl(STDIN_FILENO, F_SETPIPE_SZ, PIPE_SIZE);
	(void)fcntl(STDOUT_FILENO, F_SETPIPE_SZ, PIPE_SIZE);
	code = run(&job, pack);
out:
	free(job.imports);
	return code;
}
