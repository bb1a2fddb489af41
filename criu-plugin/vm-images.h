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

/* Load all VMs, and check the images of their files and processes. */
int load_vms(void);
void drop_vms(void);
struct vm *find_vm(uint64_t number);
int for_each_vm(int (*each)(const struct vm *vm, void *arg), void *arg);
/* Say that a VM can't be restored. Return: -1. */
int refuse_vm(const KvmCriu__Vm *vm, const char *why);
/* Does the VM log dirty pages, or has it done so? */
bool logs_dirty_pages(const KvmCriu__Vm *vm);
/* Open a table's image and read up to its table, which must be the one that the VM had. */
int open_table_image(const KvmCriu__Vm *vm, const KvmCriu__Table *table, struct tce_reader **reader,
		     int *fd);
/* vm-fd.c: make a part of @vm by an ioctl. The message of a failure names the part, @what. */
int vm_ioctl(const struct vm *vm, unsigned long cmd, void *arg, const char *what);
/* Move @fd away from the numbers that CRIU uses. Return: the new fd, or -1 after a message. */
int keep_fd(const struct vm *vm, int fd);
/* restore-tables.c: make the HPT, load its entries, make the TCE tables (after memory slots). */
int make_hpt(const struct vm *vm);
int load_hpt(const struct vm *vm);
int make_tables(struct vm *vm);
/* restore-vcpu.c: set registers, run pages and all else of vCPUs that exist. */
int set_vcpus(const struct vm *vm);

#endif /* VM_IMAGES_H */
