// SPDX-License-Identifier: GPL-2.0-or-later
/* tce-xive-test: what a VMM may get wrong with KVM's XIVE device, without harm to the host. */
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "vm.h"

#define SOURCE	      3
#define QUEUE_AT      (32UL << 20) /* in the guest: a page for the queue of each priority */
#define QUEUE_SHIFT   16
#define QUEUE_ENTRIES (1U << (QUEUE_SHIFT - 2))
#define ROUNDS	      2000  /* of two threads that take one queue away */
#define ESB_GET	      0x800 /* a load there changes nothing */

static int xive;

static int source_attr(unsigned long request, __u32 group, u64 *value)
{
	struct kvm_device_attr attr = { .group = group, .attr = SOURCE, .addr = (u64)value };

	return ioctl(xive, request, &attr);
}

/* The vCPU has no event queue of this priority. */
static void test_no_queue(void)
{
	u64 none = 0, masked = KVM_XIVE_SOURCE_MASKED_MASK, got = 0;
	u64 target = 1UL << KVM_XIVE_SOURCE_PRIORITY_SHIFT;

	gives(source_attr(KVM_SET_DEVICE_ATTR, KVM_DEV_XIVE_GRP_SOURCE, &none), 0, "a source");
	fails(source_attr(KVM_SET_DEVICE_ATTR, KVM_DEV_XIVE_GRP_SOURCE_CONFIG, &target), EBUSY,
	      "a target without an event queue is EBUSY");
	gives(source_attr(KVM_GET_DEVICE_ATTR, KVM_DEV_XIVE_GRP_SOURCE_CONFIG, &got), 0,
	      "... and can be asked for");
	check(got == masked, "... and is none then", "%#lx", got);
	gives(source_attr(KVM_SET_DEVICE_ATTR, KVM_DEV_XIVE_GRP_SOURCE_CONFIG, &masked), 0,
	      "a source without a target");
}

static long map_page(long page, int flags)
{
	long size = sysconf(_SC_PAGESIZE);
	void *map = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, flags, xive, page * size);

	if (map != MAP_FAILED)
		munmap(map, (size_t)size);
	return map == MAP_FAILED ? -1 : 0;
}

/* The kernel can't copy such a page at a write, and had a BUG at the first access. */
static void test_mappings(void)
{
	fails(map_page(KVM_XIVE_TIMA_PAGE_OFFSET, MAP_PRIVATE), EINVAL,
	      "a private mapping of thread management is EINVAL");
	fails(map_page(KVM_XIVE_ESB_PAGE_OFFSET, MAP_PRIVATE), EINVAL,
	      "a private mapping of sources is EINVAL");
	gives(map_page(KVM_XIVE_TIMA_PAGE_OFFSET, MAP_SHARED), 0, "a shared one of the former");
	gives(map_page(KVM_XIVE_ESB_PAGE_OFFSET, MAP_SHARED), 0, "a shared one of the latter");
}

/* The pages are where the file has them, whatever is left of a mapping. */
static void test_partial_mapping(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, (2 * SOURCE + 2) * page, PROT_READ, MAP_SHARED, xive,
			 (off_t)(KVM_XIVE_ESB_PAGE_OFFSET * page));
	int status = -1;
	pid_t pid;

	if (map == MAP_FAILED)
		die("sources: %s", strerror(errno));
	munmap(map, 2 * page);
	pid = fork();
	if (!pid) {
		(void)*(volatile u64 *)(map + (2 * SOURCE + 1) * page + ESB_GET);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	check(status == 0, "a mapping without its first source has the others where they were",
	      "status %#x", (unsigned int)status);
	munmap(map + 2 * page, 2 * SOURCE * page);
}

static int configure_queue(u64 priority, struct kvm_ppc_xive_eq *eq)
{
	struct kvm_device_attr attr = {
		.group = KVM_DEV_XIVE_GRP_EQ_CONFIG,
		.attr = priority << KVM_XIVE_EQ_PRIORITY_SHIFT,
		.addr = (u64)eq,
	};

	return ioctl(xive, KVM_SET_DEVICE_ATTR, &attr);
}

