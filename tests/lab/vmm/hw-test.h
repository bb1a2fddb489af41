/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tests of hardware tables share: the device, its window, and the guest's table for it (hw.c);
 * and the parts of tce-hw-test.
 */
#ifndef TCE_VMM_HW_TEST_H
#define TCE_VMM_HW_TEST_H

#include "vm.h"

#define LIOBN	  0x80000000UL
#define WINDOW	  (64UL << 20) /* bytes of bus that the device sees, from 0 on */
#define PART_GPA  0x10000000UL /* slot 1: 16 MiB, only half of which VFIO knows */
#define PART_SIZE (16UL << 20)
#define PERM_BITS 3UL

extern struct vm *vm;

void need(bool good, const char *what);
/* The group of the device that is bound to vfio-pci, which need not be in a container. */
void open_group_file(void);
/* That device, in a container of its own: its fd. */
int open_group(void);
/* A container with the group in it. */
void open_container(void);
/* One of the first version, which pins each page that is mapped, for itself. */
void open_v1_container(void);
/* The device, whose group is in a container: its fd. */
int open_in_container(void);
/* The device has to be closed, here and when the group leaves the container. */
void close_container(void);
void leave_container(void);
void join_container(void);
void register_memory(void *mem, u64 size);
bool try_register(void *mem, u64 size);
/* False while something of it is mapped for the device. */
bool unregister_memory(void *mem, u64 size);
/* A second device is in a container of its own, which has registered this memory. */
void open_other_container(void *mem, u64 size);
void close_other_container(void);
/* Kilobytes that the process has locked, as the kernel counts them. */
long locked(void);
void vfio_map(u64 ioba, void *mem, u64 size);
void vfio_unmap(u64 ioba, u64 size);
/* What the ioctl returns, errno set. */
int try_vfio_map(u64 ioba, void *mem, u64 size);
int try_vfio_unmap(u64 ioba, u64 size);
/* What the ioctl that makes a window returns, errno set, and where the window is then. */
int try_window(__u32 page_shift, u64 size, u64 *start);
/* Makes a window of this page size at bus address 0, where none is. */
void create_first_window(__u32 page_shift);
/* The page shift, 12 or 16, of the largest hardware pages that the kernel's own pages fill. */
__u32 most_hw_shift(void);
void remove_window(void);
/* Replaces one by another. */
void create_window(__u32 page_shift);
struct table *create_table(u64 page_shift);
/* KVM's VFIO device, with the group attached to the table; -1, errno set, if that fails */
int try_attach(const struct table *t);
int attach(const struct table *t);
/* One more table that the group's hardware tables follow, then 0; else -1, errno set. */
int attach_also(int kvm_vfio, const struct table *t);
void detach(int kvm_vfio);
/*
 * The first 2^24 bytes of `size` from `mem` on, as memory of the guest's, can't be mapped whole or
 * may not be by hardware pages of this size; see hw-test.c.
 */
void never_maps(void *mem, u64 size, __u32 hw_shift, const char *what);
long hcall(u64 nr, const struct table *t, u64 index, u64 tce, u64 count);
long put(const struct table *t, u64 index, u64 tce);
u64 at(const struct table *t, u64 index);
/* The number in a line of the table's fdinfo, -1 without such a line. */
long table_info(const struct table *t, const char *name);

/* hw-edu.c: registers of the device's BAR 0, and its permission to do DMA */
void open_device(int fd);
void close_device(void);
/* What it says it is: its last byte is 0xed. */
uint32_t device_id(void);
/* What is at `gpa` gets into the device through bus address `ioba`; see there. */
bool reads_through(u64 ioba, u64 gpa, u64 out, u64 out_gpa);
bool writes_through(u64 ioba, u64 gpa, u64 out, u64 out_gpa);

/* hw-random.c: every writer, any word, I/O pages of any size against the hardware's */
void test_random(u64 seed);

/* hw-window.c: what is given up while the guest goes on, and what is changed at once */
void test_no_container(void);
void test_removed_window(void);
void test_windows_under_load(void);
void test_windows_while_attaching(void);
void test_replaced_windows(void);
void test_shared_entries(void);
void test_closed_container(void);
void test_left_container(void);
void test_first_comers(void);
void test_other_container(void);

/* hw-map.c: what VFIO is told to map, and what it and KVM map at once */
void test_edges(void);
void test_contended_entries(void);
void test_v1_container(void);

/* hw-huge.c: memory that is huge pages only in part, with hardware pages of 2^24 bytes */
void test_mixed_pages(void);

/* hw-race.c: vCPUs, the host and the group's coming and going, all at once */
void test_race(void);

#endif
