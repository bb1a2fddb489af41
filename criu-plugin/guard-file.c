// SPDX-License-Identifier: GPL-2.0-only
/*
 * Putting an open file into a guarded process, in the place of another one: a tap's placeholder,
 * and later the tap. The process need not be allowed to open it: it receives it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guard-private.h"

/* What its system calls work with, in a page of its own. */
struct parcel {
	int32_t ends[2]; /* of a socket pair */
	struct msghdr message;
	struct iovec data;
	char byte;
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
};

/* From this process, by the other end of the pair. */
static int send_file(const struct guard *guard, int end, int file)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int sock = get_fd(guard->process->pid, end), ret;

	if (sock < 0)
		return -1;
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &file, sizeof(file));
	ret = sendmsg(sock, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
	if (ret)
		pr_perror("Can't hand a file to process %d", guard->process->pid);
	close(sock);
	return ret;
}

/* What is put where. */
struct delivery {
	int file, fd;
	bool cloexec;
};

/* In the process, whose memory at @page has the parcel. The answer is the fd there, or -1. */
static int receive_file(const struct guard *guard, uint64_t page, struct parcel *parcel)
{
	const struct cmsghdr *header = &parcel->control.header;
	pid_t pid = guard->process->pid;
	long result;
	int fd;

	parcel->data.iov_base = (void *)(page + offsetof(struct parcel, byte));
	parcel->data.iov_len = 1;
	parcel->message.msg_iov = (void *)(page + offsetof(struct parcel, data));
	parcel->message.msg_iovlen = 1;
	parcel->message.msg_control = (void *)(page + offsetof(struct parcel, control));
	parcel->message.msg_controllen = sizeof(parcel->control);
	if (copy_memory(pid, true, page, parcel, sizeof(*parcel)) ||
	    guard_call(guard, &result, __NR_recvmsg, parcel->ends[0],
		       page + offsetof(struct parcel, message), MSG_CMSG_CLOEXEC | MSG_DONTWAIT, 0,
		       0, 0) ||
	    copy_memory(pid, false, page, parcel, sizeof(*parcel)))
		return -1;
	if (header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int))) {
		pr_err("Process %d did not receive the file that was sent to it\n", pid);
		return -1;
	}
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

static int take_place(const struct guard *guard, int got, const struct delivery *delivery)
{
	long result;

	if (guard_call(guard, &result, __NR_dup3, got, delivery->fd,
		       delivery->cloexec ? O_CLOEXEC : 0, 0, 0, 0))
		return -1;
	return guard_call(guard, &result, __NR_close, got, 0, 0, 0, 0, 0);
}

static int put_through(const struct guard *guard, uint64_t page, void *arg)
{
	const struct delivery *delivery = arg;
	struct parcel parcel = {};
	int got, ret = -1;
	long result;
	size_t i;

	if (guard_call(guard, &result, __NR_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
		       page, 0, 0) ||
	    copy_memory(guard->process->pid, false, page, parcel.ends, sizeof(parcel.ends)))
		return -1;
	if (!send_file(guard, parcel.ends[1], delivery->file)) {
		got = receive_file(guard, page, &parcel);
		if (got >= 0)
			ret = take_place(guard, got, delivery);
	}
	for (i = 0; i < ARRAY_LEN(parcel.ends); i++)
		if (guard_call(guard, &result, __NR_close, parcel.ends[i], 0, 0, 0, 0, 0))
			ret = -1;
	return ret;
}

/* @file, of this process, becomes @fd of the guarded one. */
static int put_file(const struct guard *guard, int file, int fd, bool cloexec)
{
	struct delivery delivery = { .file = file, .fd = fd, .cloexec = cloexec };

	return with_page(guard, put_through, &delivery);
}

int replace_taps(const struct guard *guard)
{
	const struct kvm_process *process = guard->process;
	size_t i;

	for (i = 0; i < process->nr_taps; i++)
		if (put_file(guard, process->taps[i].placeholder, process->taps[i].fd,
			     process->taps[i].cloexec))
			return -1;
	return 0;
}

int put_taps_back(const struct guard *guard)
{
	const struct kvm_process *process = guard->process;
	size_t i;
	int there;

	for (i = 0; i < process->nr_taps; i++) {
		const struct tap_fd *tap = &process->taps[i];

		there = has_tap(process->pid, tap);
		if (there < 0 || (!there && put_file(guard, tap->held, tap->fd, tap->cloexec)))
			return -1;
	}
	return 0;
}