/* Gives the vCPU a queue of this priority that goes on at `index`. */
static int set_queue_at(u64 priority, __u32 index, __u32 toggle)
{
	struct kvm_ppc_xive_eq eq = {
		.flags = KVM_XIVE_EQ_ALWAYS_NOTIFY,
		.qshift = QUEUE_SHIFT,
		.qaddr = QUEUE_AT + (priority << QUEUE_SHIFT),
		.qtoggle = toggle,
		.qindex = index,
	};

	return configure_queue(priority, &eq);
}

/* Gives the vCPU a queue of this priority, or takes it. */
static int set_queue(u64 priority, bool there)
{
	struct kvm_ppc_xive_eq none = { 0 };

	return there ? set_queue_at(priority, 0, 1) : configure_queue(priority, &none);
}

/* What is stored behind the queue is stored in memory of the host's. */
static void test_queue_index(void)
{
	fails(set_queue_at(6, QUEUE_ENTRIES, 1), EINVAL, "an index behind the queue is EINVAL");
	fails(set_queue_at(6, ~0U, 0), EINVAL, "... and the largest one");
	fails(set_queue_at(6, 0, 2), EINVAL, "a toggle bit of 2 is EINVAL");
	gives(set_queue_at(6, QUEUE_ENTRIES - 1, 0), 0, "the last index");
	gives(set_queue(6, false), 0, "... can be taken away");
}

/* All priorities of a vCPU may share one escalation interrupt. */
static void test_two_priorities(void)
{
	gives(set_queue(6, true), 0, "a queue");
	gives(set_queue(5, true), 0, "a queue of another priority");
	gives(set_queue(5, false), 0, "... can be taken away");
	gives(set_queue(6, false), 0, "... and the first one, too");
}

/* Rounds that the main thread has begun, and that the other one has done its part of. */
static int begun, done;

static void *take_queues_away(void *failures)
{
	for (int round = 1; round <= ROUNDS; round++) {
		while (__atomic_load_n(&begun, __ATOMIC_SEQ_CST) < round)
			;
		if (set_queue(6, false))
			++*(int *)failures;
		__atomic_store_n(&done, round, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* The kernel's log says whether the queue's page was given back twice. */
static void test_race(void)
{
	int failures = 0, others = 0;
	pthread_t thread;

	if (pthread_create(&thread, NULL, take_queues_away, &others))
		die("no thread");
	for (int round = 1; round <= ROUNDS; round++) {
		failures += set_queue(6, true) != 0;
		__atomic_store_n(&begun, round, __ATOMIC_SEQ_CST);
		failures += set_queue(6, false) != 0;
		while (__atomic_load_n(&done, __ATOMIC_SEQ_CST) < round)
			;
	}
	pthread_join(thread, NULL);
	check(!failures && !others, "two threads take a queue away", "%d and %d failed", failures,
	      others);
}

int main(void)
{
	struct vm_options opt = { .mem_size = 64UL << 20, .nvcpus = 1 };
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_XIVE };
	struct kvm_enable_cap connect = { .cap = KVM_CAP_PPC_IRQ_XIVE };
	struct vm *vm;

	setvbuf(stdout, NULL, _IOLBF, 0);
	vm = vm_create(&opt);
	if (ioctl(vm->fd, KVM_CREATE_DEVICE, &create))
		die("XIVE: %s", strerror(errno));
	xive = (int)create.fd;
	connect.args[0] = (u64)xive;
	/* A number for which there is no place; the kernel warned of it. */
	connect.args[1] = ~0U;
	fails(ioctl(vm->vcpu[0].fd, KVM_ENABLE_CAP, &connect), EINVAL,
	      "a server number that is too large is EINVAL");
	connect.args[1] = 0;
	if (ioctl(vm->vcpu[0].fd, KVM_ENABLE_CAP, &connect))
		die("KVM_CAP_PPC_IRQ_XIVE: %s", strerror(errno));
	test_no_queue();
	test_mappings();
	test_partial_mapping();
	/* A queue has to be in one page of the host's. */
	if (sysconf(_SC_PAGESIZE) >= 1 << QUEUE_SHIFT) {
		test_queue_index();
		test_two_priorities();
		test_race();
	}
	vm_destroy(vm);
	return check_failures ? 1 : 0;
}
