/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test VMM's inside: a VM with its memory, vCPU threads, TCE tables and the model (shadow)
 * of each table. vm.c has KVM, table.c the tables and the model, churn.c the endless pattern,
 * race.c the stress from the host's side, vfio.c hardware tables, tce-vmm.c the commands.
 */
#ifndef TCE_VMM_VM_H
#define TCE_VMM_VM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "guest.h"

#define MAX_TABLES   512
#define MAX_SLOTS    16
#define SHADOW_CHUNK 8192UL /* entries; one host page of 64 KiB */

struct vm;

/* What a table should hold, kept by the VMM alone: chunks that were never written are NULL. */
struct table {
	struct vm *vm;
	int fd;	   /* -1: closed */
	bool file; /* the fd can be read and written: a patched kernel */
	u64 liobn;
	u64 page_shift;
	u64 offset; /* bus offset in I/O pages, as KVM_CREATE_SPAPR_TCE_64 has it */
	u64 entries;
	u64 **shadow;
	void *map; /* mapping asked for by the `map` command, or NULL */
	size_t map_size;
};

struct slot {
	u64 gpa;
	u64 size; /* 0: not there */
	char *mem;
};

struct vcpu {
	struct vm *vm;
	int index;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;
	struct guest_cpu *guest;
	bool busy;			   /* the guest has work; the thread stays in KVM_RUN */
	void (*entry)(struct guest_cpu *); /* where the guest is to start; NULL: it goes on */
	bool parked;			   /* the thread is outside KVM_RUN and waits */
	u64 reports;			   /* GUEST_REPORT hcalls seen */
	u64 mmio_loads;			   /* loads from GUEST_MMIO answered */
	u64 mmio_stores;		   /* value of the last store */
	u64 exits; /* KVM_EXIT_PAPR_HCALL for the guest's own (not private) hcalls */
};

struct vm {
	int kvm_fd, fd;
	bool pr;
	bool radix;
	u64 mem_size; /* of slot 0 */
	struct slot slot[MAX_SLOTS];
	struct vcpu vcpu[GUEST_MAX_CPUS];
	int nvcpus;
	struct table *table[MAX_TABLES];
	int ntables;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* busy, parked, paused or quit changed */
	bool paused;
	bool quit;
	char failed[512]; /* first failure that a vCPU thread saw; empty: none */
};

struct vm_options {
	int type; /* 0: default, 1: HV, 2: PR */
	enum { MMU_DEFAULT, MMU_HPT, MMU_RADIX } mmu;
	u64 mem_size;
	int nvcpus;
};

/* vm.c; all that can fail print why and exit, save those that say so */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
struct vm *vm_create(const struct vm_options *opt);
void vm_destroy(struct vm *vm);
int vm_set_slot(struct vm *vm, unsigned int index, u64 gpa, u64 size); /* 0 or -errno */
void vm_fail(struct vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Guest memory of slot 0. */
void *vm_ram(struct vm *vm, u64 gpa);
/* A VPA of zeros: the guest does not use its performance monitor. */
void vcpu_register_vpa(struct vcpu *vcpu);
/* Start the guest of this vCPU at `entry` (from guest-entry.h), without waiting for it. */
void vcpu_start(struct vcpu *vcpu, void (*entry)(struct guest_cpu *));
/* Wait for its GUEST_DONE; false when a vCPU failed or the VMM is told to end. */
bool vcpu_wait(struct vcpu *vcpu);
void vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);
void vm_quit(struct vm *vm);
/* n hcalls of `ops` on one vCPU; results are in `ops` afterwards. */
bool vcpu_run_ops(struct vcpu *vcpu, struct guest_op *ops, u64 n);
/* Room for the guest's H_PUT_TCE_INDIRECT list of this vCPU, as the VMM and as the guest see it. */
u64 *vcpu_list(struct vcpu *vcpu);
u64 vcpu_list_gpa(const struct vcpu *vcpu);

/* table.c: functions return 0 or -errno */
struct table *table_find(struct vm *vm, u64 liobn);
int table_create(struct vm *vm, u64 liobn, u64 page_shift, u64 offset, u64 entries);
void table_close(struct table *t);
int table_map(struct table *t, int prot, int flags, u64 first_page, u64 npages);
u64 shadow_get(const struct table *t, u64 index);
void shadow_set(struct table *t, u64 index, u64 tce);
/*
 * Read `n` entries from `index` on out of the kernel's table: with pread, or on a stock kernel
 * through mmap.
 */
int table_read(struct table *t, u64 index, u64 n, u64 *buf);
/* Write one entry through the fd (on a stock kernel through mmap); the shadow stays. */
int table_poke(struct table *t, u64 index, u64 tce);
/*
 * The dirty log (patched kernel); get also clears, and calls fn, if given, for each dirty group of
 * entries.
 */
int table_dirty_start(struct table *t);
int table_dirty_stop(struct table *t);
int table_dirty_get(struct table *t, int (*fn)(struct table *t, u64 first, u64 n), u64 *entries);
/* 1 if all entries are 0, 0 if not, or -errno */
int table_is_empty(struct table *t);
/* Make the shadow what the kernel's table is. */
int table_load(struct table *t);
/* Number of entries where kernel and shadow differ, or -errno; the first goes to *index. */
long table_compare(struct table *t, u64 *index, u64 *want, u64 *got);
/*
 * The model: what PAPR and KVM's rules make of this hcall; sets out[] and `exited`, changes
 * shadows.
 */
void model_hcall(struct vm *vm, struct guest_op *op);
/* The answer of user space to a TCE hcall that KVM left to it: r3, and r4 for H_GET_TCE. */
long user_tce_hcall(struct vm *vm, u64 nr, const u64 *args, u64 *r4);

/* churn.c */
struct churn_options {
	u64 chunk; /* as in struct guest_churn */
	u64 check_every;
	bool overwrite; /* the tables may hold anything; else they are empty */
	int ncpus;	/* vCPUs that take part, from the first on */
	int parts;	/* of each table; vCPU n writes part n */
};

int churn_start(struct vm *vm, struct table **tables, int n, const struct churn_options *opt);
/* Entries that this vCPU has written so far. */
u64 churn_updates(const struct guest_cpu *cpu);
int churn_stop(struct vm *vm);
/*
 * All that the guests wrote is in the tables, and nothing else; the VM must be paused or stopped.
 */
int churn_verify(struct vm *vm, FILE *out);
void churn_stats(struct vm *vm, FILE *out);

#endif
