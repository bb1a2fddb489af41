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
 * Whichever of the two is left gives everything back. One of them has the VMM's leader make system
 * calls. If that one is killed, the leader does not run on with registers that are not its own: it
 * stays in a loop behind the call, on a page of ours, and while there is no such page the VMM is
 * stopped by a SIGSTOP. The other puts it back. vhost's threads have to run during the calls, so
 * they can't be stopped all the time. If both are killed, the VMM stays where it is.
 */
#include <errno.h>
#include <linux/vhost.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../guard-private.h"
#include "hold.h"
#include "qmp.h"

#define SC_THEN_LOOP  { 0x44000002, 0x48000000 } /* sc; b . */
#define RINGS	      2				 /* of an fd: to the guest and from it */
#define PAUSE_MS      100
#define STOP_PATIENCE 300 /* pauses: for the plugin to put the process back */
#define SEIZE_TRIES   50  /* pauses: for the kernel to let go of a thread whose tracer has died */

/* The leader's: left alone, perhaps stopped by our SIGSTOP, with registers not its own. */
enum state { STATE_OWN, STATE_STOPPED, STATE_FOREIGN };

/* How far it has come: shared by the two processes. */
struct progress {
	volatile bool begun;
	bool paused, taken; /* by us */
	bool stuck;	    /* it may be paused, and there is nothing to be done about that */
	volatile enum state state;
	struct thread leader; /* as it was */
	uint64_t sc;	      /* in its own code */
	uint64_t page, code;  /* ours: for arguments, and at its end a system call and a loop */
};

struct hold {
	const struct kvm_process *process;
	const char *socket; /* or NULL */
	bool was_stopped;
	int pidfd;
	struct progress *progress;
};

/* A call behind which the leader stays. */
static int safe_call(const struct guard *guard, const struct progress *progress, long nr,
		     const uint64_t args[3], long *result)
{
	const uint64_t call[7] = { nr, args[0], args[1], args[2] };

	if (!inject_syscall(&guard->threads[0], progress->code, call, result))
		return 0;
	pr_perror("Can't make process %d do a system call", guard->process->pid);
	return -1;
}

static int leader_ioctl(const struct guard *guard, const struct progress *progress, int fd,
			unsigned long cmd, uint64_t arg, long *result)
{
	return safe_call(guard, progress, __NR_ioctl, (const uint64_t[]){ fd, cmd, arg }, result);
}

/* ---- in the process ---- */

/*
 * Without descriptors, a ring is refused with EBUSY if it has a backend, with EPERM if the process
 * does not own it, and with EINVAL otherwise.
 */
static int check_ring(const struct guard *guard, const struct progress *progress, int fd,
		      unsigned int ring)
{
	struct vhost_vring_state state = { .index = ring };
	pid_t pid = guard->process->pid;
	uint64_t page = progress->page;
	long result;

	if (copy_memory(pid, true, page, &state, sizeof(state)) ||
	    leader_ioctl(guard, progress, fd, VHOST_SET_VRING_NUM, page, &result))
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
	if (leader_ioctl(guard, progress, fd, VHOST_GET_VRING_BUSYLOOP_TIMEOUT, page, &result) ||
	    copy_memory(pid, false, page, &state, sizeof(state)))
		return -1;
	if (result < 0 || !state.num)
		return 0;
	pr_err("Process %d, fd %d: vhost-net polls (poll-us), which a dump does not keep\n", pid,
	       fd);
	return -1;
}

static int check_rings(const struct guard *guard, const struct progress *progress)
{
	const struct kvm_process *process = guard->process;
	unsigned int ring;
	size_t i;

	for (i = 0; i < process->nr_vhosts; i++)
		for (ring = 0; ring < RINGS; ring++)
			if (check_ring(guard, progress, process->vhosts[i], ring))
				return -1;
	return 0;
}

