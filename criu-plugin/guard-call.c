// SPDX-License-Identifier: GPL-2.0-only
/*
 * System calls that the leader of a guarded process makes. It is settled meanwhile.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
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

/* Also where the process itself may not write. */
static int write_code(const struct guard *guard, const void *bytes, size_t len)
{
	pid_t pid = guard->process->pid;
	uint8_t now[CODE_LEN];
	uint64_t word;
	size_t i;

	if (copy_memory(pid, false, guard->code.at, now, len))
		return -1;
	for (i = 0; i < len; i += sizeof(word)) {
		memcpy(&word, (const uint8_t *)bytes + i, sizeof(word));
		if (memcmp(now + i, &word, sizeof(word)) &&
		    ptrace(PTRACE_POKEDATA, pid, (void *)(guard->code.at + i), (void *)word))
			return -1;
	}
	return 0;
}

int put_code_back(const struct guard *guard)
{
	return write_code(guard, guard->code.bytes, CODE_LEN);
}

/*
 * The call reads the action from where compel puts its code, which is put back in any case: so it
 * takes one call, and not three with a page of its own.
 */
int set_handler(const struct guard *guard, uint64_t handler)
{
	const struct kernel_sigaction action = { .handler = handler };
	long result;
	int ret;

	_Static_assert(sizeof(action) <= CODE_LEN, "the guard knows what was there");
	ret = write_code(guard, &action, sizeof(action)) ||
	      guard_call(guard, &result, __NR_rt_sigaction, SIGTRAP, guard->code.at, 0,
			 sizeof(action.mask), 0, 0);
	return put_code_back(guard) || ret ? -1 : 0;
}
