// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device that tests of hardware tables have (QEMU's edu, a DMA engine behind a few registers),
 * and what data it moves through the guest's table.
 */
#include <endian.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "hw-test.h"

#define BUFFER 0x40000UL /* the device's own 4 KiB */
#define LENGTH 4096UL

/* Its registers, from QEMU's docs/specs/edu.rst. */
#define EDU_ID		0x00
#define EDU_DMA_SRC	0x80
#define EDU_DMA_DST	0x88
#define EDU_DMA_COUNT	0x90
#define EDU_DMA_COMMAND 0x98
#define EDU_START	1
#define EDU_TO_RAM	2

static volatile void *bar;

/*
 * QEMU gives the device the byte order of the target's name, which for ppc64 is big, whatever the
 * host runs in.
 */
static u64 edu_read(u64 reg)
{
	return be64toh(*(volatile u64 *)((u64)bar + reg));
}

static void edu_write(u64 reg, u64 value)
{
	*(volatile u64 *)((u64)bar + reg) = htobe64(value);
}

/* The device takes 100 ms for a transfer. */
static void edu_transfer(u64 src, u64 dst, u64 command)
{
	const struct timespec tick = { .tv_nsec = 5000000 };
	int patience = 2000;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	edu_write(EDU_DMA_SRC, src);
	edu_write(EDU_DMA_DST, dst);
	edu_write(EDU_DMA_COUNT, LENGTH);
	edu_write(EDU_DMA_COMMAND, command | EDU_START);
	while (edu_read(EDU_DMA_COMMAND) & EDU_START) {
		if (!--patience)
			die("the device's transfer does not end");
		nanosleep(&tick, NULL);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static u64 *ram(u64 gpa)
{
	return gpa >= PART_GPA ? (void *)(vm->slot[1].mem + (gpa - PART_GPA)) : vm_ram(vm, gpa);
}

static void fill(u64 gpa, u64 first)
{
	for (u64 i = 0; i < LENGTH / 8; i++)
		ram(gpa)[i] = first + i;
}

static bool holds(u64 gpa, u64 first)
{
	for (u64 i = 0; i < LENGTH / 8; i++)
		if (ram(gpa)[i] != first + i)
			return false;
	return true;
}

static u64 pattern = 0x1000000;

/*
 * What is at `gpa` gets into the device through bus address `ioba`. `out` is a good bus address of
 * `out_gpa`.
 */
bool reads_through(u64 ioba, u64 gpa, u64 out, u64 out_gpa)
{
	u64 old = pattern += 0x10000, new = pattern += 0x10000;

	fill(out_gpa, old); /* so that the device holds something else before */
	edu_transfer(out, BUFFER, 0);
	fill(gpa, new);
	edu_transfer(ioba, BUFFER, 0);
	fill(out_gpa, 0);
	edu_transfer(BUFFER, out, EDU_TO_RAM);
	return holds(out_gpa, new);
}

/* What the device holds gets to `gpa` through bus address `ioba`. */
bool writes_through(u64 ioba, u64 gpa, u64 out, u64 out_gpa)
{
	u64 new = pattern += 0x10000, old = pattern += 0x10000;

	fill(out_gpa, new);
	edu_transfer(out, BUFFER, 0);
	fill(gpa, old);
	edu_transfer(BUFFER, ioba, EDU_TO_RAM);
	if (!holds(gpa, new) && !holds(gpa, old))
		die("memory at %#lx has neither the old nor the new data", gpa);
	return holds(gpa, new);
}

static int device;
static u64 bar_size;

void open_device(int fd)
{
	struct vfio_region_info region = { .argsz = sizeof(region),
					   .index = VFIO_PCI_BAR0_REGION_INDEX };
	struct vfio_region_info config = { .argsz = sizeof(config),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command = 6; /* memory space, bus master */

	device = fd;
	need(!ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region),
	     "VFIO_DEVICE_GET_REGION_INFO(BAR 0)");
	need(!ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config),
	     "VFIO_DEVICE_GET_REGION_INFO(config)");
	need(pwrite(device, &command, 2, (off_t)config.offset + 4) == 2,
	     "the device's command register");
	bar = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, device,
		   (off_t)region.offset);
	need(bar != MAP_FAILED, "mmap of BAR 0");
	bar_size = region.size;
}

uint32_t device_id(void)
{
	return be32toh(*(volatile uint32_t *)((u64)bar + EDU_ID));
}

void close_device(void)
{
	munmap((void *)(u64)bar, bar_size);
	close(device);
}
