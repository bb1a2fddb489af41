/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VMs of the image folder: loaded, checked, then made. What is in the images is checked twice:
 * by check_images(), before CRIU has made anything, and by KVM, which takes nothing on trust from
 * user space.
 */
#ifndef VM_IMAGES_H
#define VM_IMAGES_H

#include "kvm-plugin.h"

struct vm {
	KvmCriu__Vm *image;
	unsigned int files_left; /* that CRIU has not asked for yet */
	bool made;
	bool trial; /* nobody will use it */
	int fd;
	int *vcpu_fds;
	int *table_fds;
	int device_fd; /* of the interrupt controller, if there is one */
};

/* Read all of them, and look at the images of their files and processes. */
int load_vms(void);
void drop_vms(void);
struct vm *find_vm(uint64_t number);
int for_each_vm(int (*each)(const struct vm *vm, void *arg), void *arg);
/* Says that a VM can't be restored, and is -1. */
int refuse_vm(const KvmCriu__Vm *vm, const char *why);
/* Does it log its pages, or did it? */
bool logs_dirty_pages(const KvmCriu__Vm *vm);
/* Open a table's image and read up to its table, which must be the one that the VM had. */
int open_table_image(const KvmCriu__Vm *vm, const KvmCriu__Table *table, struct tce_reader **reader,
		     int *fd);
/* vm-fd.c: an ioctl that makes a part of @vm, which is named in the message if it fails */
int vm_ioctl(const struct vm *vm, unsigned long cmd, void *arg, const char *what);
/* The fd, out of the way of those that CRIU puts in place, or -1 with a message; @fd is closed. */
int keep_fd(const struct vm *vm, int fd);
/* restore-tables.c: the HPT and its entries, then the TCE tables, which stand on memory slots */
int make_hpt(const struct vm *vm);
int load_hpt(const struct vm *vm);
int make_tables(struct vm *vm);
/* restore-vcpu.c: registers, run pages and what else is set, in vCPUs that are made */
int set_vcpus(const struct vm *vm);

#endif /* VM_IMAGES_H */
