// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which taps a process has open. Nothing here touches the process.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm-plugin.h"

int add_tap_fd(struct kvm_process *process, int fd)
{
	struct tap_fd *more;

	more = reallocarray(process->taps, process->nr_taps + 1, sizeof(*more));
	if (!more) {
		pr_err("Out of memory\n");
		return -1;
	}
	process->taps = more;
	more[process->nr_taps++] = (struct tap_fd){ .fd = fd, .held = -1, .placeholder = -1 };
	return 0;
}

/* CRIU saves another network namespace than its own, with the taps in it. */
static bool is_in_this_network(pid_t pid)
{
	char path[PATH_LEN];
	struct stat own, its;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	return !stat(path, &its) && !stat("/proc/self/ns/net", &own) && own.st_dev == its.st_dev &&
	       own.st_ino == its.st_ino;
}

static bool is_polled(const struct tap_fd *tap, const struct fdinfo *info)
{
	const char *text = NULL;

	while ((text = next_fdinfo(info, "tfd", text)))
		if (atoi(text) == tap->fd)
			return true;
	return false;
}

/*
 * While a placeholder stands for a tap, CRIU does not find in the process what an epoll waits for,
 * and would leave it out.
 */
static int check_epoll(const struct kvm_process *process, int epoll)
{
	struct fdinfo info;
	int ret = 0;
	size_t i;

	if (read_fdinfo(&info, process->pid, epoll))
		return -1;
	for (i = 0; i < process->nr_taps; i++) {
		if (!is_polled(&process->taps[i], &info))
			continue;
		pr_err("Process %d, fd %d: a tap can't be saved: an epoll (fd %d) waits for it\n",
		       process->pid, process->taps[i].fd, epoll);
		ret = -1;
	}
	free_fdinfo(&info);
	return ret;
}

int check_tap_fds(struct kvm_process *process)
{
	int ret = 0;
	size_t i;

	if (process->nr_taps && !is_in_this_network(process->pid))
		process->nr_taps = 0;
	for (i = 0; process->nr_taps && i < process->nr_epolls; i++)
		if (check_epoll(process, process->epolls[i]))
			ret = -1;
	return ret;
}
