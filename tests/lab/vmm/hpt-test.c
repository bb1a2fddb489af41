// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-hpt-test: a VM's page table goes while others have it: who reads it through an HTAB fd, the
 * host, which takes away pages that it maps, and the log of what the guest has written. Or it never
 * was: one of no size, or one that is prepared and not used. One line a check, for the lab's
 * scenarios.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "vm.h"

#define OTHER_ORDER	18U
#define READ_ROUNDS	400
#define READ_SIZE	(4UL << 20)
#define MAP_ROUNDS	60
#define PREPARED_ORDER	24U
#define PREPARED_ROUNDS 200
#define PREPARED_NAP	20000	     /* us */
#define KEEP		(16UL << 20) /* what the guest itself is made of */
#define LIOBN		0x80000000UL

static struct vm *vm;
static atomic_bool over;
static atomic_ulong valid; /* entries in all that was read */

static int allocate(__u32 order)
{
	return ioctl(vm->fd, KVM_PPC_ALLOCATE_HTAB, &order);
}

static void count_valid(const char *buf, ssize_t len)
{
	struct kvm_get_htab_header header;
	ssize_t pos;

	for (pos = 0; pos + (ssize_t)sizeof(header) <= len; pos += (ssize_t)sizeof(header)) {
		memcpy(&header, buf + pos, sizeof(header));
		valid += header.n_valid;
		pos += header.n_valid * 16;
	}
}

static void *read_all(void *arg)
{
	struct kvm_get_htab_fd from_start = { 0 };
	static char buf[READ_SIZE];

	while (!over) {
		int fd = ioctl(vm->fd, KVM_PPC_GET_HTAB_FD, &from_start);

		if (fd < 0)
			die("KVM_PPC_GET_HTAB_FD: %s", strerror(errno));
		count_valid(buf, read(fd, buf, sizeof(buf)));
		close(fd);
	}
	return arg;
}

/* No vCPU has run: none of the tables that come and go has an entry. */
static void test_reader(void)
{
	int refused = 0;
	pthread_t reader;

	if (pthread_create(&reader, NULL, read_all, NULL))
		die("no thread");
	for (int i = 0; i < READ_ROUNDS; i++)
		refused += allocate(i % 2 ? HPT_ORDER : OTHER_ORDER) != 0;
	over = true;
	pthread_join(reader, NULL);
	check(!refused, "hpt: tables come and go while they are read", "%d were refused", refused);
	check(!valid, "hpt: ... and nothing is read that was never in one", "%lu entries", valid);
	gives(allocate(HPT_ORDER), 0, "hpt: ... and one is there for the guest");
}

static void *take_away(void *arg)
{
	long page = sysconf(_SC_PAGESIZE);
	char *mem = vm->slot[0].mem;

	for (u64 at = KEEP; at < vm->mem_size; at += (u64)page)
		if (madvise(mem + at, (size_t)page, MADV_DONTNEED))
			die("madvise: %s", strerror(errno));
	return arg;
}

/*
 * KVM maps all that is there of the memory for a guest in real mode. The host lets go of its pages
 * one by one, in the middle of which the table is replaced.
 */
static void test_mapped(void)
{
	struct guest_op op = { .in = { H_GET_TCE, LIOBN, 0 } };
	int refused = 0;

	for (int i = 0; i < MAP_ROUNDS; i++) {
		pthread_t taker;

		memset(vm->slot[0].mem + KEEP, 1, vm->mem_size - KEEP);
		if (!vcpu_run_ops(&vm->vcpu[0], &op, 1))
			die("the guest failed: %s", vm->failed);
		if (pthread_create(&taker, NULL, take_away, NULL))
			die("no thread");
		usleep((unsigned int)i * 200);
		refused += allocate(OTHER_ORDER) != 0;
		pthread_join(taker, NULL);
		refused += allocate(HPT_ORDER) != 0;
	}
	check(!refused, "hpt: a table goes while the host takes away what it maps",
	      "%d were refused", refused);
}

