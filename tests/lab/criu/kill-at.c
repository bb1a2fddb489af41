// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs a command that writes a log, and kills it when it has written a number of lines.
 *
 *	kill-at LINE process|group|cgroup LOG COMMAND...
 *
 * The command writes its log to file descriptor 3, and what it has written is put into LOG. With
 * "group" its process group is killed, with "cgroup" the cgroup that it is put into,
 * /sys/fs/cgroup/kill-at. The exit code is 0 if it was killed, 3 if it ended before; then standard
 * output has the number of lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CGROUP "/sys/fs/cgroup/kill-at"
#define LOG_FD 3

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void write_cgroup(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		die(file);
	close(fd);
}

static pid_t start(const char *how, char **command, int *log)
{
	int fds[2];
	pid_t pid;

	if (pipe(fds))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid) {
		close(fds[1]);
		*log = fds[0];
		return pid;
	}
	setsid();
	if (!strcmp(how, "cgroup"))
		write_cgroup(CGROUP "/cgroup.procs", "0");
	close(fds[0]);
	if (fds[1] != LOG_FD && (dup2(fds[1], LOG_FD) < 0 || close(fds[1])))
		die("dup2");
	execvp(command[0], command);
	die(command[0]);
	return -1;
}

static void end(const char *how, pid_t pid)
{
	if (!strcmp(how, "cgroup"))
		write_cgroup(CGROUP "/cgroup.kill", "1");
	else if (kill(strcmp(how, "group") ? pid : -pid, SIGKILL))
		die("kill");
}

int main(int argc, char **argv)
{
	const struct sched_param at_once = { .sched_priority = 50 };
	unsigned long line, lines = 0;
	int log, copy, killed = 0, status;
	char buf[4096];
	ssize_t got, i;
	pid_t pid;

	if (argc < 5)
		return 2;
	line = strtoul(argv[1], NULL, 10);
	copy = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (copy < 0)
		die(argv[3]);
	if (!strcmp(argv[2], "cgroup") && mkdir(CGROUP, 0755) && errno != EEXIST)
		die(CGROUP);
	pid = start(argv[2], argv + 4, &log);
	/* As soon as a line is written, before the writer gets any further. */
	if (sched_setscheduler(0, SCHED_FIFO, &at_once))
		die("sched_setscheduler");
	/* Up to the end of all who have the log open. */
	while ((got = read(log, buf, sizeof(buf))) > 0) {
		for (i = 0; i < got; i++)
			lines += buf[i] == '\n';
		if (!killed && lines >= line) {
			end(argv[2], pid);
			killed = 1;
		}
		if (write(copy, buf, got) != got)
			die(argv[3]);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	printf("%lu\n", lines);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : 3;
}
