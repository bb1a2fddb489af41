/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel fuzzer's inside: what its calls are made on, and how they choose. kernel-fuzz.c has
 * the threads and the counts, fuzz-kvm.c the calls on VMs, vCPUs and devices, fuzz-mmu.c those on
 * page tables, fuzz-file.c those on fds and mappings, fuzz-vfio.c those on a PCI device.
 */
#ifndef TCE_VMM_FUZZ_H
#define TCE_VMM_FUZZ_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>

#include "guest.h"

enum fuzz_kind { FUZZ_VM, FUZZ_VCPU, FUZZ_TABLE, FUZZ_VIEW, FUZZ_DEVICE, FUZZ_OTHER, FUZZ_KINDS };

#define FUZZ_PLACES	16 /* of each kind, at most */
#define FUZZ_BUFFER	(64UL << 10)
#define FUZZ_MAPS	8
#define FUZZ_MAP_SIZE	(1UL << 20)
#define FUZZ_GUEST_SIZE (16UL << 20) /* memory of a VM */
#define FUZZ_LIOBN	0x80000000UL
#define FUZZ_LIOBNS	8

/* One thread. Every call starts with a state of its own, so that it can be made again alone. */
struct fuzz {
	int index;
	u64 seed;
	u64 number;   /* of the call */
	u64 state;    /* of its random numbers */
	bool forked;  /* a child that makes a few calls */
	bool guarded; /* a fault on the way leads to `fault` */
	sigjmp_buf fault;
	u64 *buffer;	  /* FUZZ_BUFFER bytes */
	const char *call; /* its name */
};

/* Returns what the system call did: negative is a failure. */
struct fuzz_call {
	const char *name;
	unsigned int weight;
	long (*make)(struct fuzz *f);
};

extern const struct fuzz_call fuzz_kvm_calls[], fuzz_mmu_calls[], fuzz_xive_calls[],
	fuzz_file_calls[], fuzz_vfio_calls[];

/* Whether there is a device to attach; opens it. */
bool fuzz_vfio_open(void);
/* Makes room for guests' memory and for mappings. */
void fuzz_kvm_init(void);
void fuzz_file_init(void);
/* Whether the host's KVM has XIVE's device. */
bool fuzz_kvm_has_xive(void);
/* A VM's MMU as one of the two kinds, sometimes as nonsense; a hash page table of this order. */
void fuzz_set_mmu(struct fuzz *f, int vm, unsigned int order);

u64 fuzz_random(struct fuzz *f);
/* Less than n. */
u64 fuzz_below(struct fuzz *f, u64 n);
/* True once in n times. */
bool fuzz_one_in(struct fuzz *f, u64 n);
/* A number that something may go wrong at: 0, all ones, near a power of two, any. */
u64 fuzz_number(struct fuzz *f);
/* A table entry: mostly of the guest's memory, with any low bits. */
u64 fuzz_tce(struct fuzz *f);
/* Fills the thread's buffer with entries and returns it. */
u64 *fuzz_entries(struct fuzz *f);
/* An address to give to a call: the thread's buffer, a mapping, a guest's memory, nonsense. */
void *fuzz_address(struct fuzz *f);
void *fuzz_map_address(struct fuzz *f);
/* One time in three the start of a VM's memory. */
void *fuzz_guest_memory(struct fuzz *f);

/* What a table of this LIOBN is like, if it is as most are. */
struct fuzz_window {
	u64 page_shift, offset, size;
};

struct fuzz_window fuzz_window(u64 liobn);

/* An fd of this kind; -1 when the place is empty. Another thread may close it at any time. */
int fuzz_fd(struct fuzz *f, enum fuzz_kind kind);
/* Mostly a table, or a view of one; sometimes anything. */
int fuzz_any_fd(struct fuzz *f);
int fuzz_fd_at(enum fuzz_kind kind, unsigned int place);
/* Puts an fd into a place, whose last one is closed; fails (-1) with a negative fd. */
long fuzz_keep_at(enum fuzz_kind kind, unsigned int place, int fd);
long fuzz_keep(struct fuzz *f, enum fuzz_kind kind, int fd);
/* One more random call in this thread, for children. */
void fuzz_call_any(struct fuzz *f);

#endif
