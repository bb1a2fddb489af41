// SPDX-License-Identifier: GPL-2.0-only
/*
 * vhost-net that is taken from its VMM for the time of a dump.
 *
 * The plugin can save it only while nobody owns it, and CRIU could not stop the threads in which
 * the kernel works for it. So its owner, the VMM, is made to give it up (VHOST_RESET_OWNER) before
 * CRIU comes, while no ring has a backend, which is so while the guest is paused. What the VMM has
 * told it by then it tells it again when the guest goes on.
 *
 * A process of its own does that, which no signal to this one's process group or cgroup reaches.
 * It gives everything back when this one is gone. If it is killed itself, the guest stays paused,
 * and QEMU serves the card itself when it goes on.
 */
#include <errno.h>
#include <linux/vhost.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../guard-private.h"
#include "hold.h"
#include "qmp.h"

#define RINGS	      2 /* of an fd: to the guest and from it */
#define PAUSE_MS      100
#define STOP_PATIENCE 300 /* pauses: for the plugin to put the process back */

struct hold {
	const struct kvm_process *process;
	const char *socket; /* or NULL */
	bool was_stopped;
	int pidfd;
	bool paused, taken; /* by us */
};

static int leader_ioctl(const struct guard *guard, int fd, unsigned long cmd, uint64_t arg,
			long *result)
{
	const uint64_t call[7] = { __NR_ioctl, fd, cmd, arg };

	if (!inject_syscall(&guard->threads[0], guard->sc, call, result))
		return 0;
	pr_perror("Can't make process %d do a system call", guard->process->pid);
	return -1;
}

/* ---- in the process ---- */

/*
 * Without descriptors, a ring is refused with EBUSY if it has a backend, with EPERM if the process
 * does not own it, and with EINVAL otherwise. @page is the process's.
 */
static int check_ring(const struct guard *guard, uint64_t page, int fd, unsigned int ring)
{
	struct vhost_vring_state state = { .index = ring };
	pid_t pid = guard->process->pid;
	long result;

	if (copy_memory(pid, true, page, &state, sizeof(state)) ||
	    leader_ioctl(guard, fd, VHOST_SET_VRING_NUM, page, &result))
		return -1;
	if (result == -EBUSY) {
		pr_err("Process %d, fd %d: vhost-net is at work: the guest has to be paused "
		       "(--qmp does that)\n",
		       pid, fd);
		return -1;
	}
	if (result == -EPERM)
		return 0;
	if (result != -EINVAL) {
		errno = -result;
		pr_perror("Process %d, fd %d: vhost-net does not say whether it is at work", pid,
			  fd);
		return -1;
	}
	if (leader_ioctl(guard, fd, VHOST_GET_VRING_BUSYLOOP_TIMEOUT, page, &result) ||
	    copy_memory(pid, false, page, &state, sizeof(state)))
		return -1;
	if (result < 0 || !state.num)
		return 0;
	pr_err("Process %d, fd %d: vhost-net polls (poll-us), which a dump does not keep\n", pid,
	       fd);
	return -1;
}

static int check_rings(const struct guard *guard, uint64_t page)
{
	const struct kvm_process *process = guard->process;
	unsigned int ring;
	size_t i;

	for (i = 0; i < process->nr_vhosts; i++)
		for (ring = 0; ring < RINGS; ring++)
			if (check_ring(guard, page, process->vhosts[i], ring))
				return -1;
	return 0;
}

/* @known: an error which says that it is so already. */
static int set_owner(const struct guard *guard, unsigned long cmd, int known)
{
	const struct kvm_process *process = guard->process;
	int ret = 0;
	long result;
	size_t i;

	for (i = 0; i < process->nr_vhosts; i++) {
		if (leader_ioctl(guard, process->vhosts[i], cmd, 0, &result))
			return -1;
		if (result >= 0 || result == -known)
			continue;
		errno = -result;
		pr_perror("Process %d, fd %d: vhost-net %s", process->pid, process->vhosts[i],
			  cmd == VHOST_SET_OWNER ? "can't be given back" : "can't be taken");
		ret = -1;
	}
	return ret;
}

