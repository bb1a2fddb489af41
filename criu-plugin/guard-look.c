// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a process is made of that CRIU, or the plugin in it, may change: its threads, files,
 * mappings, and the handler of SIGTRAP.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "guard-private.h"

#define SC_INSTRUCTION 0x44000002

static void *append(void **array, size_t *count, size_t size)
{
	char *more = reallocarray(*array, *count + 1, size);

	if (!more) {
		pr_err("Out of memory\n");
		return NULL;
	}
	*array = more;
	return more + (*count)++ * size;
}

static int note_thread(void *arg, int tid)
{
	struct guard *guard = arg;
	struct thread *thread = append((void **)&guard->threads, &guard->nr_threads,
				       sizeof(*thread));

	if (!thread)
		return -1;
	if (!keep_thread(thread, tid))
		return 0;
	pr_perror("Can't read the registers of thread %d", tid);
	return -1;
}

static int note_fd(void *arg, int fd)
{
	struct guard *guard = arg;
	int *noted = append((void **)&guard->fds, &guard->nr_fds, sizeof(*noted));

	if (!noted)
		return -1;
	*noted = fd;
	return 0;
}

static int find_sc(struct guard *guard, const struct range *vdso)
{
	uint32_t code[1024];
	uint64_t at;
	size_t i;

	for (at = vdso->start; at + sizeof(code) <= vdso->end; at += sizeof(code)) {
		if (copy_memory(guard->process->pid, false, at, code, sizeof(code)))
			return -1;
		for (i = 0; i < ARRAY_LEN(code); i++) {
			if (code[i] == SC_INSTRUCTION) {
				guard->sc = at + i * sizeof(code[0]);
				return 0;
			}
		}
	}
	return 0;
}

int read_handler(pid_t pid, uint64_t *handler)
{
	struct fdinfo status;
	const char *ignored, *caught;
	int ret = -1;

	if (read_status(&status, pid))
		return -1;
	ignored = next_fdinfo(&status, "SigIgn", NULL);
	caught = next_fdinfo(&status, "SigCgt", NULL);
	if (ignored && caught) {
		*handler = (uintptr_t)(strtoull(ignored, NULL, 16) & SIGNAL_BIT(SIGTRAP) ? SIG_IGN :
											   SIG_DFL);
		if (strtoull(caught, NULL, 16) & SIGNAL_BIT(SIGTRAP))
			*handler = ITS_HANDLER;
		ret = 0;
	}
	free_fdinfo(&status);
	return ret;
}

static int find_code(struct guard *guard)
{
	pid_t pid = guard->process->pid;
	size_t i;

	for (i = 0; i < guard->was.count; i++) {
		const struct range *range = &guard->was.range[i];

		if (range->prot & PROT_EXEC && !guard->code.at) {
			guard->code.at = range->start;
			if (copy_memory(pid, false, range->start, guard->code.bytes, CODE_LEN))
				return -1;
		}
		if (range->what == RANGE_VDSO && find_sc(guard, range))
			return -1;
	}
	if (guard->sc && guard->code.at && guard->nr_threads && guard->threads[0].tid == pid)
		return 0;
	pr_err("Process %d: it has no code to make system calls with\n", pid);
	return -1;
}

int look_at_leader(struct guard *guard)
{
	pid_t pid = guard->process->pid;

	if (note_thread(guard, pid) || read_ranges(&guard->was, pid))
		return -1;
	return find_code(guard);
}

int look_at_process(struct guard *guard)
{
	pid_t pid = guard->process->pid;
	size_t i;

	if (for_each_number(pid, "task", note_thread, guard) ||
	    for_each_number(pid, "fd", note_fd, guard) || read_handler(pid, &guard->handler))
		return -1;
	/* It has not run since then. */
	guard->was = guard->process->ranges;
	for (i = 0; i < guard->nr_threads; i++) {
		if (guard->threads[i].tid == pid) {
			struct thread leader = guard->threads[i];

			guard->threads[i] = guard->threads[0];
			guard->threads[0] = leader;
		}
	}
	guard->was_stopped = is_stopped(pid);
	return find_code(guard);
}