/* @known: an error which says that it is so already. */
static int set_owner(const struct guard *guard, const struct progress *progress, unsigned long cmd,
		     int known)
{
	const struct kvm_process *process = guard->process;
	int ret = 0;
	long result;
	size_t i;

	for (i = 0; i < process->nr_vhosts; i++) {
		if (leader_ioctl(guard, progress, process->vhosts[i], cmd, 0, &result))
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

typedef int leader_act(const struct guard *guard, struct progress *progress);

static int take(const struct guard *guard, struct progress *progress)
{
	if (check_rings(guard, progress))
		return -1;
	progress->taken = true;
	return set_owner(guard, progress, VHOST_RESET_OWNER, EPERM);
}

static int give_back(const struct guard *guard, struct progress *progress)
{
	return set_owner(guard, progress, VHOST_SET_OWNER, EBUSY);
}

/* In the middle of the largest gap, where nobody else gets memory meanwhile. */
static uint64_t free_address(const struct guard *guard)
{
	uint64_t gap, largest = 0, middle = 0;
	size_t i;

	for (i = 1; i < guard->was.count; i++) {
		gap = guard->was.range[i].start - guard->was.range[i - 1].end;
		if (gap > largest) {
			largest = gap;
			middle = guard->was.range[i - 1].end + gap / 2;
		}
	}
	return middle & ~((uint64_t)getpagesize() - 1);
}

/* The page, and the leader in the loop. Where the page is has to be known before it is there. */
static int make_code(const struct guard *guard, struct progress *progress)
{
	const uint32_t code[] = SC_THEN_LOOP;
	uint64_t size = getpagesize(), word;
	pid_t pid = guard->process->pid;
	long result;

	progress->page = free_address(guard);
	progress->code = progress->page + size - sizeof(code);
	if (guard_call(guard, &result, __NR_mmap, progress->page, size,
		       PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)) {
		progress->page = 0;
		return -1;
	}
	memcpy(&word, code, sizeof(word));
	/* So that the processor sees it as code, too. */
	if (ptrace(PTRACE_POKEDATA, pid, (void *)progress->code, (void *)word)) {
		pr_perror("Can't write code into process %d", pid);
		return -1;
	}
	return safe_call(guard, progress, __NR_getpid, (const uint64_t[3]){}, &result);
}

/* It is stopped by our SIGSTOP before and after. */
static int in_loop(struct guard *guard, leader_act *act, struct progress *progress)
{
	long result;
	int ret = make_code(guard, progress);

	if (!ret) {
		ret = continue_group(guard) ? -1 : act(guard, progress);
		if (settle_thread(guard->threads[0].tid) || stop_group(guard))
			return -1;
	}
	if (progress->page)
		guard_call(guard, &result, __NR_munmap, progress->page, getpagesize(), 0, 0, 0, 0);
	return ret;
}

/* Settled, and with its own registers: it goes on. */
static int let_leader_go(const struct guard *guard, struct progress *progress)
{
	int ret;

	progress->state = STATE_STOPPED;
	ret = continue_group(guard);
	if (ret)
		pr_perror("Process %d can't be made to go on", guard->process->pid);
	else
		progress->state = STATE_OWN;
	return ret;
}

static int in_stopped_leader(struct guard *guard, leader_act *act, struct progress *progress)
{
	int ret;

	progress->leader = guard->threads[0];
	progress->sc = guard->sc;
	progress->page = 0;
	progress->state = STATE_STOPPED;
	if (stop_group(guard)) {
		pr_perror("Process %d can't be stopped", guard->process->pid);
		let_leader_go(guard, progress);
		return -1;
	}
	progress->state = STATE_FOREIGN;
	ret = in_loop(guard, act, progress);
	if (put_thread_back(&guard->threads[0])) {
		pr_perror("Process %d can't be put back as it was", guard->process->pid);
		return -1;
	}
	return let_leader_go(guard, progress) ? -1 : ret;
}

/* Have the leader make system calls, in the middle of whatever it does. */
static int in_leader(struct hold *hold, leader_act *act)
{
	struct guard guard = { .process = hold->process, .was_stopped = hold->was_stopped };
	pid_t pid = hold->process->pid;
	int ret = -1;

	if (seize_thread(pid)) {
		pr_perror("Process %d can't be stopped", pid);
		return -1;
	}
	if (!look_at_leader(&guard))
		ret = in_stopped_leader(&guard, act, hold->progress);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	free(guard.threads);
	free(guard.was.range);
	return ret;
}

/* ---- when it is over, or the other process is gone ---- */

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

/* The other process has died while it had the leader make system calls. */
static int repair(const struct hold *hold)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000 };
	struct progress *progress = hold->progress;
	struct guard guard = {
		.process = hold->process,
		.threads = &progress->leader,
		.nr_threads = 1,
		.sc = progress->sc,
		.was_stopped = hold->was_stopped,
	};
	pid_t pid = hold->process->pid;
	int tries = SEIZE_TRIES, ret = 0;
	long result;

	if (progress->state == STATE_OWN)
		return 0;
	while (seize_thread(pid)) {
		if (has_ended(hold) || !tries--)
			return -1;
		nanosleep(&pause, NULL);
	}
	if (progress->state == STATE_FOREIGN) {
		if (progress->page)
			guard_call(&guard, &result, __NR_munmap, progress->page, getpagesize(), 0,
				   0, 0, 0);
		ret = put_thread_back(&progress->leader);
	}
	if (!ret)
		ret = let_leader_go(&guard, progress);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return ret;
}

