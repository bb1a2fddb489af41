// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel fuzzer's calls on a PCI device that is bound to vfio-pci, if there is one: its
 * hardware tables come and go under the guests' tables.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fuzz.h"

#define MEMORY_UNIT (64UL << 10)
#define PAGE	    4096UL /* the smallest of a window */
#define WINDOW	    (64UL << 20)
#define TRIES	    8 /* tables, until one fits */

static int container = -1, group = -1, device = -1;

/* Address of a PCI device that vfio-pci has, "" for none. */
static void find_device(char *name, size_t size)
{
	DIR *dir = opendir("/sys/bus/pci/drivers/vfio-pci");
	const struct dirent *entry;

	*name = '\0';
	while (dir && (entry = readdir(dir)))
		if (strchr(entry->d_name, ':'))
			snprintf(name, size, "%s", entry->d_name);
	if (dir)
		closedir(dir);
}

bool fuzz_vfio_open(void)
{
	char name[256], path[512], link[512];
	ssize_t n;

	find_device(name, sizeof(name));
	if (!name[0])
		return false;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", name);
	n = readlink(path, link, sizeof(link) - 1);
	if (n > 0) {
		link[n] = '\0';
		snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
		container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
		group = open(path, O_RDWR | O_CLOEXEC);
	}
	if (group < 0 || ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_SPAPR_TCE_v2_IOMMU) ||
	    (device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name)) < 0) {
		perror("tce-kernel-fuzz: vfio");
		exit(2);
	}
	return true;
}

static long vfio_attr(int kvm_vfio, u64 attr, void *arg)
{
	struct kvm_device_attr set = { .group = KVM_DEV_VFIO_GROUP,
				       .attr = attr,
				       .addr = (u64)arg };

	return ioctl(kvm_vfio, KVM_SET_DEVICE_ATTR, &set);
}

/* KVM's VFIO device is in the first place for devices; it has to be of the table's own VM. */
static long attach(struct fuzz *f)
{
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_VFIO };
	struct kvm_vfio_spapr_tce attach_args = { .groupfd = group };
	int kvm_vfio = fuzz_fd_at(FUZZ_DEVICE, 0);

	if (fuzz_one_in(f, 4)) {
		if (!ioctl(fuzz_fd(f, FUZZ_VM), KVM_CREATE_DEVICE, &create))
			fuzz_keep_at(FUZZ_DEVICE, 0, (int)create.fd);
		kvm_vfio = fuzz_fd_at(FUZZ_DEVICE, 0);
	}
	vfio_attr(kvm_vfio, KVM_DEV_VFIO_GROUP_ADD, &group);
	if (fuzz_one_in(f, 30))
		attach_args.groupfd = fuzz_any_fd(f);
	for (int i = 0; i < TRIES; i++) {
		attach_args.tablefd = fuzz_fd(f, FUZZ_TABLE);
		if (!vfio_attr(kvm_vfio, KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE, &attach_args))
			return 0;
	}
	return -1;
}

static long detach(struct fuzz *f)
{
	return vfio_attr(fuzz_fd_at(FUZZ_DEVICE, 0), KVM_DEV_VFIO_GROUP_DEL, &group);
}

static long memory(struct fuzz *f)
{
	struct vfio_iommu_spapr_register_memory reg = {
		.argsz = sizeof(reg),
		.vaddr = (u64)fuzz_guest_memory(f) & ~(MEMORY_UNIT - 1),
		.size = fuzz_one_in(f, 2) ? FUZZ_GUEST_SIZE : MEMORY_UNIT << fuzz_below(f, 8),
	};

	if (fuzz_one_in(f, 20))
		reg.vaddr = (u64)fuzz_map_address(f);
	return ioctl(container,
		     fuzz_one_in(f, 8) ? VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY :
					 VFIO_IOMMU_SPAPR_REGISTER_MEMORY,
		     &reg);
}

/* Now and then the window is another one. */
static long window(struct fuzz *f)
{
	static const __u32 shifts[] = { 12, 12, 12, 16, 24 };
	struct vfio_iommu_spapr_tce_remove old = { .argsz = sizeof(old) };
	struct vfio_iommu_spapr_tce_create create = {
		.argsz = sizeof(create),
		.page_shift = shifts[fuzz_below(f, 5)],
		.window_size = WINDOW,
		.levels = 1,
	};

	ioctl(container, VFIO_IOMMU_SPAPR_TCE_REMOVE, &old);
	return ioctl(container, VFIO_IOMMU_SPAPR_TCE_CREATE, &create);
}

/* A number of bytes of the bus: mostly pages of the window, and now and then what is not there. */
static u64 bus_bytes(struct fuzz *f)
{
	switch (fuzz_below(f, 8)) {
	case 0:
		return fuzz_number(f);
	case 1:
		return WINDOW;
	case 2:
		return 0;
	case 3:
		return WINDOW - PAGE;
	case 4:
		return fuzz_number(f) & ~(PAGE - 1);
	default:
		return fuzz_below(f, WINDOW / PAGE) * PAGE;
	}
}

static long map_dma(struct fuzz *f)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = fuzz_one_in(f, 10) ? (__u32)fuzz_below(f, 8) : 3,
		.vaddr = (u64)fuzz_guest_memory(f) & ~(PAGE - 1),
		.iova = bus_bytes(f),
		.size = fuzz_one_in(f, 2) ? PAGE << fuzz_below(f, 5) : bus_bytes(f),
	};

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

static long unmap_dma(struct fuzz *f)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = bus_bytes(f),
		.size = bus_bytes(f),
	};

	return ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

const struct fuzz_call fuzz_vfio_calls[] = {
	{ "attach group", 16, attach },
	{ "detach group", 6, detach },
	{ "register memory", 12, memory },
	{ "make window", 3, window },
	{ "map for DMA", 8, map_dma },
	{ "unmap for DMA", 4, unmap_dma },
	{ NULL, 0, NULL },
};
