// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guard: a second process, which undoes what the first one leaves when it is killed.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "restore/restore.h"

/* What the guard is told beside the number of each target of which the writing begins. */
#define GUARD_DISMISSED	UINT32_MAX

static void send_to_guard(const struct restore *restore, uint32_t what)
{
	/* Without a guard, there is nobody to undo a kill, and nothing else is different. */
	send(restore->to_guard, &what, sizeof(what), MSG_NOSIGNAL);
}

void tell_guard(const struct restore *restore, size_t number)
{
	send_to_guard(restore, (uint32_t)number);
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
		return tce_set_error(err, TCE_ERR_IO, errno, "no socket to a second process");
	restore->guard = fork();
	if (restore->guard < 0) {
		tce_set_error(err, TCE_ERR_IO, errno, "no second process to undo in");
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
	send_to_guard(restore, GUARD_DISMISSED);
	close(restore->to_guard);
	waitpid(restore->guard, NULL, 0);
}
