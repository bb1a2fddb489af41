// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tables into a TCE image.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dump/dump.h"
#include "meter.h"

static int next_of_source(void *ctx, struct tce_extent *extent, struct tce_error *err)
{
	struct source *source = ctx;

	return source->ops->next_extent(source, extent, err);
}

static int save_table(struct source *source, const struct tce_geometry *geometry,
		      struct tce_writer *writer, struct tce_error *err)
{
	const struct tce_extents entries = { .next = next_of_source, .ctx = source };
	struct tce_progress progress;
	struct meter meter;
	int ret;

	progress = begin_meter(&meter, geometry);
	ret = tce_copy_table(writer, geometry, &entries, &progress, err);
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
	if (!ret && (tables || !is_choice(choice)))
		ret = tce_end_image(writer, err);
	*size = tce_writer_size(writer);
	tce_destroy_writer(writer);
	return ret < 0 ? ret : tables;
}

/* Is this path another name of standard output, as /dev/stdout is? */
static bool is_stdout(const char *path)
{
	struct stat file, out;

	if (!strcmp(path, "-"))
		return true;
	return !stat(path, &file) && !fstat(STDOUT_FILENO, &out) && file.st_dev == out.st_dev &&
	       file.st_ino == out.st_ino && !S_ISCHR(file.st_mode);
}

/* What an image says of itself would steer the terminal. */
static bool is_terminal(const char *path)
{
	struct stat st;
	bool answer;
	int fd;

	if (!strcmp(path, "-"))
		return isatty(STDOUT_FILENO);
	if (stat(path, &st) || !S_ISCHR(st.st_mode))
		return false;
	fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	answer = isatty(fd);
	close(fd);
	return answer;
}

static int save_to_stdout(struct source *source, const struct choice *choice, struct tce_error *err)
{
	struct tce_sink sink = tce_fd_sink(STDOUT_FILENO);
	uint64_t size;
	int tables = save_tables(source, choice, &sink, &size, err);

	if (tables < 0)
		name_error(err, "standard output");
	return tables;
}

/* Save to a file; the old one of that name stays until the new one is whole and on disk. */
static int save_to_file(struct source *source, const struct choice *choice, const char *path,
			struct tce_error *err)
{
	struct tce_file *file;
	struct tce_sink sink;
	uint64_t size;
	bool some;
	int tables, ret;

	ret = tce_create_file(&file, path, err);
	if (ret < 0) {
		name_error(err, path);
		return ret;
	}
	sink = tce_file_sink(file);
	tables = save_tables(source, choice, &sink, &size, err);
	ret = tables;
	/* When none was asked for, no tables are what the source has. */
	some = tables > 0 || (!tables && !is_choice(choice));
	if (some)
		ret = tce_commit_file(file, err);
	tce_close_file(file);
	if (ret < 0) {
		name_error(err, path);
		return ret;
	}
	if (some)
		print_result("%s: %d table%s saved in %" PRIu64 " bytes", path, tables,
			     tables == 1 ? "" : "s", size);
	return tables;
}

int save_source(struct source *source, const struct choice *choice, bool *no, struct tce_error *err)
{
	int ret;

	if (is_terminal(choice->output)) {
		ret = tce_set_error(err, TCE_ERR_UNSUPPORTED, 0,
				    "an image is not written to a terminal");
		name_error(err, choice->output);
		return ret;
	}
	if (is_stdout(choice->output))
		return save_to_stdout(source, choice, err);
	return save_to_file(source, choice, choice->output, err);
}
