// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where an image is written.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

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

int open_output(struct output *output, const char *path, struct tce_error *err)
{
	int ret;

	*output = (struct output){ .path = path };
	if (is_terminal(path)) {
		ret = tce_set_error(err, TCE_ERR_UNSUPPORTED, 0,
				    "an image is not written to a terminal");
	} else if (is_stdout(path)) {
		output->path = "standard output";
		output->sink = tce_fd_sink(STDOUT_FILENO);
		return TCE_OK;
	} else {
		ret = tce_create_file(&output->file, path, err);
	}
	if (ret < 0) {
		name_error(err, path);
		return ret;
	}
	output->sink = tce_file_sink(output->file);
	return TCE_OK;
}

int commit_output(struct output *output, struct tce_error *err)
{
	int ret = output->file ? tce_commit_file(output->file, err) : 0;

	if (ret < 0)
		name_error(err, output->path);
	return ret;
}

void close_output(struct output *output)
{
	tce_close_file(output->file);
	output->file = NULL;
}
