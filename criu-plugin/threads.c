// SPDX-License-Identifier: GPL-2.0-only
/*
 * What CRIU does not save of threads: which CPUs they may run on, their timer slack, their I/O
 * priority, and whether they are told of a memory failure early. A VMM's vCPUs are often bound to
 * CPUs. A restore that can't set them says so, and goes on.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/ioprio.h>

#include "kvm-plugin.h"

#define CPUS_MAX      (1 << 16)
#define DEFAULT_SLACK 50000 /* ns: init_task.c */
#define POLICY_LEN    32
#define LINE_LEN      128 /* about that of numa_maps */

static int slack_path(char path[PATH_LEN], pid_t tid)
{
	return snprintf(path, PATH_LEN, "/proc/%d/timerslack_ns", tid);
}

static uint64_t read_slack(pid_t tid)
{
	uint64_t slack = DEFAULT_SLACK;
	char path[PATH_LEN];
	FILE *file;

	slack_path(path, tid);
	file = fopen(path, "re");
	if (!file)
		return slack;
	if (fscanf(file, "%" SCNu64, &slack) != 1)
		slack = DEFAULT_SLACK;
	fclose(file);
	return slack;
}

/* Return: 0 if it has none. */
static unsigned int read_io_priority(pid_t tid)
{
	long priority = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid);

	return priority > 0 ? priority : 0;
}

/* Call @each for every thread of a process. */
static int for_each_thread(pid_t pid, int (*each)(pid_t tid, void *arg), void *arg)
{
	char path[PATH_LEN];
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir) {
		pr_perror("Can't open %s", path);
		return -1;
	}
	for (errno = 0; !ret && (entry = readdir(dir)); errno = 0)
		if (isdigit((unsigned char)entry->d_name[0]))
			ret = each(atoi(entry->d_name), arg);
	if (!ret && errno) {
		pr_perror("Can't read %s", path);
		ret = -1;
	}
	closedir(dir);
	return ret;
}

static int save_thread(pid_t tid, void *arg)
{
	size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
	cpu_set_t *cpus = CPU_ALLOC(CPUS_MAX);
	KvmCriu__Task *image = arg;
	KvmCriu__Thread *saved;
	bool bound;
	int ret = -1;

	if (!cpus) {
		pr_err("Out of memory\n");
		return -1;
	}
	CPU_ZERO_S(size, cpus);
	bound = !sched_getaffinity(tid, size, cpus) &&
		CPU_COUNT_S(size, cpus) < sysconf(_SC_NPROCESSORS_ONLN);
	saved = add_element(&image->n_thread, &image->thread, &kvm_criu__thread__descriptor);
	if (!saved)
		goto out;
	saved->tid = read_vpid(tid);
	saved->timer_slack = read_slack(tid);
	saved->io_priority = read_io_priority(tid);
	saved->has_io_priority = saved->io_priority;
	saved->has_affinity = bound;
	/* Without the zeros at the end. */
	while (size && !((uint8_t *)cpus)[size - 1])
		size--;
	ret = saved->tid && (!bound || !set_bytes(&saved->affinity, cpus, size)) ? 0 : -1;
out:
	CPU_FREE(cpus);
	return ret;
}

/*
 * The first policy in numa_maps that is not the default: lines of an address, a policy, and more.
 * The kernel looks at every page of what is read, so no more is read than is asked for.
 */
static bool find_policy(pid_t tid, size_t lines, char policy[POLICY_LEN])
{
	char path[PATH_LEN], buffer[LINE_LEN], *line = NULL;
	bool found = false;
	size_t room = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/numa_maps", tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	setvbuf(file, buffer, _IOFBF, sizeof(buffer));
	while (!found && lines-- && getline(&line, &room, file) > 0)
		found = sscanf(line, "%*s %31s", policy) == 1 && strcmp(policy, "default");
	free(line);
	fclose(file);
	return found;
}

