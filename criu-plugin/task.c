// SPDX-License-Identifier: GPL-2.0-only
/*
 * System calls inside a stopped process.
 *
 * KVM answers the ioctls of a VM and its vCPUs only in the mm that made the VM, so they have to
 * run in the dumped process. compel_syscall() does that for one system call, with a dozen stops
 * for each, and on ppc64 it can't tell an error from a value: the kernel returns errno as a
 * positive number and says that it is one in CR0.SO. Here compel only starts a loop of a few
 * instructions that works through a list of system calls, and puts the process back after it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <compel/infect.h>

#include "kvm-plugin.h"
#include "thread.h"

/* The loop finds the list 64 KiB behind itself: a page, whichever size pages have. */
#define CODE_SIZE    0x10000
#define LIST_CALLS   (TASK_CALLS_MAX + 1)
#define LIST_SIZE    (LIST_CALLS * sizeof(struct call))
#define DATA_SIZE    (1 << 20)
#define MAP_SIZE     (CODE_SIZE + LIST_SIZE + DATA_SIZE)
#define BUFFER_ALIGN 16
/* What mmap() returns is an error number below this. */
#define ADDRESS_MIN 4096

/* The loop below knows this layout. */
struct call {
	int64_t nr; /* -1 ends the list */
	uint64_t arg[6];
	int64_t may_fail;
	int64_t result;
	int64_t unused[7]; /* 128 bytes in all */
};

struct task {
	pid_t pid;
	struct parasite_ctl *ctl;
	uint64_t remote; /* where CODE_SIZE + LIST_SIZE + DATA_SIZE are mapped */
	int nr_calls;
	size_t used; /* of data */
	bool failed; /* a call or a buffer did not fit */
	bool stop;   /* CRIU wants it stopped afterwards */
	struct call *calls;
	char *data;
};

/* compel starts code with its own address in r12. */
extern const char call_loop[], call_loop_end[];
asm(".pushsection .rodata\n"
    ".balign 4\n"
    "call_loop:\n"
    "	addis	31, 12, 1\n" /* the list */
    "1:	ld	0, 0(31)\n"
    "	cmpdi	0, -1\n"
    "	beq	3f\n"
    "	ld	3, 8(31)\n"
    "	ld	4, 16(31)\n"
    "	ld	5, 24(31)\n"
    "	ld	6, 32(31)\n"
    "	ld	7, 40(31)\n"
    "	ld	8, 48(31)\n"
    "	sc\n"
    "	bns	2f\n"
    "	neg	3, 3\n"
    "	std	3, 64(31)\n"
    "	ld	0, 56(31)\n" /* may it fail? */
    "	cmpdi	0, 0\n"
    "	beq	3f\n"
    "2:	std	3, 64(31)\n"
    "	addi	31, 31, 128\n"
    "	b	1b\n"
    "3:	twi	31, 0, 0\n" /* the trap that compel waits for */
    "call_loop_end:\n"
    ".popsection\n");

_Static_assert(sizeof(struct call) == 128, "the loop's stride");
_Static_assert(offsetof(struct call, may_fail) == 56 && offsetof(struct call, result) == 64,
	       "the loop's offsets");

/*
 * The two calls made without the loop. Their errors can be told from their values: an address is
 * above every errno, and what succeeds otherwise is 0.
 */
static int plain_call(struct task *task, long nr, uint64_t a0, uint64_t a1, uint64_t a2,
		      uint64_t a3, uint64_t a4, long *result)
{
	if (!compel_syscall(task->ctl, nr, result, a0, a1, a2, a3, a4, 0))
		return 0;
	/*
	 * CRIU stops a process that it is to leave stopped before it asks plugins to finish it, and
	 * SIGSTOP is the one signal that compel can't block. It has been taken now.
	 */
	if (!task->stop && !compel_syscall(task->ctl, nr, result, a0, a1, a2, a3, a4, 0)) {
		pr_info("process %d was to be stopped; that is put off\n", task->pid);
		task->stop = true;
		return 0;
	}
	pr_err("Can't run a system call in process %d\n", task->pid);
	return -1;
}

static void free_task(struct task *task)
{
	struct infect_ctx *ctx;
	int sock;

	if (task->ctl) {
		/* compel_cure_local() leaves what compel_prepare() opened and allocated */
		ctx = compel_infect_ctx(task->ctl);
		sock = ctx->sock;
		free(ctx->regs_arg);
		if (compel_cure_local(task->ctl))
			pr_err("Can't let go of process %d\n", task->pid);
		close(sock);
	}
	free(task->calls);
	free(task->data);
	free(task);
}

/*
 * From CRIU 4.2 on there is a second argument: whether to abort a critical section of rseq. An
 * older one does not look at it.
 */
static struct parasite_ctl *prepare_task(pid_t pid, bool handle_rseq)
{
	struct parasite_ctl *(*prepare)(int pid, bool handle_rseq) = (void *)compel_prepare;

	return prepare(pid, handle_rseq);
}

struct task *open_task(pid_t pid)
{
	struct task *task = calloc(1, sizeof(*task));
	long result = 0;

