// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process is put back as it was: what is in it now and was not there goes, and its taps and KVM's
 * mappings come back. By system calls that its leader makes.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
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

static int unmap(const struct guard *guard, uint64_t start, uint64_t end)
{
	long result;

	return guard_call(guard, &result, __NR_munmap, start, end - start, 0, 0, 0, 0);
}

/* What is mapped now, and was not: CRIU's, or the plugin's. */
static int unmap_new(const struct guard *guard, const struct ranges *now)
{
	const struct ranges *was = &guard->was;
	size_t i, k = 0;

	for (i = 0; i < now->count; i++) {
		uint64_t at = now->range[i].start, end = now->range[i].end, next;

		/* That may have grown by a signal's frame. */
		if (now->range[i].what == RANGE_STACK)
			continue;
		while (at < end) {
			while (k < was->count && was->range[k].end <= at)
				k++;
			next = k < was->count && was->range[k].start < end ? was->range[k].start :
									     end;
			if (next > at && unmap(guard, at, next))
				return -1;
			at = next < end ? was->range[k].end : end;
		}
	}
	return 0;
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

/* CRIU makes all memory readable. @now: the first that ends behind the start of @was. */
static int protect(const struct guard *guard, const struct range *was, const struct range *now,
		   const struct range *end)
{
	long result;

	for (; now < end && now->start < was->end; now++) {
		uint64_t from = now->start > was->start ? now->start : was->start;
		uint64_t to = now->end < was->end ? now->end : was->end;

		if (now->prot != was->prot &&
		    guard_call(guard, &result, __NR_mprotect, from, to - from, was->prot, 0, 0, 0))
			return -1;
	}
	return 0;
}

/*
 * Those of KVM's mappings that are gone are made, and the others get the protection that they had:
 * a process that can get no memory keeps what it has.
 */
static int map_as_it_was(const struct guard *guard, const struct ranges *now)
{
	const struct range *at = now->range, *end = now->range + now->count;
	const struct kvm_map *map = guard->process->maps;
	int ret = 0;
	size_t i;

	for (i = 0; i < guard->was.count && !ret; i++) {
		const struct range *was = &guard->was.range[i];

		while (at < end && at->end <= was->start)
			at++;
		if (was->what == RANGE_KVM && (at == end || at->what != RANGE_KVM ||
					       at->start != was->start || at->end != was->end))
			ret = map_again(guard, map);
		else
			ret = protect(guard, was, at, end);
		map += was->what == RANGE_KVM;
	}
	return ret;
}

/* ---- putting it back ---- */

/* The taps are put back in between, while nobody else's mappings are left. */
static int put_memory_back(const struct guard *guard)
{
	struct ranges now = {};
	int ret = -1;

	if (!read_ranges(&now, guard->process->pid) && !unmap_new(guard, &now) &&
	    !put_taps_back(guard))
		ret = map_as_it_was(guard, &now);
	free(now.range);
	return ret;
}

int put_back(struct guard *guard)
{
	pid_t pid = guard->process->pid;
	uint64_t handler;
	size_t i;

	for (i = 0; i < guard->nr_threads; i++) {
		if (drop_signal(guard->threads[i].tid, SIGTRAP)) {
			pr_perror("Thread %d keeps a SIGTRAP", guard->threads[i].tid);
			return -1;
		}
	}
	/* What others have left is gone before anything new is opened or mapped. */
	if (put_code_back(guard) || for_each_number(pid, "fd", close_new, guard) ||
	    put_memory_back(guard) || read_handler(pid, &handler))
		return -1;
	if (handler != guard->handler && set_handler(guard, guard->handler))
		return -1;
	if (settle_thread(pid)) {
		pr_perror("Process %d can't be stopped", pid);
		return -1;
	}
	for (i = 0; i < guard->nr_threads; i++) {
		if (put_thread_back(&guard->threads[i])) {
			pr_perror("Thread %d can't get its registers back", guard->threads[i].tid);
			return -1;
		}
	}
	return 0;
}
