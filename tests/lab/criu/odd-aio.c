// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * odd-vmm with requests of the kernel's asynchronous I/O in flight, as QEMU has with aio=native.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/aio_abi.h>

#include "odd-aio.h"

#define REQUESTS 4
#define BLOCK	 4096

static aio_context_t context;
static struct iocb requests[REQUESTS];

int start_aio(const char *path)
{
	struct iocb *request;
	int fd, i;

	if (syscall(SYS_io_setup, REQUESTS, &context))
		return -1;
	if (!path)
		return 0;
	fd = open(path, O_RDONLY | O_DIRECT);
	if (fd < 0)
		return -1;
	for (i = 0; i < REQUESTS; i++) {
		request = &requests[i];
		request->aio_lio_opcode = IOCB_CMD_PREAD;
		request->aio_fildes = fd;
		request->aio_buf = (uintptr_t)aligned_alloc(BLOCK, BLOCK);
		request->aio_nbytes = BLOCK;
		request->aio_data = i;
		if (syscall(SYS_io_submit, context, 1, &request) != 1)
			return -1;
	}
	return 0;
}

int take_aio(void)
{
	struct io_event events[REQUESTS];
	struct timespec none = {};
	int i, got = (int)syscall(SYS_io_getevents, context, 0, REQUESTS, events, &none);

	for (i = 0; i < got; i++) {
		struct iocb *request = &requests[events[i].data];

		if (events[i].res != BLOCK || syscall(SYS_io_submit, context, 1, &request) != 1)
			return -1;
	}
	return got;
}
