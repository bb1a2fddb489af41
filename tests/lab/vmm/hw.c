// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What tests of hardware tables do with VFIO: a device is in a container of the VMM's, with a DMA
 * window, and KVM is told that the window follows a table of the guest's. And what the guest and
 * the VMM do with that table.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hw-test.h"

struct vm *vm;
static int container, group = -1;
static int other_container, other_group;

void need(bool good, const char *what)
{
	if (!good)
		die("%s: %s", what, strerror(errno));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The name of a device that is bound to vfio-pci, from 0 on. */
static const char *device_name(unsigned int which)
{
	static char names[8][256];
	unsigned int n = 0;
	struct dirent *entry;
	DIR *dir = opendir("/sys/bus/pci/drivers/vfio-pci");

	while (dir && n < 8 && (entry = readdir(dir)))
		if (strchr(entry->d_name, ':'))
			snprintf(names[n++], sizeof(names[0]), "%s", entry->d_name);
	if (n <= which)
		die("%u devices are bound to vfio-pci", n);
	closedir(dir);
	qsort(names, n, sizeof(names[0]), by_name);
	return names[which];
}

static int open_group_of(unsigned int which)
{
	char path[512], link[512];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", device_name(which));
	n = readlink(path, link, sizeof(link) - 1);
	need(n > 0, path);
	link[n] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	fd = open(path, O_RDWR | O_CLOEXEC);
	need(fd >= 0, path);
	return fd;
}

void open_group_file(void)
{
	group = open_group_of(0);
}

static int open_container_file(void)
{
	int fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);

	need(fd >= 0, "/dev/vfio/vfio");
	return fd;
}

static void join(int group_fd, int container_fd, int type)
{
	need(!ioctl(group_fd, VFIO_GROUP_SET_CONTAINER, &container_fd), "VFIO_GROUP_SET_CONTAINER");
	need(!ioctl(container_fd, VFIO_SET_IOMMU, type), "VFIO_SET_IOMMU");
}

void join_container(void)
{
	join(group, container, VFIO_SPAPR_TCE_v2_IOMMU);
}

void leave_container(void)
{
	need(!ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "VFIO_GROUP_UNSET_CONTAINER");
}

void open_container(void)
{
	container = open_container_file();
	join_container();
}

void open_v1_container(void)
{
	container = open_container_file();
	join(group, container, VFIO_SPAPR_TCE_IOMMU);
	need(!ioctl(container, VFIO_IOMMU_ENABLE), "VFIO_IOMMU_ENABLE");
}

void close_container(void)
{
	leave_container();
	close(container);
}

int open_in_container(void)
{
	int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, device_name(0));

	need(device >= 0, "VFIO_GROUP_GET_DEVICE_FD");
	return device;
}

int open_group(void)
{
	if (group < 0)
		open_group_file();
	open_container();
	return open_in_container();
}

static bool registration(int fd, unsigned long request, void *mem, u64 size)
{
	struct vfio_iommu_spapr_register_memory reg = {
		.argsz = sizeof(reg),
		.vaddr = (u64)mem,
		.size = size,
	};

	return !ioctl(fd, request, &reg);
}

bool try_register(void *mem, u64 size)
{
	return registration(container, VFIO_IOMMU_SPAPR_REGISTER_MEMORY, mem, size);
}

void register_memory(void *mem, u64 size)
{
	need(try_register(mem, size), "VFIO_IOMMU_SPAPR_REGISTER_MEMORY");
}

bool unregister_memory(void *mem, u64 size)
{
	return registration(container, VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, mem, size);
}

void open_other_container(void *mem, u64 size)
{
	other_group = open_group_of(1);
	other_container = open_container_file();
	join(other_group, other_container, VFIO_SPAPR_TCE_v2_IOMMU);
	need(registration(other_container, VFIO_IOMMU_SPAPR_REGISTER_MEMORY, mem, size),
	     "VFIO_IOMMU_SPAPR_REGISTER_MEMORY of the other container");
}

void close_other_container(void)
{
	close(other_group);
	close(other_container);
}

int try_vfio_map(u64 ioba, void *mem, u64 size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (u64)mem,
		.iova = ioba,
		.size = size,
	};

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

int try_vfio_unmap(u64 ioba, u64 size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = ioba,
		.size = size,
	};

	return ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