static void give_all_back(void *arg)
{
	struct hold *hold = arg;
	struct progress *progress = hold->progress;

	if (has_ended(hold) || repair(hold) || wait_for_criu(hold))
		return;
	if (progress->taken && !in_leader(hold, give_back))
		progress->taken = false;
	if (!progress->paused)
		return;
	if (qmp_do(hold->socket, "cont"))
		pr_err("The guest is paused: `cont' in QEMU's monitor has it go on\n");
	else
		progress->paused = false;
}

/* ---- */

static int pause_guest(struct hold *hold)
{
	struct progress *progress = hold->progress;
	int ret = qmp_is_running(hold->socket);

	if (ret <= 0)
		return ret;
	progress->paused = true;
	ret = qmp_stop(hold->socket);
	progress->stuck = ret == QMP_STUCK;
	if (ret > 0)
		progress->paused = false;
	return ret;
}

/* An empty line says that it has failed, and nothing is held. */
static int begin(void *arg)
{
	struct hold *hold = arg;
	struct progress *progress = hold->progress;
	int ret = 0;

	if ((hold->socket && pause_guest(hold)) ||
	    (hold->process->nr_vhosts && in_leader(hold, take))) {
		give_all_back(hold);
		ret = -1;
	}
	progress->begun = true;
	puts(progress->stuck ? "stuck" : ret ? "" : progress->paused ? "paused" : "held");
	fflush(stdout);
	return 0;
}

/* Until it is over, and the watcher has nothing in hand. */
static void wait_for_end(const struct hold *hold, const struct watcher *watcher)
{
	struct pollfd gone = { .fd = watcher->pidfd, .events = POLLIN };
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	while (!hold->progress->begun && poll(&gone, 1, PAUSE_MS) < 1)
		;
}

int hold_vhosts(const struct kvm_process *process, const char *socket)
{
	struct hold hold = { .process = process, .socket = socket };
	const int needed[] = { STDOUT_FILENO, pidfd_open(process->pid, 0) };
	const struct duty duty = {
		.begin = begin,
		.act = give_all_back,
		.arg = &hold,
		.fds = needed,
		.nr_fds = ARRAY_LEN(needed),
	};
	struct watcher watcher;

	hold.pidfd = needed[1];
	hold.progress = share_memory(sizeof(*hold.progress));
	if (hold.pidfd < 0 || !hold.progress) {
		pr_perror("Process %d can't be watched", process->pid);
		return -1;
	}
	hold.was_stopped = is_held(&hold, true);
	if (hold.was_stopped && process->nr_vhosts) {
		pr_err("Process %d is stopped, so vhost can't be taken from it\n", process->pid);
		return -1;
	}
	if (start_watcher(&watcher, &duty))
		return -1;
	close(STDOUT_FILENO);
	wait_for_end(&hold, &watcher);
	give_all_back(&hold);
	return 0;
}
