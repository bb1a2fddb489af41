// SPDX-License-Identifier: GPL-2.0-or-later
/* tce-xive-test: what a VMM may get wrong with KVM's XIVE device, without harm to the host. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "vm.h"

#define SOURCE 3

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
	if (ioctl(vm->vcpu[0].fd, KVM_ENABLE_CAP, &connect))
		die("KVM_CAP_PPC_IRQ_XIVE: %s", strerror(errno));
	test_no_queue();
	test_mappings();
	vm_destroy(vm);
	return check_failures ? 1 : 0;
}
