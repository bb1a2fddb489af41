// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program that is given bytes and gives others back. A process of its own feeds it: one that did
 * both could wait for a program that waits for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "source/filter.h"

extern char **environ;

#define BUFFER_SIZE 65536

/**
 * struct filter - a program
 * @name: its name.
 * @output: what it writes.
 * @program: its process; 0 when it has been waited for.
 * @feeder: the process that feeds it; 0 likewise.
 * @ended: it has been read to its end.
 */
struct filter {
	const char *name;
	int output;
	pid_t program, feeder;
	bool ended;
};

static void close_pipe(int ends[2])
{
	int i;

	for (i = 0; i < 2; i++) {
		if (ends[i] >= 0)
			close(ends[i]);
	}
}

/* Its messages would be about bytes that nobody has looked at. */
static int spawn(pid_t *pid, const char *const *command, int input, int output)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char *arguments[8] = { NULL };
	sigset_t signals;
	size_t i;
	int ret;

	for (i = 0; command[i] && i < ARRAY_SIZE(arguments) - 1; i++)
		arguments[i] = (char *)(uintptr_t)command[i];
	if (posix_spawn_file_actions_init(&actions))
		return ENOMEM;
	if (posix_spawnattr_init(&attributes)) {
		posix_spawn_file_actions_destroy(&actions);
		return ENOMEM;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGPIPE);
	posix_spawnattr_setsigdefault(&attributes, &signals);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	ret = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	if (!ret)
		ret = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (!ret)
		ret = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null",
						       O_WRONLY, 0);
	if (!ret)
		ret = posix_spawnp(pid, command[0], &actions, &attributes, arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return ret;
}

/* The feeding process. It ends well when it has given all, or when no more is wanted. */
static void feed(const struct tce_source *from, int fd)
{
	static uint8_t buf[BUFFER_SIZE];
	const struct tce_sink sink = tce_fd_sink(fd);
	ssize_t got;
	int ret = 0;

	signal(SIGPIPE, SIG_IGN);
	while (!ret && (got = from->read(from->ctx, buf, sizeof(buf))) > 0)
		ret = sink.write(sink.ctx, buf, (size_t)got);
	_exit(ret ? ret != -EPIPE : got < 0);
}

static int start(struct filter *filter, const char *const *command, const struct tce_source *from,
		 struct tce_error *err)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, ret;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) {
		ret = tce_set_error(err, TCE_ERR_IO, errno, "cannot make a pipe");
		goto out_close;
	}
	ret = spawn(&filter->program, command, in[0], out[1]);
	if (ret) {
		filter->program = 0;
		ret = tce_set_error(err, ret == ENOENT ? TCE_ERR_UNSUPPORTED : TCE_ERR_IO,
				    ret == ENOENT ? 0 : ret, "%s, by which it is compressed, %s",
				    command[0],
				    ret == ENOENT ? "is not installed" : "cannot be run");
		goto out_close;
	}
	filter->feeder = fork();
	if (!filter->feeder) {
		close(in[0]);
		close_pipe(out);
		feed(from, in[1]);
	}
	if (filter->feeder < 0) {
		filter->feeder = 0;
		ret = tce_set_error(err, TCE_ERR_IO, errno, "cannot start a process");
		goto out_close;
	}
	filter->output = out[0];
	out[0] = -1;
out_close:
	close_pipe(in);
	close_pipe(out);
	return ret;
}

int open_filter(struct filter **result, const char *const *command, const struct tce_source *from,
		struct tce_error *err)
{
	struct filter *filter = calloc(1, sizeof(*filter));
	int ret;

	if (!filter)
		return no_memory(err, command[0]);
	filter->name = command[0];
	filter->output = -1;
	ret = start(filter, command, from, err);
	if (ret)
		close_filter(filter);
	else
		*result = filter;
	return ret;
}

ssize_t read_filter(struct filter *filter, void *buf, size_t len)
{
	ssize_t got;

	do {
		got = read(filter->output, buf, len);
	} while (got < 0 && errno == EINTR);
	if (!got)
		filter->ended = true;
	return got < 0 ? -errno : got;
}

/* Returns the status that waitpid() gives; 0 for a process that has been waited for. */
static int reap(pid_t *pid)
{
	int status = 0;

	while (*pid && waitpid(*pid, &status, 0) < 0 && errno == EINTR)
		;
	*pid = 0;
	return status;
}

int finish_filter(struct filter *filter, struct tce_error *err)
{
	int status, fed;

	if (!filter->ended)
		return TCE_OK;
	status = reap(&filter->program);
	fed = reap(&filter->feeder);
	if (fed)
		return tce_set_error(err, TCE_ERR_IO, 0, "it cannot be read to its end");
	if (status)
		return tce_set_error(err, TCE_ERR_CORRUPT, 0,
				     "what %s compressed is damaged or ends in the middle",
				     filter->name);
	return TCE_OK;
}

void close_filter(struct filter *filter)
{
	if (!filter)
		return;
	if (filter->program)
		kill(filter->program, SIGKILL);
	if (filter->output >= 0)
		close(filter->output);
	reap(&filter->program);
	if (filter->feeder)
		kill(filter->feeder, SIGKILL);
	reap(&filter->feeder);
	free(filter);
}
