// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-selinux-test: what a VMM does with KVM's files, on a host whose SELinux policy allows nothing
 * for anonymous inodes. A stock kernel passes what it has of it, since it does not ask the policy.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "tce-kvm.h"
#include "vm.h"

#define LIOBN	0x80000000UL
#define ENTRIES 1000UL

static void made(int fd, const char *name)
{
	check(fd >= 0, name, "%s", strerror(errno));
}

static void mapped(int fd, size_t size, int prot, const char *name)
{
	void *map = mmap(NULL, size, prot, MAP_SHARED, fd, 0);

	check(map != MAP_FAILED, name, "%s", strerror(errno));
	if (map != MAP_FAILED)
		munmap(map, size);
}

static void test_table_file(int table)
{
	u64 tce = 0x1000; /* without permissions: the VM has no memory */

	gives(pwrite(table, &tce, 8, 8), 8, "table: write");
	gives(pread(table, &tce, 8, 8), 8, "table: read");
	gives(lseek(table, 0, SEEK_DATA), 0, "table: seek");
	gives(ioctl(table, KVM_SPAPR_TCE_START_DIRTY_LOG), 0, "table: ioctl");
	gives(fallocate(table, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, ENTRIES * 8), 0,
	      "table: punch");
	gives(fcntl(table, F_SETFL, O_NONBLOCK), 0, "table: fcntl");
}

/* A mapping's file is opened, as a checkpoint does it. */
static void test_map_files(int table)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, page, PROT_READ, MAP_SHARED, table, 0), path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (u64)map, (u64)map + page);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	made(fd, "table: its mapping is opened");
	close(fd);
	munmap(map, page);
}

static void test_files(void)
{
	struct kvm_create_spapr_tce_64 args = { .liobn = LIOBN, .page_shift = 12, .size = ENTRIES };
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_VFIO };
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, vcpu, table;
	struct kvm_regs regs;
	struct stat st;
	bool file;

	made(kvm, "/dev/kvm is opened");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	made(vm, "KVM_CREATE_VM");
	file = ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_SPAPR_TCE_FD) > 0;
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	made(vcpu, "KVM_CREATE_VCPU");
	gives(ioctl(vcpu, KVM_GET_REGS, &regs), 0, "vCPU: ioctl");
	mapped(vcpu, page, PROT_READ | PROT_WRITE, "vCPU: mmap");
	gives(fstat(vcpu, &st), 0, "vCPU: fstat");
	made(ioctl(vcpu, KVM_GET_STATS_FD, NULL), "vCPU: statistics");
	gives(ioctl(vm, KVM_CREATE_DEVICE, &create), 0, "KVM_CREATE_DEVICE(VFIO)");
	gives(fstat((int)create.fd, &st), 0, "device: fstat");
	table = ioctl(vm, KVM_CREATE_SPAPR_TCE_64, &args);
	made(table, "KVM_CREATE_SPAPR_TCE_64");
	mapped(table, page, PROT_READ | PROT_WRITE, "table: mmap");
	gives(fstat(table, &st), 0, "table: fstat");
	if (file) {
		test_table_file(table);
		test_map_files(table);
	}
	close(table);
	close((int)create.fd);
	close(vcpu);
	close(vm);
	close(kvm);
}

/* All of it at once: a guest puts an entry, and it is there. */
static void test_guest(void)
{
	struct vm_options opt = { .mem_size = 64UL << 20, .nvcpus = 1 };
	struct vm *vm = vm_create(&opt);
	struct guest_op op = { .in = { H_PUT_TCE, LIOBN, 0x2000, 0x1003 } };
	u64 tce = 0;

	gives(table_create(vm, LIOBN, 12, 0, ENTRIES), 0, "guest: a table");
	check(vcpu_run_ops(&vm->vcpu[0], &op, 1) && !op.out[0], "guest: H_PUT_TCE", "%#lx, %s",
	      op.out[0], vm->failed);
	gives(table_read(table_find(vm, LIOBN), 2, 1, &tce), 0, "guest: the entry is read");
	check(tce == 0x1003, "guest: ... and is what was put", "%#lx", tce);
	vm_destroy(vm);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* It has asked the policy for long: without this, nothing here would be shown. */
	fails(syscall(SYS_userfaultfd, O_CLOEXEC), EACCES, "the policy refuses a userfaultfd");
	test_files();
	if (!check_failures)
		test_guest();
	return check_failures ? 1 : 0;
}
