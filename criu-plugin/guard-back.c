// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process is put back as it was: what is in it now and was not there goes, and its taps and KVM's
 * mappings come back. By system calls that its leader makes.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "guard-private.h"

static bool is_noted(const struct guard *guard, int fd)
{
	size_t i;

	for (i = 0; i < guard->nr_fds; i++)
		if (guard->fds[i] == fd)
			return true;
	return false;
}

static int close_new(void *arg, int fd)
{
	const struct guard *guard = arg;
	long result;

	return is_noted(guard, fd) ? 0 : guard_call(guard, &result, __NR_close, fd, 0, 0, 0, 0, 0);
}

/* The first part of @range that was not there: CRIU's, or the plugin's. It may be empty. */
static struct range new_part(const struct guard *guard, struct range range)
{
	size_t i;

	/* They are in ascending order. */
	for (i = 0; i < guard->nr_ranges; i++) {
		const struct range *was = &guard->ranges[i];

		if (range.start >= was->start && range.start < was->end)
			range.start = was->end;
		else if (range.start < was->start && range.end > was->start)
			range.end = was->start;
	}
	return range;
}

static int note_new_range(void *arg, const struct range *range, const char *name)
{
	struct range *found = ((void **)arg)[1], part;

	/* That may have grown by a signal's frame. */
	if (found->end || !strcmp(name, "[stack]"))
		return 0;
	part = new_part(((void **)arg)[0], *range);
	if (part.start < part.end)
		*found = part;
	return 0;
}

static int unmap_new(struct guard *guard)
{
	struct range found;
	void *arg[] = { guard, &found };
	long result;

	for (;;) {
		found = (struct range){};
		if (for_each_range(guard->process->pid, note_new_range, arg))
			return -1;
		if (!found.end)
			return 0;
		if (guard_call(guard, &result, __NR_munmap, found.start, found.end - found.start, 0,
			       0, 0, 0))
			return -1;
	}
}

static int map_again(const struct guard *guard, const struct kvm_map *map)
{
	uint64_t size = map->end - map->start;
	long result;

	if (guard_call(guard, &result, __NR_mmap, map->start, size, map->prot,
		       map->flags | MAP_FIXED, map->fd->fd, map->offset))
		return -1;
	return map->dontfork ? guard_call(guard, &result, __NR_madvise, map->start, size,
					  MADV_DONTFORK, 0, 0, 0) :
			       0;
}

/* Which of KVM's mappings are in their place. */
struct present {
	const struct kvm_process *process;
	size_t next;
	bool *map;
};

static int note_present(void *arg, const struct range *range, const char *name)
{
	struct present *present = arg;
	const struct kvm_process *process = present->process;

	/* Both are in ascending order. */
	while (present->next < process->nr_maps &&
	       process->maps[present->next].start < range->start)
		present->next++;
	if (present->next < process->nr_maps &&
	    process->maps[present->next].start == range->start &&
	    process->maps[present->next].end == range->end &&
	    !strncmp(name, KVM_FILE, strlen(KVM_FILE)))
		present->map[present->next] = true;
	return 0;
}

/* Those that are gone: a process that can get no memory keeps what it has. */
static int map_kvm(const struct guard *guard)
{
	const struct kvm_process *process = guard->process;
	struct present present = { .process = process };
	int ret = 0;
	size_t i;

	present.map = calloc(process->nr_maps + 1, sizeof(*present.map));
	if (!present.map) {
		pr_err("Out of memory\n");
		return -1;
	}
	ret = for_each_range(process->pid, note_present, &present);
	for (i = 0; i < process->nr_maps && !ret; i++)
		if (!present.map[i])
			ret = map_again(guard, &process->maps[i]);
	free(present.map);
	return ret;
}

/* What is in @range with another protection than it had: CRIU makes all of it readable. */
static int note_changed_range(void *arg, const struct range *range, const char *name)
{
	const struct guard *guard = ((void **)arg)[0];
	struct range *found = ((void **)arg)[1];
	size_t i;

	for (i = 0; i < guard->nr_ranges && !found->end; i++) {
		const struct range *was = &guard->ranges[i];

		if (was->prot == range->prot || was->start >= range->end ||
		    was->end <= range->start)
			continue;
		*found = *was;
		if (found->start < range->start)
			found->start = range->start;
		if (found->end > range->end)
			found->end = range->end;
	}
	return 0;
}

static int protect(struct guard *guard)
{
	struct range found = {}, last;
	void *arg[] = { guard, &found };
	long result;

	for (;;) {
		last = found;
		found = (struct range){};
		if (for_each_range(guard->process->pid, note_changed_range, arg))
			return -1;
		if (!found.end)
			return 0;
		if (found.start == last.start)
			return -1;
		if (guard_call(guard, &result, __NR_mprotect, found.start, found.end - found.start,
			       found.prot, 0, 0, 0))
			return -1;
	}
}

/* ---- putting it back ---- */

static int put_code_back(const struct guard *guard)
{
	pid_t pid = guard->process->pid;
	uint8_t now[CODE_LEN];
	uint64_t word;
	size_t i;

	if (copy_memory(pid, false, guard->code.at, now, sizeof(now)))
		return -1;
	for (i = 0; i < CODE_LEN; i += sizeof(word)) {
		memcpy(&word, guard->code.bytes + i, sizeof(word));
		if (memcmp(now + i, &word, sizeof(word)) &&
		    ptrace(PTRACE_POKEDATA, pid, (void *)(guard->code.at + i), (void *)word))
			return -1;
	}
	return 0;
}

int put_back(struct guard *guard)
{
	pid_t pid = guard->process->pid;
	uint64_t handler;
	size_t i;

	for (i = 0; i < guard->nr_threads; i++)
		if (drop_signal(guard->threads[i].tid, SIGTRAP))
			return -1;
	/* What others have left is gone before anything new is opened or mapped. */
	if (put_code_back(guard) || for_each_number(pid, "fd", close_new, guard) ||
	    unmap_new(guard) || put_taps_back(guard) || map_kvm(guard) || protect(guard) ||
	    read_handler(pid, &handler))
		return -1;
	if (handler != guard->handler && set_handler(guard, guard->handler))
		return -1;
	if (settle_thread(pid))
		return -1;
	for (i = 0; i < guard->nr_threads; i++)
		if (put_thread_back(&guard->threads[i]))
			return -1;
	return 0;
}