void vfio_map(u64 ioba, void *mem, u64 size)
{
	need(!try_vfio_map(ioba, mem, size), "VFIO_IOMMU_MAP_DMA");
}

void vfio_unmap(u64 ioba, u64 size)
{
	need(!try_vfio_unmap(ioba, size), "VFIO_IOMMU_UNMAP_DMA");
}

int try_window(__u32 page_shift, u64 size, u64 *start)
{
	struct vfio_iommu_spapr_tce_create window = {
		.argsz = sizeof(window),
		.page_shift = page_shift,
		.window_size = size,
		.levels = 1,
	};
	int ret = ioctl(container, VFIO_IOMMU_SPAPR_TCE_CREATE, &window);

	*start = window.start_addr;
	return ret;
}

__u32 most_hw_shift(void)
{
	return getpagesize() < 1 << 16 ? 12 : 16;
}

void create_first_window(__u32 page_shift)
{
	u64 start;

	need(!try_window(page_shift, WINDOW, &start), "VFIO_IOMMU_SPAPR_TCE_CREATE");
	if (start)
		die("the window is at %#lx", start);
}

void remove_window(void)
{
	struct vfio_iommu_spapr_tce_remove old = { .argsz = sizeof(old) };

	need(!ioctl(container, VFIO_IOMMU_SPAPR_TCE_REMOVE, &old), "VFIO_IOMMU_SPAPR_TCE_REMOVE");
}

void create_window(__u32 page_shift)
{
	remove_window();
	create_first_window(page_shift);
}

struct table *create_table(u64 page_shift)
{
	int ret = table_create(vm, LIOBN, page_shift, 0, WINDOW >> page_shift);

	if (ret)
		die("KVM_CREATE_SPAPR_TCE_64: %s", strerror(-ret));
	return table_find(vm, LIOBN);
}

static int vfio_attr(int kvm_vfio, u64 attr, void *arg)
{
	struct kvm_device_attr set = { .group = KVM_DEV_VFIO_GROUP,
				       .attr = attr,
				       .addr = (u64)arg };

	return ioctl(kvm_vfio, KVM_SET_DEVICE_ATTR, &set);
}

int attach_also(int kvm_vfio, const struct table *t)
{
	struct kvm_vfio_spapr_tce attach = { .groupfd = group, .tablefd = t->fd };

	return vfio_attr(kvm_vfio, KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE, &attach);
}

/* Tell KVM that the device's hardware tables follow this table. */
int try_attach(const struct table *t)
{
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_VFIO };

	need(!ioctl(vm->fd, KVM_CREATE_DEVICE, &create), "KVM_CREATE_DEVICE(VFIO)");
	need(!vfio_attr((int)create.fd, KVM_DEV_VFIO_GROUP_ADD, &group), "KVM_DEV_VFIO_GROUP_ADD");
	if (attach_also((int)create.fd, t)) {
		int err = errno;

		detach((int)create.fd);
		errno = err;
		return -1;
	}
	return (int)create.fd;
}

int attach(const struct table *t)
{
	int fd = try_attach(t);

	need(fd >= 0, "KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE");
	return fd;
}

void detach(int kvm_vfio)
{
	need(!vfio_attr(kvm_vfio, KVM_DEV_VFIO_GROUP_DEL, &group), "KVM_DEV_VFIO_GROUP_DEL");
	close(kvm_vfio);
}

long hcall(u64 nr, const struct table *t, u64 index, u64 tce, u64 count)
{
	struct guest_op op = { .in = { nr, t->liobn, index << t->page_shift, tce, count } };

	if (!vcpu_run_ops(&vm->vcpu[0], &op, 1))
		die("the guest: %s", vm->failed);
	return (long)op.out[0];
}

long put(const struct table *t, u64 index, u64 tce)
{
	return pwrite(t->fd, &tce, 8, (off_t)(index * 8));
}

u64 at(const struct table *t, u64 index)
{
	u64 tce = 0x5a5a5a5a5a5a5a58UL;

	return pread(t->fd, &tce, 8, (off_t)(index * 8)) == 8 ? tce : 0x5a5a5a5a5a5a5a5cUL;
}

long table_info(const struct table *t, const char *name)
{
	char path[64], line[128];
	size_t len = strlen(name);
	long n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", t->fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':')
			n = strtol(line + len + 1, NULL, 10);
	if (f)
		fclose(f);
	return n;
}