/* Where memory has no policy of its own, numa_maps has the thread's. */
static int tell_thread_policy(pid_t tid, void *arg)
{
	char policy[POLICY_LEN];

	if (!find_policy(tid, 1, policy))
		return 0;
	pr_warn("Thread %d has a memory policy (%s), which is not saved\n", tid, policy);
	return 1;
}

void tell_memory_policy(pid_t pid)
{
	char policy[POLICY_LEN];

	if (find_policy(pid, SIZE_MAX, policy))
		pr_warn("Process %d has a memory policy (%s), which is not saved\n", pid, policy);
	else
		for_each_thread(pid, tell_thread_policy, NULL);
}

int save_threads(pid_t pid, KvmCriu__Task *image)
{
	return for_each_thread(pid, save_thread, image);
}

static void set_affinity(pid_t tid, const KvmCriu__Thread *saved)
{
	size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
	cpu_set_t *cpus = CPU_ALLOC(CPUS_MAX);

	if (!cpus || saved->affinity.len > size) {
		pr_warn("Thread %u may run on any CPU: its image has no CPUs that are known here\n",
			saved->tid);
	} else {
		CPU_ZERO_S(size, cpus);
		memcpy(cpus, saved->affinity.data, saved->affinity.len);
		if (sched_setaffinity(tid, size, cpus))
			pr_warn("Thread %u may run on any CPU: this host lacks those that it was "
				"bound to (%m)\n",
				saved->tid);
	}
	CPU_FREE(cpus);
}

static void set_slack(pid_t tid, uint64_t slack)
{
	char path[PATH_LEN];
	FILE *file;

	slack_path(path, tid);
	file = fopen(path, "we");
	if (!file || fprintf(file, "%" PRIu64, slack) < 0 || fflush(file))
		pr_warn("Can't write %s: %m\n", path);
	if (file)
		fclose(file);
}

static void set_io_priority(pid_t tid, const KvmCriu__Thread *saved)
{
	if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, tid, saved->io_priority))
		pr_warn("Thread %u does not have the I/O priority that it had: %m\n", saved->tid);
}

static int restore_thread(pid_t tid, void *arg)
{
	const KvmCriu__Task *image = arg;
	unsigned int vtid = read_vpid(tid);
	size_t i;

	for (i = 0; i < image->n_thread; i++) {
		const KvmCriu__Thread *saved = image->thread[i];

		if (saved->tid != vtid)
			continue;
		if (saved->has_affinity)
			set_affinity(tid, saved);
		if (saved->timer_slack != read_slack(tid))
			set_slack(tid, saved->timer_slack);
		/* What restores may have one, which a thread without one is not to keep. */
		if (saved->io_priority != read_io_priority(tid))
			set_io_priority(tid, saved);
	}
	return 0;
}

void restore_threads(pid_t pid, const KvmCriu__Task *image)
{
	for_each_thread(pid, restore_thread, (void *)(uintptr_t)image);
}

/*
 * Whether the kernel kills a process as soon as memory of its fails, or when it touches it. Only a
 * thread itself can ask. The first one answers for all: QEMU sets it before it makes the others.
 */
int save_failure_policy(struct task *task, KvmCriu__Task *image)
{
	static const char failed[] = "the policy for memory failures can't be read";
	int call;

	reset_task(task);
	call = task_call(task, false, __NR_prctl, PR_MCE_KILL_GET, 0, 0, 0, 0, 0);
	if (run_calls(task, failed))
		return -1;
	image->memory_failure = task_result(task, call);
	image->has_memory_failure = image->memory_failure != PR_MCE_KILL_DEFAULT;
	return 0;
}

void restore_failure_policy(const KvmCriu__Task *image)
{
	unsigned int policy = image->has_memory_failure ? image->memory_failure :
							  PR_MCE_KILL_DEFAULT;

	if (prctl(PR_MCE_KILL, PR_MCE_KILL_SET, policy, 0, 0))
		pr_warn("Process %d does not have the policy for memory failures that it had: %m\n",
			getpid());
}
