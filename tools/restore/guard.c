// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guard: a second process, which undoes what the first one leaves when it is killed.
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "restore/restore.h"

/* What the guard is told beside the number of each target of which the writing begins. */
#define GUARD_DISMISSED UINT32_MAX

static int send_to_guard(const struct restore *restore, uint32_t what)
{
	return send(restore->to_guard, &what, sizeof(what), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int tell_guard(const struct restore *restore, size_t number, struct tce_error *err)
{
	int ret = send_to_guard(restore, (uint32_t)number);

	/* Without a guard nobody would undo a kill. */
	if (ret < 0)
		return tce_set_error(err, TCE_ERR_IO, -ret, "cannot reach the guard process");
	return TCE_OK;
}

/* What the guard does: wait for the dismissal, or for the end of the process that writes. */
static void guard_tables(struct restore *restore, int socket, pid_t writer)
{
	char name[TABLE_NAME_SIZE];
	uint32_t what;
	size_t i;

	while (recv(socket, &what, sizeof(what), 0) == sizeof(what)) {
		if (what == GUARD_DISMISSED)
			return;
		restore->targets[what].touched = true;
	}
	print_warning("process %d was killed in the middle", (int)writer);
	for (i = 0; i < restore->count; i++) {
		if (restore->targets[i].touched)
			print_warning("%s: some or all entries had been written",
				      format_table(&restore->targets[i].saved, name));
	}
	undo(restore);
}

int start_guard(struct restore *restore, struct tce_error *err)
{
	const pid_t writer = getpid();
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return tce_set_error(err, TCE_ERR_IO, errno,
				     "cannot make a socket to the guard process");
	restore->guard = fork();
	if (restore->guard < 0) {
		tce_set_error(err, TCE_ERR_IO, errno, "cannot start the guard process");
		close(sockets[0]);
		close(sockets[1]);
		return err->code;
	}
	if (!restore->guard) {
		close(sockets[0]);
		guard_tables(restore, sockets[1], writer);
		_exit(EXIT_DONE);
	}
	close(sockets[1]);
	restore->to_guard = sockets[0];
	return TCE_OK;
}

void dismiss_guard(struct restore *restore)
{
	/* It must not take the end of the socket for the end of this process. */
	if (send_to_guard(restore, GUARD_DISMISSED) < 0)
		kill(restore->guard, SIGKILL);
	close(restore->to_guard);
	waitpid(restore->guard, NULL, 0);
}
