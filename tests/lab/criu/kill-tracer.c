// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Kills whoever has a process stopped, in the middle of that.
 *
 *	kill-tracer PID NAME LOOKS COMMAND...
 *
 * While COMMAND runs, waits until PID is traced by a process called NAME, looks LOOKS times more
 * whether it still is, and kills that one. The exit code is 0 if it was killed so, 3 if it had let
 * go before, or never came; by then COMMAND has ended.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The process ID of the tracer of that name, or 0. */
static int find_tracer(const char *pid, const char *name)
{
	char path[64], line[256];
	int tracer = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/status", pid);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			break;
	if (file)
		fclose(file);
	if (!tracer)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/comm", tracer);
	file = fopen(path, "r");
	if (!file || !fgets(line, sizeof(line), file))
		line[0] = '\0';
	if (file)
		fclose(file);
	line[strcspn(line, "\n")] = '\0';
	return strcmp(line, name) ? 0 : tracer;
}

int main(int argc, char **argv)
{
	int tracer = 0, looks, killed = 0, status;
	pid_t command, ended = 0;

	if (argc < 5)
		return 2;
	command = fork();
	if (!command) {
		execvp(argv[4], argv + 4);
		perror(argv[4]);
		_exit(127);
	}
	while (!tracer && !ended) {
		tracer = find_tracer(argv[1], argv[2]);
		ended = waitpid(command, &status, WNOHANG);
	}
	for (looks = atoi(argv[3]); looks > 0 && tracer; looks--)
		if (find_tracer(argv[1], argv[2]) != tracer)
			tracer = 0;
	if (tracer)
		killed = !kill(tracer, SIGKILL);
	if (!ended)
		waitpid(command, &status, 0);
	return killed ? 0 : 3;
}