static int take(const struct guard *guard, uint64_t page, void *arg)
{
	struct hold *hold = arg;

	if (check_rings(guard, page))
		return -1;
	hold->taken = true;
	return set_owner(guard, VHOST_RESET_OWNER, EPERM);
}

static int give_back(const struct guard *guard, uint64_t page, void *arg)
{
	return set_owner(guard, VHOST_SET_OWNER, EBUSY);
}

/* Have the leader make system calls, in the middle of whatever it does. */
static int in_leader(struct hold *hold, page_user *act)
{
	struct guard guard = { .process = hold->process };
	pid_t pid = hold->process->pid;
	int ret = -1;

	if (seize_thread(pid)) {
		pr_perror("Process %d can't be stopped", pid);
		return -1;
	}
	if (!look_at_leader(&guard)) {
		ret = with_page(&guard, act, hold);
		if (put_thread_back(&guard.threads[0])) {
			pr_perror("Process %d can't be put back as it was", pid);
			ret = -1;
		}
	}
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	free(guard.threads);
	free(guard.ranges);
	return ret;
}

/* ---- when the helper is gone ---- */

static bool has_ended(const struct hold *hold)
{
	struct pollfd gone = { .fd = hold->pidfd, .events = POLLIN };

	return poll(&gone, 1, 0) == 1;
}

/* Does somebody trace it, or, if so is to be seen, has it been stopped? */
static bool is_held(const struct hold *hold, bool stopped)
{
	struct fdinfo status;
	const char *tracer, *state;
	bool held;

	if (read_status(&status, hold->process->pid))
		return true;
	tracer = next_fdinfo(&status, "TracerPid", NULL);
	state = next_fdinfo(&status, "State", NULL);
	held = (tracer && atoi(tracer)) || (stopped && state && (*state == 'T' || *state == 't'));
	free_fdinfo(&status);
	return held;
}

/* CRIU may still be at work, and takes the time that it takes. */
static int wait_for_criu(const struct hold *hold)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000 };
	int left = STOP_PATIENCE;

	while (!has_ended(hold)) {
		if (!is_held(hold, !hold->was_stopped && left))
			return 0;
		if (!is_held(hold, false))
			left--;
		nanosleep(&pause, NULL);
	}
	return -1;
}

static void let_go(void *arg)
{
	struct hold *hold = arg;

	if (wait_for_criu(hold))
		return;
	if (hold->taken)
		in_leader(hold, give_back);
	if (hold->paused)
		qmp_do(hold->socket, "cont");
}

/* ---- */

static int pause_guest(struct hold *hold)
{
	int running = qmp_is_running(hold->socket);

	if (running <= 0)
		return running;
	hold->paused = true;
	return qmp_do(hold->socket, "stop");
}

static int begin(void *arg)
{
	struct hold *hold = arg;

	if ((hold->socket && pause_guest(hold)) ||
	    (hold->process->nr_vhosts && in_leader(hold, take)))
		return -1;
	puts(hold->paused ? "paused" : "held");
	return fflush(stdout);
}

int hold_vhosts(const struct kvm_process *process, const char *socket)
{
	struct hold hold = { .process = process, .socket = socket };
	const int needed[] = { STDOUT_FILENO, pidfd_open(process->pid, 0) };
	struct watcher watcher;
	char byte;

	hold.pidfd = needed[1];
	if (hold.pidfd < 0) {
		pr_perror("Process %d can't be watched", process->pid);
		return -1;
	}
	hold.was_stopped = is_held(&hold, true);
	if (start_watcher(&watcher, begin, let_go, &hold, needed, ARRAY_LEN(needed)))
		return -1;
	close(STDOUT_FILENO);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
