/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the test VMM and the code inside its guest agree on: the layout of guest memory, the
 * structures they share there, and the pattern that the guest writes into its TCE tables.
 * Included by both; the guest is built from guest.c and vectors.S.
 */
#ifndef TCE_VMM_GUEST_H
#define TCE_VMM_GUEST_H

/* PAPR hcall numbers (LoPAPR 14.5) */
#define H_ENTER		   0x08
#define H_GET_TCE	   0x1c
#define H_PUT_TCE	   0x20
#define H_SET_DABR	   0x28
#define H_LOGICAL_CI_LOAD  0x3c
#define H_LOGICAL_CI_STORE 0x40
#define H_REGISTER_VPA	   0xdc
#define H_STUFF_TCE	   0x138
#define H_PUT_TCE_INDIRECT 0x13c

/* PAPR return codes. */
#define H_SUCCESS	0
#define H_HARDWARE	(-1L)
#define H_FUNCTION	(-2L)
#define H_PARAMETER	(-4L)
#define H_PTEG_FULL	(-6L)
#define H_RESOURCE	(-16L)
#define H_PAGE_SIZE_TCE 0x3 /* permission bits of a TCE: read 1, write 2 */

/*
 * Private hcalls from the guest to the VMM. They are beyond the range that KVM looks at, so
 * that KVM_RUN always leaves with KVM_EXIT_PAPR_HCALL.
 */
#define GUEST_DONE   0xf100 /* the work asked for is done */
#define GUEST_REPORT 0xf104 /* r4: number of this report, one more than the last */
#define GUEST_FAIL   0xf108 /* r4: check, r5: LIOBN, r6: index, r7: expected, r8: got */
#define GUEST_TRAP   0xf10c /* r4: vector, r5: SRR0, r6: SRR1, r7: DAR, r8: DSISR */

/* Checks that the guest makes (r4 of GUEST_FAIL) */
#define CHECK_RC     1 /* an hcall did not return H_SUCCESS */
#define CHECK_BEFORE 2 /* the entry did not hold the last lap's value */
#define CHECK_AFTER  3 /* the entry does not hold what was just put */
#define CHECK_TIME   4 /* the timebase went back */
#define CHECK_MMIO   5 /* an MMIO load gave a value twice, or skipped one */

/* A VPA (LoPAPR 14.11.3.2): how it is registered, its length, and a byte in it. */
#define VPA_REGISTER	  (1UL << 45)
#define VPA_LENGTH_AT	  4 /* 16 bits */
#define VPA_LENGTH	  640
#define VPA_PMC_IN_USE_AT 0xbb /* the performance monitor's registers are to be kept */

/* Guest memory, all below GUEST_RAM_MIN; slot 0 starts at 0. */
#define GUEST_VECTORS	0x0UL
#define GUEST_CODE	0x10000UL
#define GUEST_CPUS	0x100000UL /* struct guest_cpu and a stack for each vCPU */
#define GUEST_CPU_SIZE	0x10000UL
#define GUEST_LISTS	0x200000UL /* a TCE list for each vCPU */
#define GUEST_LIST_SIZE 0x10000UL
#define GUEST_OPS	0x400000UL /* struct guest_op arrays, one for each vCPU */
#define GUEST_OPS_SIZE	0x100000UL
#define GUEST_MAX_CPUS	8
#define GUEST_VPAS	0xe00000UL /* a VPA for each vCPU */
#define GUEST_VPA_SIZE	0x10000UL
#define GUEST_RAM_MIN	(16UL << 20)

/*
 * Where the guest finds the VMM's MMIO counter: far above any memory slot, and in the VRMA's 1 TiB.
 */
#define GUEST_MMIO 0x8000000000UL

/* 2 MiB: KVM maps what a real-mode guest has with an entry for each page, one in a group. */
#define HPT_ORDER 21 /* 16,384 groups: as many as 64 MiB have pages of 4 KiB */

/* In KVM_PPC_CONFIGURE_V3_MMU's process table: the guest is radix. */
#define PATB_GR (1ULL << 63)

/* Offsets in struct guest_cpu that vectors.S uses. */
#define GUEST_CPU_TICKS	    0
#define GUEST_CPU_PERIOD    8
#define GUEST_CPU_LAST_TICK 16
#define GUEST_CPU_EARLY	    24

#define GUEST_MAX_TABLES    32
#define TCE_LIST_MAX	    512 /* H_PUT_TCE_INDIRECT takes a 4 KiB page of entries */

#ifndef __ASSEMBLER__

typedef unsigned long u64;

