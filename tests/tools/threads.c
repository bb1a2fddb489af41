// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * If this fails, a restored VMM's threads run on other CPUs than it has bound them to, wake at
 * other times or come before others at a disk, or a memory policy is lost without a word. The
 * process is this one, except for what the kernel would say of its memory, which is made up here.
 */
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/ioprio.h>

#include "kvm-plugin.h"

#define PLAIN	 "10000000 default file=/usr/bin/vmm mapped=20 N0=20\n"
#define HEAP	 "20000000 default heap anon=7 dirty=7 N0=7\n"
#define BOUND	 "30000000 bind:0 anon=4096 dirty=4096 N0=4096\n"
#define OWN	 "10000000 prefer (many):0-1 file=/usr/bin/vmm mapped=20 N0=20\n"
#define SLACK	 1234567 /* ns */

#define PRIORITY IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7)

/* numa_maps of the first thread, and of all others. */
static const char *first = "", *others = "";
static char said[256];
static int tests, failed;

/* What CRIU has for its plugins. */
int log_get_fd(void);
int criu_get_image_dir(void);
FILE *__wrap_fopen64(const char *path, const char *mode);
FILE *__real_fopen64(const char *path, const char *mode);

int log_get_fd(void)
{
	return STDERR_FILENO;
}

int criu_get_image_dir(void)
{
	return -1;
}

void print_on_level(unsigned int level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
}

FILE *__wrap_fopen64(const char *path, const char *mode)
{
	char its_own[64];
	const char *text;

	if (!strstr(path, "/numa_maps"))
		return __real_fopen64(path, mode);
	snprintf(its_own, sizeof(its_own), "/proc/%d/", getpid());
	text = strncmp(path, its_own, strlen(its_own)) ? others : first;
	return *text ? fmemopen((void *)(uintptr_t)text, strlen(text), "r") : NULL;
}

/* The process that is saved is this one. */
static long result;

void reset_task(struct task *task)
{
}

int task_call(struct task *task, bool may_fail, long nr, uint64_t a0, uint64_t a1, uint64_t a2,
	      uint64_t a3, uint64_t a4, uint64_t a5)
{
	result = syscall(nr, a0, a1, a2, a3, a4, a5);
	return 0;
}

int run_calls(struct task *task, const char *what)
{
	return result < 0 ? -1 : 0;
}

long task_result(const struct task *task, int call)
{
	return result;
}

static void check(const char *name, bool good)
{
	failed |= !good;
	printf("%sok %d - %s\n", good ? "" : "not ", ++tests, name);
	if (!good)
		printf("# said: %s\n", said);
}

static void *wait_there(void *arg)
{
	pthread_barrier_t *barrier = arg;

	pthread_barrier_wait(barrier); /* it is there */
	pthread_barrier_wait(barrier); /* it may go */
	return NULL;
}

static void check_policies(void)
{
	first = PLAIN HEAP;
	others = PLAIN HEAP;
	tell_memory_policy(getpid());
	check("no memory policy", !said[0]);
	first = PLAIN HEAP BOUND;
	tell_memory_policy(getpid());
	check("memory with a policy", strstr(said, "Process") && strstr(said, "(bind:0)"));
	said[0] = 0;
	first = PLAIN HEAP;
	others = OWN;
	tell_memory_policy(getpid());
	check("a thread with a policy", strstr(said, "Thread") && strstr(said, "(prefer)"));
	said[0] = 0;
	first = others = "";
	tell_memory_policy(getpid());
	check("a kernel without NUMA", !said[0]);
}

static void check_restored(pthread_t thread)
{
	KvmCriu__Task *image = new_message(&kvm_criu__task__descriptor);
	cpu_set_t all, one, now;
	int cpu, tid;

	sched_getaffinity(0, sizeof(all), &all);
	for (cpu = 0; !CPU_ISSET(cpu, &all); cpu++)
		;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	pthread_setaffinity_np(thread, sizeof(one), &one);
	prctl(PR_SET_TIMERSLACK, SLACK);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, PRIORITY);
	check("threads are saved", image && !save_threads(getpid(), image) && image->n_thread == 2);
	pthread_setaffinity_np(thread, sizeof(all), &all);
	prctl(PR_SET_TIMERSLACK, 0);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, 0);
	tid = (int)image->thread[image->thread[0]->tid == (unsigned int)getpid()]->tid;
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, tid, PRIORITY);
	restore_threads(getpid(), image);
	check("the timer slack is as it was", prctl(PR_GET_TIMERSLACK) == SLACK);
	check("the I/O priority is", syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0) == PRIORITY);
	check("a thread that had none does not get that of the restore",
	      !syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid));
	pthread_getaffinity_np(thread, sizeof(now), &now);
	check("a thread is on its CPU again", CPU_EQUAL(&now, &one));
	sched_getaffinity(0, sizeof(now), &now);
	check("another may run on all, as before", CPU_EQUAL(&now, &all));
	check("nothing is to be said", !said[0]);
	free_message(image);
}

static void check_failure_policy(void)
{
	KvmCriu__Task early = KVM_CRIU__TASK__INIT, none = KVM_CRIU__TASK__INIT;

	check("a process without a policy for memory failures is saved",
	      !save_failure_policy(NULL, &none) && !none.has_memory_failure);
	prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
	check("one that has one is",
	      !save_failure_policy(NULL, &early) && early.has_memory_failure);
	restore_failure_policy(&none);
	check("a process without one does not get that of the restore",
	      prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_DEFAULT);
	restore_failure_policy(&early);
	check("one that had one has it again",
	      prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_EARLY);
	check("nothing is to be said", !said[0]);
	early.memory_failure = 77;
	restore_failure_policy(&early);
	check("what can't be set is said", strstr(said, "memory failures"));
	said[0] = 0;
}

int main(void)
{
	pthread_barrier_t barrier;
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	if (pthread_create(&thread, NULL, wait_there, &barrier))
		return 1;
	pthread_barrier_wait(&barrier);
	check_policies();
	check_restored(thread);
	check_failure_policy();
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	printf("1..%d\n", tests);
	return failed;
}
