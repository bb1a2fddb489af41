// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * If this fails, a VM with memory in huge pages is dumped without it, or a look at every page of a
 * VM's memory makes its stop longer. What /proc would say of a process is made up here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvm-plugin.h"

#define LINE_LEN 200

/* A shared memory segment has a name, and its number as its inode, which may be 0. */
#define MEMORY "10000-20000 rw-p 00000000 00:00 0 \n"
#define FILE_1 "20000-30000 r--p 00000000 08:01 77 /usr/bin/vmm\n"
#define SHM_0  "30000-40000 rw-s 00000000 00:0f 0 /SYSV00000000 (deleted)\n"
#define PLAIN  "VmFlags: rd wr mr mw me ac \n"
#define HUGE   "VmFlags: rd wr mr mw me de ht \n"

static const char *const *smaps;
static int tests, failed, looks;

int __wrap_for_each_line(pid_t pid, const char *name, int (*each)(void *arg, char *line),
			 void *arg);
int __wrap_read_ranges(struct ranges *ranges, pid_t pid);

int __wrap_for_each_line(pid_t pid, const char *name, int (*each)(void *arg, char *line), void *arg)
{
	const char *const *text;
	char line[LINE_LEN];
	int ret = 0;

	looks++;
	for (text = smaps; *text && !ret; text++) {
		snprintf(line, sizeof(line), "%s", *text);
		ret = each(arg, line);
	}
	return ret;
}

int __wrap_read_ranges(struct ranges *ranges, pid_t pid)
{
	const char *const *text;
	char line[LINE_LEN];
	struct range range;
	const char *name;
	int ret = 0;

	for (text = smaps; *text && !ret; text++) {
		snprintf(line, sizeof(line), "%s", *text);
		if (parse_range(line, &range, &name))
			ret = add_range(ranges, &range);
	}
	return ret;
}

static void check(const char *name, bool good)
{
	failed |= !good;
	printf("%sok %d - %s\n", good ? "" : "not ", ++tests, name);
}

/* A process with KVM, which has @before while it runs, and @after when it has been stopped. */
static void try(const char *name, const char *const *before, const char *const *after, bool huge,
		int expected_looks)
{
	struct kvm_process process = { .pid = 1, .nr_fds = 1 };
	struct kvm_fd fd = {};

	process.fds = &fd;
	smaps = before;
	note_maps(process.pid);
	smaps = after;
	looks = 0;
	check(name, !scan_maps(&process) && process.huge == huge && looks == expected_looks);
	drop_notes();
	free(process.ranges.range);
	free(process.maps);
}

int main(void)
{
	static const char *const usual[] = { MEMORY, PLAIN, FILE_1, PLAIN, NULL };
	static const char *const huge[] = { MEMORY, PLAIN, FILE_1, PLAIN, SHM_0, HUGE, NULL };
	static const char *const shared[] = { MEMORY, PLAIN, FILE_1, PLAIN, SHM_0, PLAIN, NULL };

	try("all is as it was", usual, usual, false, 0);
	try("a segment in huge pages was there before", huge, huge, true, 1);
	try("it has come since", usual, huge, true, 1);
	try("one in ordinary pages", shared, shared, false, 0);
	try("that has come since", usual, shared, false, 1);
	printf("1..%d\n", tests);
	return failed;
}
