// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * For the lab: moves a table between two running VMMs as a VMM would that migrates its guest, in
 * rounds through a pipe, and says what each round was.
 *
 *	table-rounds SOURCE-PID TARGET-PID LIOBN MAX-ROUNDS STOP-COMMAND [MILLISECONDS]
 *
 * Runs STOP-COMMAND, which stops the guest, when a round was one group of the dirty log or less, or
 * after MAX-ROUNDS; then comes the last. Waits MILLISECONDS (100) before each round but the first.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tce-stream.h"

struct receiver {
	struct tce_table *table;
	int fd;
	int ret;
	struct tce_error err;
};

static void *receive(void *ctx)
{
	struct receiver *receiver = ctx;
	struct tce_source source = tce_fd_source(receiver->fd);

	receiver->ret = tce_receive_table(receiver->table, &source, &receiver->err);
	/* A sender that is left alone must not wait for ever. */
	close(receiver->fd);
	return NULL;
}

static int failed(const struct tce_error *err)
{
	char line[600];

	fprintf(stderr, "table-rounds: %s\n", tce_format_error(err, line, sizeof(line)));
	return 1;
}

int main(int argc, char **argv)
{
	struct receiver receiver = { .err = TCE_ERROR_INIT };
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_vmm *from, *to;
	struct tce_table *table;
	struct tce_sender *sender;
	struct tce_round round;
	struct tce_sink sink;
	uint64_t liobn, before = UINT64_MAX, whole;
	unsigned int number, max;
	useconds_t pause_us;
	pthread_t thread;
	bool last = false;
	int pipe_fds[2];

	if (argc < 6) {
		fprintf(stderr, "usage: table-rounds SOURCE-PID TARGET-PID LIOBN MAX-ROUNDS "
				"STOP-COMMAND [MS]\n");
		return 2;
	}
	liobn = strtoull(argv[3], NULL, 0);
	max = (unsigned int)strtoul(argv[4], NULL, 0);
	pause_us = argc > 6 ? (useconds_t)strtoul(argv[6], NULL, 0) * 1000 : 100000;
	if (tce_open_vmm(&from, atoi(argv[1]), &err) || tce_open_vmm(&to, atoi(argv[2]), &err) ||
	    tce_find_table(from, liobn, &table, &err) ||
	    tce_find_table(to, liobn, &receiver.table, &err) ||
	    tce_match_geometry(tce_table_geometry(table), tce_table_geometry(receiver.table), &err))
		return failed(&err);
	whole = tce_table_geometry(table)->entries;
	if (pipe(pipe_fds))
		return 1;
	receiver.fd = pipe_fds[0];
	sink = tce_fd_sink(pipe_fds[1]);
	if (pthread_create(&thread, NULL, receive, &receiver) ||
	    tce_create_sender(&sender, table, &sink, &err))
		return failed(&err);
	for (number = 1; !last; number++) {
		if (number > 1)
			usleep(pause_us);
		last = number > max || (number > 2 && before <= 512);
		if (last && system(argv[5])) {
			fprintf(stderr, "table-rounds: the guest does not stop\n");
			return 1;
		}
		if (tce_send_round(sender, last, &round, &err))
			return failed(&err);
		printf("round %u%s: %" PRIu64 " of %" PRIu64 " entries, %" PRIu64 " bytes%s\n",
		       number, last ? " (guest stopped)" : "", round.entries, whole, round.bytes,
		       round.logged ? ", by the dirty log" : "");
		fflush(stdout);
		before = round.entries;
	}
	tce_destroy_sender(sender);
	close(pipe_fds[1]);
	pthread_join(thread, NULL);
	if (receiver.ret)
		return failed(&receiver.err);
	printf("received: QEMU would send %" PRIu64 " bytes while the guest is stopped\n",
	       whole * 8);
	tce_close_vmm(from);
	tce_close_vmm(to);
	return 0;
}
