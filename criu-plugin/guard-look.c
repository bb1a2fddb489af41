// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a process is made of that CRIU, or the plugin in it, may change: its threads, files,
 * mappings, and the handler of SIGTRAP.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
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

int for_each_range(pid_t pid, int (*each)(void *arg, const struct range *range, const char *name),
		   void *arg)
{
	char path[PATH_LEN], *line = NULL;
	size_t room = 0;
	FILE *file;
	int ret = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (!ret && getline(&line, &room, file) > 0) {
		struct range range;
		char perm[5];
		int name = 0;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %n", &range.start,
			   &range.end, perm, &name) < 3)
			continue;
		range.prot = (perm[0] == 'r' ? PROT_READ : 0) | (perm[1] == 'w' ? PROT_WRITE : 0) |
			     (perm[2] == 'x' ? PROT_EXEC : 0);
		line[strcspn(line, "\n")] = '\0';
		ret = each(arg, &range, name ? line + name : "");
	}
	if (ferror(file))
		ret = -1;
	free(line);
	fclose(file);
	return ret;
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

static int note_range(void *arg, const struct range *range, const char *name)
{
	struct guard *guard = arg;
	struct range *noted = append((void **)&guard->ranges, &guard->nr_ranges, sizeof(*noted));

	if (!noted)
		return -1;
	*noted = *range;
	if (range->prot & PROT_EXEC && !guard->code.at) {
		guard->code.at = range->start;
		if (copy_memory(guard->process->pid, false, range->start, guard->code.bytes,
				CODE_LEN))
			return -1;
	}
	return strcmp(name, "[vdso]") ? 0 : find_sc(guard, range);
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

static int check_code(const struct guard *guard)
{
	pid_t pid = guard->process->pid;

	if (guard->sc && guard->code.at && guard->nr_threads && guard->threads[0].tid == pid)
		return 0;
	pr_err("Process %d: it has no code to make system calls with\n", pid);
	return -1;
}

int look_at_leader(struct guard *guard)
{
	pid_t pid = guard->process->pid;

	if (note_thread(guard, pid) || for_each_range(pid, note_range, guard))
		return -1;
	return check_code(guard);
}

int look_at_process(struct guard *guard)
{
	pid_t pid = guard->process->pid;
	size_t i;

	if (for_each_number(pid, "task", note_thread, guard) ||
	    for_each_number(pid, "fd", note_fd, guard) || for_each_range(pid, note_range, guard) ||
	    read_handler(pid, &guard->handler))
		return -1;
	for (i = 0; i < guard->nr_threads; i++) {
		if (guard->threads[i].tid == pid) {
			struct thread leader = guard->threads[i];

			guard->threads[i] = guard->threads[0];
			guard->threads[0] = leader;
		}
	}
	guard->was_stopped = is_stopped(pid);
	return check_code(guard);
}
