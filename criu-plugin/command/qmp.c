// SPDX-License-Identifier: GPL-2.0-only
/*
 * QMP, as far as it takes to pause a guest: every answer of QEMU's is a line, which begins with
 * what it is.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "kvm-plugin.h"
#include "qmp.h"

/* Seconds. A client that QEMU has no time for is not greeted. */
#define GREETING_PATIENCE 10
/* To stop a guest, QEMU waits for its disks, which may have a lot to write. */
#ifndef ANSWER_PATIENCE
#define ANSWER_PATIENCE 600
#define LATE_PATIENCE	60 /* after that, for an answer all the same */
#endif
#define ANSWER_SIZE (1 << 16) /* no answer that is asked for is that long */

struct qmp {
	const char *path;
	int sock;
	FILE *answers;
	char line[ANSWER_SIZE];
};

static void close_qmp(struct qmp *qmp)
{
	if (qmp->answers)
		fclose(qmp->answers);
	if (qmp->sock >= 0)
		close(qmp->sock);
}

static bool begins(const char *line, const char *with)
{
	return !strncmp(line, with, strlen(with));
}

/* The next line that is no event, of which there may be any number. */
static int next_answer(struct qmp *qmp, unsigned int seconds)
{
	const struct timeval patience = { .tv_sec = seconds };
	const uint64_t end = now_us() + seconds * 1000000ULL;

	setsockopt(qmp->sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	do {
		if (!fgets(qmp->line, sizeof(qmp->line), qmp->answers))
			break;
		if (!begins(qmp->line, "{\"timestamp\""))
			return 0;
	} while (now_us() < end);
	pr_err("%s: QEMU's monitor does not answer%s\n", qmp->path,
	       seconds == GREETING_PATIENCE ? " (has it another client?)" : "");
	return -1;
}

static int send_command(struct qmp *qmp, const char *command)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "{\"execute\":\"%s\"}\n", command);

	if (send(qmp->sock, text, len, MSG_NOSIGNAL) == len)
		return 0;
	pr_perror("%s: QEMU's monitor can't be asked", qmp->path);
	return -1;
}

static int check_answer(const struct qmp *qmp, const char *command)
{
	if (begins(qmp->line, "{\"return\""))
		return 0;
	pr_err("%s: QEMU refuses `%s': %s", qmp->path, command, qmp->line);
	return -1;
}

/* The answer is in @qmp->line. */
static int ask(struct qmp *qmp, const char *command)
{
	if (send_command(qmp, command) || next_answer(qmp, ANSWER_PATIENCE))
		return -1;
	return check_answer(qmp, command);
}

static int open_qmp(struct qmp *qmp, const char *path)
{
	const struct timeval patience = { .tv_sec = GREETING_PATIENCE };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	*qmp = (struct qmp){ .path = path, .sock = -1 };
	if (strlen(path) >= sizeof(addr.sun_path)) {
		pr_err("%s: the path of a unix socket is not that long\n", path);
		return -1;
	}
	strcpy(addr.sun_path, path);
	qmp->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (qmp->sock < 0 ||
	    setsockopt(qmp->sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    connect(qmp->sock, (struct sockaddr *)&addr, sizeof(addr)) ||
	    !(qmp->answers = fdopen(dup(qmp->sock), "r"))) {
		pr_perror("%s: QEMU's monitor can't be reached", path);
		goto err;
	}
	if (next_answer(qmp, GREETING_PATIENCE))
		goto err;
	if (!begins(qmp->line, "{\"QMP\"")) {
		pr_err("%s: this is not QEMU's monitor (QMP)\n", path);
		goto err;
	}
	if (!ask(qmp, "qmp_capabilities"))
		return 0;
err:
	close_qmp(qmp);
	return -1;
}

int qmp_is_running(const char *path)
{
	struct qmp qmp;
	int ret = -1;

	if (open_qmp(&qmp, path))
		return -1;
	if (!ask(&qmp, "query-status"))
		ret = !!strstr(qmp.line, "\"running\": true");
	close_qmp(&qmp);
	return ret;
}

int qmp_do(const char *path, const char *command)
{
	struct qmp qmp;
	int ret;

	if (open_qmp(&qmp, path))
		return -1;
	ret = ask(&qmp, command);
	close_qmp(&qmp);
	return ret;
}

/*
 * QEMU has not answered `stop'. It does one thing after the other, but forgets what a client has
 * asked for that has gone.
 */
static int have_it_go_on(struct qmp *qmp)
{
	clearerr(qmp->answers);
	if (!send_command(qmp, "cont") && !next_answer(qmp, LATE_PATIENCE) &&
	    !next_answer(qmp, LATE_PATIENCE) && begins(qmp->line, "{\"return\"")) {
		pr_err("%s: QEMU has paused the guest too late, and continued it\n", qmp->path);
		return QMP_GOES_ON;
	}
	pr_err("%s: QEMU may pause the guest yet. Have it go on by what is typed into its monitor: "
	       "{\"execute\":\"qmp_capabilities\"} {\"execute\":\"cont\"}\n",
	       qmp->path);
	return QMP_STUCK;
}

int qmp_stop(const char *path)
{
	struct qmp qmp;
	int ret = -1;

	if (open_qmp(&qmp, path))
		return -1;
	if (!send_command(&qmp, "stop")) {
		if (!next_answer(&qmp, ANSWER_PATIENCE))
			ret = check_answer(&qmp, "stop");
		else if (!feof(qmp.answers))
			ret = have_it_go_on(&qmp);
	}
	close_qmp(&qmp);
	return ret;
}
