// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * If this fails, a restored guest hangs: its VMM has a copy of its clock that was not found. A
 * child stands for the VMM. The copies that it has before and after the search that comes before
 * the stop are what QEMU has for each vCPU.
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm-abi.h"
#include "regs.h"
#include "vm-images.h"

#define FREQUENCY 512000000
#define OFFSET	  (5ULL << 24)
#define WORDS	  6
#define VCPUS_MAX 4
#define LARGE	  65536

static int tests, failed;

static void check(const char *name, size_t got, size_t expected)
{
	bool good = got == expected;

	failed |= !good;
	printf("%sok %d - %s: %zu of %zu\n", good ? "" : "not ", ++tests, name, got, expected);
}

/* In the heap, as malloc() would put it there. */
static void add_copies(int count)
{
	while (count--) {
		uint64_t *copy = sbrk(WORDS * sizeof(*copy));

		memset(copy, 0, WORDS * sizeof(*copy));
		copy[0] = OFFSET - 17;
		copy[3] = copy[5] = FREQUENCY;
	}
}

/* How many copies are found, with @before of them at the first search, and @after more later. */
static size_t count_found(int before, int after, int vcpus)
{
	uint64_t offset = OFFSET;
	KvmCriu__Reg reg = KVM_CRIU__REG__INIT, *regs[] = { &reg };
	KvmCriu__Vcpu vcpu = KVM_CRIU__VCPU__INIT, *all[VCPUS_MAX];
	KvmCriu__Vm vm = KVM_CRIU__VM__INIT;
	int to[2], from[2], i;
	char byte = 0;
	pid_t child;

	reg.id = KVM_REG_PPC_TB_OFFSET;
	reg.value.data = (uint8_t *)&offset;
	reg.value.len = sizeof(offset);
	vcpu.reg = regs;
	vcpu.n_reg = 1;
	for (i = 0; i < vcpus; i++)
		all[i] = &vcpu;
	vm.vcpu = all;
	vm.n_vcpu = vcpus;

	if (pipe(to) || pipe(from))
		exit(1);
	child = fork();
	if (!child) {
		/* Aligned as malloc() does it. */
		sbrk(-(intptr_t)sbrk(0) & 15);
		add_copies(before);
		if (write(from[1], &byte, 1) != 1 || read(to[0], &byte, 1) != 1)
			_exit(1);
		add_copies(after);
		if (write(from[1], &byte, 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	if (read(from[0], &byte, 1) != 1)
		exit(1);
	find_clocks(child);
	if (write(to[1], &byte, 1) != 1 || read(from[0], &byte, 1) != 1)
		exit(1);
	if (save_clock(child, &vm))
		exit(1);
	drop_clocks();
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	for (i = 0; i < 2; i++) {
		close(to[i]);
		close(from[i]);
	}
	free(vm.tb_offset_copy);
	return vm.n_tb_offset_copy;
}

/* ---- what start_clock() would need ---- */

void *task_buffer(struct task *task, size_t size, uint64_t *remote)
{
	abort();
}

int task_call(struct task *task, bool may_fail, long nr, uint64_t a0, uint64_t a1, uint64_t a2,
	      uint64_t a3, uint64_t a4, uint64_t a5)
{
	abort();
}

int run_calls(struct task *task, const char *what)
{
	abort();
}

int make_room(struct task *task, int calls, size_t size, const char *what)
{
	abort();
}

void reset_task(struct task *task)
{
	abort();
}

int main(void)
{
	/* What a search has read is not to be found in the heap that the next child inherits. */
	mallopt(M_MMAP_THRESHOLD, LARGE);
	check("all were there before", count_found(3, 0, 3), 3);
	check("a vCPU came later", count_found(2, 1, 3), 3);
	check("all came later", count_found(0, 2, 2), 2);
	check("a vCPU has gone, and its copy with it", count_found(2, 0, 3), 2);
	check("there are others' copies, too", count_found(3, 1, 2), 3);
	printf("1..%d\n", tests);
	return failed;
}