/* One hcall: r3 to r12 before it, r3 to r12 after it, and what it did to r14 to r29. */
struct guest_op {
	u64 in[10];
	u64 out[10];
	u64 clobbered; /* not 0: a register that an hcall must keep was changed */
	u64 exited;    /* set by the VMM: KVM left the hcall to user space */
};

/* One table in the endless pattern: the part of it that this vCPU alone writes. */
struct guest_churn {
	u64 liobn;
	u64 page_shift;
	u64 first;	 /* first I/O page number on the bus (bus offset included) */
	u64 count;	 /* entries in this vCPU's part */
	u64 chunk;	 /* entries between two looks at `stop`, at most TCE_LIST_MAX */
	u64 check_every; /* of the entries put one by one, look at one in so many */
	u64 mem_pages;	 /* I/O pages of guest memory that entries may point to */
	u64 from; /* seq at the start: 0 in an empty table; else what is there is not known */
	u64 seq;  /* of the entry that is next; the last thing to be updated */
};

struct guest_cpu {
	u64 ticks;	 /* decrementer interrupts taken */
	u64 period;	 /* their distance in timebase ticks; 0: none */
	u64 last_tick;	 /* timebase at the last one, just before the next was asked for */
	u64 early_ticks; /* how many came less than a period after the one before */
	u64 ops;	 /* guest address of the guest_op array */
	u64 nops;
	u64 next_op; /* the one being worked on, so that the VMM can mark it */
	u64 list;    /* guest address of this vCPU's TCE list */
	u64 stop;    /* the VMM asks the endless pattern to end */
	u64 reports;
	u64 mmio; /* 0: no MMIO; else the next value an MMIO load must give */
	u64 hpt;  /* not 0: an HPT guest, which must map what is not memory */
	u64 tb_last;
	u64 tb_max_gap;
	u64 loop_count;	 /* for the timed loop: how many */
	u64 loop_stride; /* what each round adds to r5 ... */
	u64 loop_mask;	 /* ... and the bits of r5 that it may use */
	u64 loop_start;	 /* result: the timebase when it began ... */
	u64 loop_ticks;	 /* ... and its ticks until it ended */
	u64 vpa;	 /* for the test of the performance monitor: guest address of a VPA ... */
	u64 id;		 /* ... and the vCPU's number in KVM */
	u64 pmu_kept;	 /* result: rounds in which it was as the guest had set it */
	u64 pmu_count;	 /* result: the instructions that it has seen of an hcall */
	u64 ntables;
	struct guest_churn table[GUEST_MAX_TABLES];
};

enum churn_kind { CHURN_PUT, CHURN_INDIRECT, CHURN_STUFF, CHURN_KINDS };

/* Which hcall writes the entry with this sequence number: it changes from lap to lap. */
static inline enum churn_kind churn_kind(const struct guest_churn *t, u64 seq)
{
	u64 kind = seq / t->count % CHURN_KINDS;

	/* A list is all mapped entries, so it needs memory to point to. */
	return kind == CHURN_INDIRECT && t->mem_pages < 16 ? CHURN_PUT : (enum churn_kind)kind;
}

/* Entries that one step writes from `seq` on: up to the end of the chunk or of the lap. */
static inline u64 churn_step(const struct guest_churn *t, u64 seq)
{
	u64 pos = seq % t->count;
	u64 n = t->chunk - pos % t->chunk;

	return n < t->count - pos ? n : t->count - pos;
}

/*
 * The entry with sequence number `seq`. Odd ones of a PUT lap and all of a STUFF lap are poison
 * (no permission bits) and hold the number itself; the others map guest memory. Two
 * laps never give an index the same value, so a lost update and a repeated one both show.
 */
static inline u64 churn_value(const struct guest_churn *t, u64 seq)
{
	u64 pos = seq % t->count, lap = seq / t->count;

	switch (churn_kind(t, seq)) {
	case CHURN_STUFF:
		return (seq - pos % t->chunk + 1) << 2;
	case CHURN_PUT:
		if (seq & 1 || t->mem_pages < 16)
			return (seq + 1) << 2;
		break;
	default:
		break;
	}
	return (pos + lap * 13) % t->mem_pages << t->page_shift | (1 + seq % 3);
}

/* Whether what the entry that `seq` will write holds before that is known. */
static inline int churn_known_before(const struct guest_churn *t, u64 seq)
{
	return !t->from || seq >= t->from + t->count;
}

/* What it is then. */
static inline u64 churn_value_before(const struct guest_churn *t, u64 seq)
{
	return seq < t->count ? 0 : churn_value(t, seq - t->count);
}

#endif
#endif
