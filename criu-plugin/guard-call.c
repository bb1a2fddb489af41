// SPDX-License-Identifier: GPL-2.0-only
/*
 * System calls that the leader of a guarded process makes. It is settled meanwhile.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guard-private.h"

struct kernel_sigaction {
	uint64_t handler, flags, restorer, mask;
};

int guard_call(const struct guard *guard, long *result, long nr, uint64_t a0, uint64_t a1,
	       uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
	const uint64_t args[7] = { nr, a0, a1, a2, a3, a4, a5 };

	if (inject_syscall(&guard->threads[0], guard->sc, args, result)) {
		pr_perror("Can't make process %d do a system call", guard->process->pid);
		return -1;
	}
	if (*result >= 0)
		return 0;
	errno = -*result;
	pr_perror("Process %d: system call %ld", guard->process->pid, nr);
	return -1;
}

int with_page(const struct guard *guard, page_user *use, void *arg)
{
	uint64_t size = getpagesize();
	long page, result;
	int ret;

	if (guard_call(guard, &page, __NR_mmap, 0, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
		return -1;
	ret = use(guard, page, arg);
	return guard_call(guard, &result, __NR_munmap, page, size, 0, 0, 0, 0) || ret ? -1 : 0;
}

static int set_action(const struct guard *guard, uint64_t page, void *arg)
{
	struct kernel_sigaction *action = arg;
	long result;

	if (copy_memory(guard->process->pid, true, page, action, sizeof(*action)))
		return -1;
	return guard_call(guard, &result, __NR_rt_sigaction, SIGTRAP, page, 0, sizeof(action->mask),
			  0, 0);
}

int set_handler(const struct guard *guard, uint64_t handler)
{
	struct kernel_sigaction action = { .handler = handler };

	return with_page(guard, set_action, &action);
}