static void *read_log(void *arg)
{
	static u64 bitmap[1024];
	struct kvm_dirty_log log = { .dirty_bitmap = bitmap };

	while (!over)
		if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log))
			die("KVM_GET_DIRTY_LOG: %s", strerror(errno));
	return arg;
}

/* There and back, as a guest's reboot with another operating system does it. */
static int other_kind(bool radix)
{
	struct kvm_ppc_mmuv3_cfg cfg = {
		.flags = radix ? KVM_PPC_MMUV3_RADIX : 0,
		.process_table = radix ? PATB_GR : 0,
	};

	return ioctl(vm->fd, KVM_PPC_CONFIGURE_V3_MMU, &cfg);
}

static void test_logged(void)
{
	struct kvm_userspace_memory_region slot = {
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
		.memory_size = vm->mem_size,
		.userspace_addr = (u64)vm->slot[0].mem,
	};
	pthread_t reader;
	int refused = 0;

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot))
		die("a log of slot 0: %s", strerror(errno));
	over = false;
	if (pthread_create(&reader, NULL, read_log, NULL))
		die("no thread");
	for (int i = 0; i < READ_ROUNDS; i++)
		refused += allocate(i % 2 ? HPT_ORDER : OTHER_ORDER) != 0;
	check(!refused, "hpt: tables come and go while the log is read", "%d were refused",
	      refused);
	if (ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_PPC_MMU_RADIX) > 0) {
		for (int i = 0; i < READ_ROUNDS; i++)
			refused += other_kind(i % 2) != 0;
		check(!refused, "hpt: ... and so do trees", "%d were refused", refused);
	}
	over = true;
	pthread_join(reader, NULL);
}

/* A VM that has no table yet, and no vCPU. */
static int bare_vm(void)
{
	struct kvm_ppc_mmuv3_cfg hash = { 0 };
	int fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);

	if (fd < 0)
		die("KVM_CREATE_VM: %s", strerror(errno));
	if (ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_PPC_MMU_RADIX) > 0 &&
	    ioctl(fd, KVM_PPC_CONFIGURE_V3_MMU, &hash))
		die("KVM_PPC_CONFIGURE_V3_MMU: %s", strerror(errno));
	return fd;
}

static void test_no_size(void)
{
	__u32 order = 0;
	int fd = bare_vm();

	fails(ioctl(fd, KVM_PPC_ALLOCATE_HTAB, &order), EINVAL, "hpt: there is none of order 0");
	close(fd);
}

/* All that is prepared would be more than the host has, if it were not given back. */
static void test_prepared(void)
{
	struct kvm_ppc_resize_hpt larger = { .shift = PREPARED_ORDER };
	int fd, ret;

	for (int i = 0; i < PREPARED_ROUNDS; i++) {
		fd = bare_vm();
		ret = ioctl(fd, KVM_PPC_RESIZE_HPT_PREPARE, &larger);
		if (ret < 0)
			die("KVM_PPC_RESIZE_HPT_PREPARE: %s", strerror(errno));
		/* In the middle of it, and when it is there. */
		if (i % 2)
			usleep(PREPARED_NAP);
		close(fd);
	}
	fd = bare_vm();
	while ((ret = ioctl(fd, KVM_PPC_RESIZE_HPT_PREPARE, &larger)) > 0)
		usleep(PREPARED_NAP);
	gives(ret, 0, "hpt: what was prepared and not used is given back");
	close(fd);
}

int main(void)
{
	struct vm_options opt = { .mmu = MMU_HPT, .mem_size = 64UL << 20, .nvcpus = 1 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	vm = vm_create(&opt);
	if (table_create(vm, LIOBN, 12, 0, 1))
		die("no table");
	test_reader();
	test_mapped();
	test_logged();
	test_no_size();
	test_prepared();
	vm_destroy(vm);
	return check_failures ? 1 : 0;
}
