// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stack of a process's first thread, close to its stack pointer.
 *
 * The last thing that CRIU (4.1.1, and later ones so far) runs in a restored process, when its
 * registers and memory are as they were, is a C function which unmaps the restorer. It runs on the
 * first thread's own stack pointer: it stores LR at 16(r1), where the function that the thread is
 * in may have its return address, and makes a frame below, in the red zone, where a leaf function
 * keeps data. After a system call made with scv, LR is the address behind the scv; libc's
 * function then returns to that for ever. doc/criu-bug.md has more, upstream/ a patch for CRIU.
 *
 * So that part of the stack is saved, and written again once that function has run.
 */
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

#include <asm/ptrace.h>

#include "kvm-plugin.h"

#define RED_ZONE     512 /* what the kernel's signal frames leave alone; the ABI says 288 */
#define FRAME_HEADER 32	 /* back chain, CR, LR, TOC: what a callee may write above r1 */

int save_stack(pid_t pid, KvmCriu__Task *image)
{
	uint8_t data[RED_ZONE + FRAME_HEADER];
	uint64_t r1, start, page_mask = ~((uint64_t)sysconf(_SC_PAGESIZE) - 1);
	struct iovec here = { .iov_base = data }, there;

	errno = 0;
	r1 = ptrace(PTRACE_PEEKUSER, pid, (void *)(PT_R1 * sizeof(uint64_t)), NULL);
	if (errno) {
		pr_perror("Can't read the stack pointer of process %d", pid);
		return -1;
	}
	/* Where a red zone would begin on a page that the stack has not grown to, there is none. */
	for (start = r1 - RED_ZONE;; start = r1 & page_mask) {
		here.iov_len = r1 + FRAME_HEADER - start;
		there = (struct iovec){ .iov_base = (void *)start, .iov_len = here.iov_len };
		if (process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)here.iov_len)
			break;
		if (start >= (r1 & page_mask)) {
			/* No stack: nor can CRIU use it. */
			pr_info("process %d has no stack at %#lx\n", pid, (unsigned long)r1);
			return 0;
		}
	}
	image->has_stack = true;
	image->stack = start;
	image->has_stack_data = true;
	return set_bytes(&image->stack_data, data, here.iov_len);
}

int restore_stack(pid_t pid, const KvmCriu__Task *image)
{
	uint8_t now[RED_ZONE + FRAME_HEADER];
	size_t len = image->stack_data.len;

	if (!image->has_stack || !image->has_stack_data)
		return 0;
	if (len > sizeof(now)) {
		pr_err("Process %d: its image has %zu bytes of stack\n", pid, len);
		return -1;
	}
	if (copy_memory(pid, false, image->stack, now, len))
		return -1;
	if (!memcmp(now, image->stack_data.data, len))
		return 0;
	pr_info("process %d: CRIU has written to its stack, put back\n", pid);
	return copy_memory(pid, true, image->stack, image->stack_data.data, len);
}
