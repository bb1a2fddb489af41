// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where an image is written.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

/* What ends a process that has not said what to do then. */
static const int ending[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGXCPU, SIGXFSZ };

/* For the handler: the file that is being written. A tool writes one at a time. */
static struct tce_file *volatile unfinished;

/* The signal comes again when this has returned, and then ends the process. */
static void discard_unfinished(int number)
{
	if (unfinished)
		tce_discard_file(unfinished);
	raise(number);
}

static void block_ending(sigset_t *old)
{
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < ARRAY_SIZE(ending); i++)
		sigaddset(&set, ending[i]);
	sigprocmask(SIG_BLOCK, &set, old);
}

/* Signals that are ignored, as under nohup(1), or that have a handler stay as they are. */
static void handle_ending(void)
{
	const struct sigaction action = { .sa_handler = discard_unfinished,
					  .sa_flags = SA_RESETHAND };
	struct sigaction old;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ending); i++) {
		if (!sigaction(ending[i], NULL, &old) && old.sa_handler == SIG_DFL)
			sigaction(ending[i], &action, NULL);
	}
}

int create_output_file(struct tce_file **file, const char *path, struct tce_error *err)
{
	struct stat st;
	sigset_t old;
	int ret;

	/* Opening a pipe may wait for a reader for ever. There is nothing to remove. */
	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return tce_create_file(file, path, err);
	handle_ending();
	block_ending(&old);
	ret = tce_create_file(file, path, err);
	if (!ret)
		unfinished = *file;
	sigprocmask(SIG_SETMASK, &old, NULL);
	return ret;
}

void close_output_file(struct tce_file *file)
{
	/* A signal between these finds the file removed already, or no file. */
	if (file)
		tce_discard_file(file);
	unfinished = NULL;
	tce_close_file(file);
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
		ret = create_output_file(&output->file, path, err);
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
	close_output_file(output->file);
	output->file = NULL;
}
