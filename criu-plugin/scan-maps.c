// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which KVM objects a process has mapped.
 *
 * A mapping's flags are in smaps, not in maps. The kernel looks at every page for smaps, and writes
 * 30 lines for each mapping, which takes too long while a VM stands still. So smaps is read before,
 * and a mapping that is the same in maps later is taken to have the same flags. That is wrong of a
 * VMM that changes MADV_DONTFORK of a mapping of KVM's in that moment, which nothing else shows.
 * Only if there are other mappings by then, smaps is read again.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kvm-plugin.h"

/* A mapping in smaps. */
struct smap {
	struct range range;
	bool huge, dontfork, written;
};

struct reader {
	struct smap smap; /* what has been read of it */
	int (*each)(void *arg, const struct smap *smap);
	void *arg;
};

static int read_smap(void *arg, char *line)
{
	struct reader *reader = arg;
	struct smap *smap = &reader->smap;
	struct range range;
	const char *name;

	if (!strncmp(line, "Anonymous:", 10) || !strncmp(line, "Swap:", 5)) {
		smap->written |= strtoul(strchr(line, ':') + 1, NULL, 10) != 0;
	} else if (!strncmp(line, "VmFlags:", 8)) {
		smap->huge = strstr(line, " ht ");
		smap->dontfork = strstr(line, " dc ");
		return reader->each(reader->arg, smap);
	} else if (parse_range(line, &range, &name)) {
		*smap = (struct smap){ .range = range };
	}
	return 0;
}

static int read_smaps(pid_t pid, int (*each)(void *arg, const struct smap *smap), void *arg)
{
	struct reader reader = { .each = each, .arg = arg };

	return for_each_line(pid, "smaps", read_smap, &reader);
}

/*
 * What smaps said of processes that still ran: KVM's mappings, and the devices of files that were
 * mapped without huge pages.
 */
static struct noted {
	pid_t pid;
	struct range range;
	bool dontfork;
} *noted;
static size_t nr_noted;
static uint64_t *devices;
static size_t nr_devices;

/* Anonymous memory has no device. Its inode says nothing: a shared memory segment may have 0. */
static bool is_device_noted(uint64_t device)
{
	size_t i;

	for (i = 0; i < nr_devices; i++)
		if (devices[i] == device)
			return true;
	return false;
}

static const struct noted *find_noted(pid_t pid, const struct range *range)
{
	size_t i;

	/* The latest of a process that was looked at twice. */
	for (i = nr_noted; i--;) {
		const struct range *was = &noted[i].range;

		if (noted[i].pid == pid && was->start == range->start && was->end == range->end &&
		    was->offset == range->offset && was->device == range->device &&
		    was->inode == range->inode && was->prot == range->prot &&
		    was->shared == range->shared)
			return &noted[i];
	}
	return NULL;
}

static int note_smap(void *arg, const struct smap *smap)
{
	const struct range *range = &smap->range;

	/* One that is private may be written to at any time. */
	if (range->what == RANGE_KVM && range->shared) {
		struct noted *more = reallocarray(noted, nr_noted + 1, sizeof(*more));

		if (!more)
			return -1;
		noted = more;
		more[nr_noted++] = (struct noted){
			.pid = *(pid_t *)arg,
			.range = *range,
			.dontfork = smap->dontfork,
		};
	}
	if (range->device && !smap->huge && !is_device_noted(range->device)) {
		uint64_t *more = reallocarray(devices, nr_devices + 1, sizeof(*more));

		if (!more)
			return -1;
		devices = more;
		more[nr_devices++] = range->device;
	}
	return 0;
}

void note_maps(pid_t pid)
{
	/* What is not noted is looked at later. */
	read_smaps(pid, note_smap, &pid);
}

void drop_notes(void)
{
	free(noted);
	noted = NULL;
	nr_noted = 0;
	free(devices);
	devices = NULL;
	nr_devices = 0;
}

/* The fd, in the same process, of what is mapped: vCPUs and tables have inodes of their own. */
static const struct kvm_fd *find_mapped(const struct kvm_process *process, uint64_t inode)
{
	size_t i;

	for (i = 0; i < process->nr_fds; i++)
		if (process->fds[i].inode && process->fds[i].inode == inode)
			return &process->fds[i];
	return NULL;
}

static int add_map(struct kvm_process *process, const struct kvm_map *map)
{
	struct kvm_map *maps = reallocarray(process->maps, process->nr_maps + 1, sizeof(*maps));

	if (!maps) {
		pr_err("Out of memory\n");
		return -1;
	}
	process->maps = maps;
	maps[process->nr_maps++] = *map;
	return 0;
}

/* One of KVM's: 1 if its flags are known, 0 if not, or -1. */
static int add_kvm_map(struct kvm_process *process, const struct range *range)
{
	const struct noted *was = find_noted(process->pid, range);
	struct kvm_map map = {
		.start = range->start,
		.end = range->end,
		.offset = range->offset,
		.prot = range->prot,
		.flags = range->shared ? MAP_SHARED : MAP_PRIVATE,
		.dontfork = was && was->dontfork,
		.fd = find_mapped(process, range->inode),
	};

	if (!map.fd) {
		pr_err("Process %d: the mapping of a KVM object at %#" PRIx64
		       " can't be saved: no fd of the process is its object\n",
		       process->pid, range->start);
		return -1;
	}
	if (add_map(process, &map))
		return -1;
	return !!was;
}

static int scan_smap(void *arg, const struct smap *smap)
{
	struct kvm_process *process = arg;
	size_t i;

	process->huge |= smap->huge;
	for (i = 0; i < process->nr_maps; i++) {
		struct kvm_map *map = &process->maps[i];

		if (map->start != smap->range.start)
			continue;
		map->dontfork = smap->dontfork;
		if (map->flags == MAP_PRIVATE && smap->written) {
			pr_err("Process %d: the private mapping at %#" PRIx64
			       " can't be saved: it was written to\n",
			       process->pid, map->start);
			return -1;
		}
	}
	return 0;
}

int scan_maps(struct kvm_process *process)
{
	bool known = true;
	size_t i;

	if (read_ranges(&process->ranges, process->pid))
		return -1;
	for (i = 0; i < process->ranges.count; i++) {
		const struct range *range = &process->ranges.range[i];
		int ret = 1;

		if (range->what == RANGE_KVM)
			ret = add_kvm_map(process, range);
		else if (range->what == RANGE_AIO)
			process->aio = true;
		if (ret < 0)
			return -1;
		known &= ret && (!range->device || is_device_noted(range->device));
	}
	/* What is left to know is of no interest in a process without KVM. */
	if (known || !process->nr_fds)
		return 0;
	pr_info("Process %d: not all of its mappings were known before\n", process->pid);
	return read_smaps(process->pid, scan_smap, process);
}