	if (!task)
		goto no_memory;
	task->pid = pid;
	task->calls = calloc(LIST_CALLS, sizeof(*task->calls));
	task->data = malloc(DATA_SIZE);
	if (!task->calls || !task->data)
		goto no_memory;
	/*
	 * CRIU leaves a restored process at the end of a system call. From there Linux 7.3 goes on
	 * without most of the registers that a tracer sets, and so to another call than it is to.
	 * From the stop of an interrupt it takes them all.
	 */
	if (settle_thread(pid)) {
		pr_perror("Can't bring process %d to rest", pid);
		goto err;
	}
	task->ctl = prepare_task(pid, false);
	if (!task->ctl) {
		pr_err("Can't take hold of process %d\n", pid);
		goto err;
	}
	if (plain_call(task, __NR_mmap, 0, MAP_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, &result))
		goto err;
	if (result < ADDRESS_MIN) {
		errno = result;
		pr_perror("No room for code in process %d", pid);
		goto err;
	}
	task->remote = result;
	if (copy_memory(pid, true, task->remote, (void *)(uintptr_t)call_loop,
			call_loop_end - call_loop))
		goto err;
	if (plain_call(task, __NR_mprotect, task->remote, CODE_SIZE, PROT_READ | PROT_EXEC, 0, 0,
		       &result))
		goto err;
	if (result) {
		errno = result;
		pr_perror("Can't make code executable in process %d", pid);
		goto err;
	}
	reset_task(task);
	return task;

no_memory:
	pr_err("Out of memory\n");
	if (!task)
		return NULL;
err:
	close_task(task);
	return NULL;
}

void reset_task(struct task *task)
{
	task->nr_calls = 0;
	task->used = 0;
	task->failed = false;
}

void *task_buffer(struct task *task, size_t size, uint64_t *remote)
{
	void *buffer = task->data + task->used;

	size = (size + BUFFER_ALIGN - 1) & ~(BUFFER_ALIGN - 1UL);
	if (size > DATA_SIZE - task->used) {
		task->failed = true;
		buffer = task->data;
		size = 0;
	}
	*remote = task->remote + CODE_SIZE + LIST_SIZE + task->used;
	task->used += size;
	memset(buffer, 0, size);
	return buffer;
}

int task_call(struct task *task, bool may_fail, long nr, uint64_t a0, uint64_t a1, uint64_t a2,
	      uint64_t a3, uint64_t a4, uint64_t a5)
{
	/* One place is for the end of the list. */
	if (task->nr_calls == TASK_CALLS_MAX) {
		task->failed = true;
		return 0;
	}
	task->calls[task->nr_calls] = (struct call){
		.nr = nr,
		.arg = { a0, a1, a2, a3, a4, a5 },
		.may_fail = may_fail,
		.result = -ECANCELED,
	};
	return task->nr_calls++;
}

int make_room(struct task *task, int calls, size_t size, const char *failed)
{
	/* Buffers are aligned, and a call has at most two. */
	size += calls * 2 * BUFFER_ALIGN;
	if (task->nr_calls + calls <= TASK_CALLS_MAX && size <= DATA_SIZE - task->used)
		return 0;
	if (run_calls(task, failed))
		return -1;
	reset_task(task);
	return 0;
}

int run_task(struct task *task)
{
	uint64_t list = task->remote + CODE_SIZE;
	size_t len = (task->nr_calls + 1) * sizeof(struct call);

	if (task->failed) {
		pr_err("Too many system calls at once for process %d\n", task->pid);
		return -1;
	}
	task->calls[task->nr_calls].nr = -1;
	if (copy_memory(task->pid, true, list, task->calls, len) ||
	    copy_memory(task->pid, true, list + LIST_SIZE, task->data, task->used))
		return -1;
	if (compel_run_at(task->ctl, task->remote, NULL)) {
		pr_err("Can't run code in process %d\n", task->pid);
		return -1;
	}
	if (copy_memory(task->pid, false, list, task->calls, len) ||
	    copy_memory(task->pid, false, list + LIST_SIZE, task->data, task->used))
		return -1;
	return 0;
}

long task_result(const struct task *task, int call)
{
	return task->calls[call].result;
}

/* The errno, negative, of the call that stopped the run, or 0. */
static int failed_call(const struct task *task)
{
	int i;

	for (i = 0; i < task->nr_calls; i++)
		if (!task->calls[i].may_fail && task->calls[i].result < 0)
			return task->calls[i].result;
	return 0;
}

int run_calls(struct task *task, const char *failed)
{
	int ret;

	if (run_task(task))
		return -1;
	ret = failed_call(task);
	if (!ret)
		return 0;
	errno = -ret;
	pr_perror("Process %d: %s", task->pid, failed);
	return -1;
}

int close_task(struct task *task)
{
	long result = 0;
	int ret = 0;

	if (task->remote) {
		ret = plain_call(task, __NR_munmap, task->remote, MAP_SIZE, 0, 0, 0, &result);
		if (!ret && result) {
			errno = result;
			pr_perror("Can't remove code from process %d", task->pid);
			ret = -1;
		}
	}
	if (task->stop && kill(task->pid, SIGSTOP))
		pr_perror("Can't stop process %d", task->pid);
	free_task(task);
	return ret;
}
