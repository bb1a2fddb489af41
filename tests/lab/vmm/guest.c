// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The code inside the guest: a list of hcalls, a timed loop of one hcall, and a pattern that
 * changes the TCE tables for ever and checks itself. It runs in real mode (MSR[IR,DR] = 0), one
 * copy for each vCPU, without a library; the VMM copies the section guest_code to GUEST_CODE, so
 * nothing here may refer to data (no globals, no strings, no jump tables).
 */
#include <stdbool.h>

#include "guest.h"
#include "guest-entry.h"

#define GUEST	     __attribute__((section("guest_code"), used))
#define GUEST_INLINE static inline __attribute__((always_inline))

struct hcall_result {
	long r3;
	u64 r4;
};

GUEST_INLINE struct hcall_result hcall(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	register u64 r3 asm("r3") = nr;
	register u64 r4 asm("r4") = a;
	register u64 r5 asm("r5") = b;
	register u64 r6 asm("r6") = c;
	register u64 r7 asm("r7") = d;
	register u64 r8 asm("r8") = e;

	asm volatile("sc 1"
		     : "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7), "+r"(r8)
		     :
		     : "r0", "r9", "r10", "r11", "r12", "cr0", "cr1", "cr5", "cr6", "cr7", "ctr",
		       "lr", "memory");
	return (struct hcall_result){ (long)r3, r4 };
}

GUEST_INLINE u64 timebase(void)
{
	u64 tb;

	asm volatile("mfspr %0, 268" : "=r"(tb));
	return tb;
}

GUEST_INLINE void done(void)
{
	for (;;)
		hcall(GUEST_DONE, 0, 0, 0, 0, 0);
}

GUEST_INLINE void fail(u64 check, u64 liobn, u64 index, u64 want, u64 got)
{
	hcall(GUEST_FAIL, check, liobn, index, want, got);
}

/* Issue the hcalls of the list, with every argument register given and every result kept. */
GUEST void guest_run_ops(struct guest_cpu *cpu)
{
	struct guest_op *op = (struct guest_op *)cpu->ops;

	for (cpu->next_op = 0; cpu->next_op < cpu->nops; cpu->next_op++, op++) {
		/* r14 to r29 get values of their own; r31 stays the pointer */
		asm volatile("mr 31, %0\n\t"
			     ".irp n, 14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29\n\t"
			     "addi \\n, 31, \\n\n\t"
			     ".endr\n\t"
			     ".irp n, 3,4,5,6,7,8,9,10,11,12\n\t"
			     "ld \\n, (\\n - 3) * 8(31)\n\t"
			     ".endr\n\t"
			     "sc 1\n\t"
			     ".irp n, 3,4,5,6,7,8,9,10,11,12\n\t"
			     "std \\n, (\\n + 7) * 8(31)\n\t"
			     ".endr\n\t"
			     "li 3, 0\n\t"
			     ".irp n, 14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29\n\t"
			     "subf 4, 31, \\n\n\t"
			     "xori 4, 4, \\n\n\t"
			     "or 3, 3, 4\n\t"
			     ".endr\n\t"
			     "std 3, 160(31)"
			     :
			     : "r"(op)
			     : "r0", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12",
			       "r14", "r15", "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23",
			       "r24", "r25", "r26", "r27", "r28", "r29", "r31", "cr0", "cr1", "cr2",
			       "cr3", "cr4", "cr5", "cr6", "cr7", "ctr", "lr", "memory");
	}
	done();
}

/* The first op of the list, loop_count times: 12 instructions a round, the hcall's own included. */
GUEST void guest_timed_loop(struct guest_cpu *cpu)
{
	const struct guest_op *op = (const struct guest_op *)cpu->ops;

	/* KVM does more at every exit when the decrementer has run out: it must not. */
	asm volatile("mtspr 22, %0" : : "r"(0x7fffffffUL)); /* DEC */
	cpu->loop_start = timebase();
	asm volatile("mr 14, %0\n\t"
		     "mr 15, %1\n\t"
		     "mr 16, %2\n\t"
		     "mr 17, %3\n\t"
		     "mr 18, %4\n\t"
		     "mr 19, %5\n\t"
		     "mr 20, %6\n\t"
		     "mr 21, %7\n\t"
		     "1: mr 3, 14\n\t"
		     "mr 4, 15\n\t"
		     "mr 5, 16\n\t"
		     "mr 6, 17\n\t"
		     "mr 7, 18\n\t"
		     "sc 1\n\t"
		     "add 16, 16, 19\n\t"
		     "and 16, 16, 20\n\t"
		     "nop\n\t"
		     "addi 21, 21, -1\n\t"
		     "cmpdi 21, 0\n\t"
		     "bne 1b"
		     :
		     : "r"(op->in[0]), "r"(op->in[1]), "r"(op->in[2]), "r"(op->in[3]),
		       "r"(op->in[4]), "r"(cpu->loop_stride), "r"(cpu->loop_mask),
		       "r"(cpu->loop_count)
		     : "r0", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r14",
		       "r15", "r16", "r17", "r18", "r19", "r20", "r21", "cr0", "cr1", "cr5", "cr6",
		       "cr7", "ctr", "lr", "memory");
	cpu->loop_ticks = timebase() - cpu->loop_start;
	done();
}

/*
 * The first op of the list, loop_count times, each between a store to the performance monitor's
 * MMCR0 and a look at it. Before each, KVM gives the monitor to the guest, and is then told that it
 * need not: so KVM may take it away again whenever the guest exits.
 */
GUEST void guest_use_pmu(struct guest_cpu *cpu)
{
	const struct guest_op *op = (const struct guest_op *)cpu->ops;
	volatile unsigned char *in_use = (unsigned char *)cpu->vpa + VPA_PMC_IN_USE_AT;
	/* FC and FCP: nothing is counted, also where HFSCR[PM] is not emulated; sampling is on. */
	const u64 mine = 0xa0000000, sample = 1;
	u64 i, set, got;
	long ret;

	*(volatile unsigned short *)(cpu->vpa + VPA_LENGTH_AT) = __builtin_bswap16(VPA_LENGTH);
	ret = hcall(H_REGISTER_VPA, VPA_REGISTER, cpu->id, cpu->vpa, 0, 0).r3;
	if (ret != H_SUCCESS)
		fail(CHECK_RC, 0, 0, H_REGISTER_VPA, (u64)ret);
	for (i = 0; i < cpu->loop_count; i++) {
		*in_use = 1;
		hcall(H_GET_TCE, ~0UL, 0, 0, 0, 0); /* of no table: an exit to the VMM */
		*in_use = 0;
		asm volatile("mtspr 786, %2\n\t" /* MMCRA */
			     "mtspr 795, %1\n\tisync\n\tmfspr %0, 795"
			     : "=r"(set)
			     : "r"(mine), "r"(sample));
		ret = hcall(op->in[0], op->in[1], op->in[2], op->in[3], op->in[4], 0).r3;
		asm volatile("mfspr %0, 795" : "=r"(got));
		if (ret != H_SUCCESS)
			fail(CHECK_RC, op->in[1], op->in[2], op->in[0], (u64)ret);
		if (got == set && got & mine)
			cpu->pmu_kept++;
	}
	done();
}

/*
 * The first op of the list, loop_count times, while the monitor counts each instruction that it
 * sees: the fewest that it has seen are the hcall's. The VPA is registered by guest_use_pmu().
 */
GUEST void guest_count_op(struct guest_cpu *cpu)
{
	const struct guest_op *op = (const struct guest_op *)cpu->ops;
	volatile unsigned char *in_use = (unsigned char *)cpu->vpa + VPA_PMC_IN_USE_AT;
	const u64 frozen = 0x80000000; /* MMCR0[FC] */
	u64 i, count;
	long ret;

	*in_use = 1;
	hcall(H_GET_TCE, ~0UL, 0, 0, 0, 0); /* of no table: an exit to the VMM */
	cpu->pmu_count = ~0UL;
	for (i = 0; i < cpu->loop_count; i++) {
		/* These are MMCRA, PMC5 and MMCR0. */
		asm volatile("mtspr 786, %0\n\t"
			     "mtspr 775, %0\n\t"
			     "mtspr 795, %0\n\tisync"
			     :
			     : "r"(0UL));
		ret = hcall(op->in[0], op->in[1], op->in[2], op->in[3], op->in[4], 0).r3;
		asm volatile("mfspr %0, 775\n\t"
			     "mtspr 795, %1\n\tisync"
			     : "=r"(count)
			     : "r"(frozen));
		if (ret != H_SUCCESS)
			fail(CHECK_RC, op->in[1], op->in[2], op->in[0], (u64)ret);
		if (count < cpu->pmu_count)
			cpu->pmu_count = count;
	}
	*in_use = 0;
	hcall(H_GET_TCE, ~0UL, 0, 0, 0, 0);
	done();
}

/* TCE number `seq` of the pattern must be in the table now. */
GUEST_INLINE void expect(const struct guest_churn *t, u64 seq, u64 want, u64 check)
{
	u64 io_page = t->first + seq % t->count;
	struct hcall_result r = hcall(H_GET_TCE, t->liobn, io_page << t->page_shift, 0, 0, 0);

	if (r.r3 != H_SUCCESS)
		fail(CHECK_RC, t->liobn, io_page, H_GET_TCE, (u64)r.r3);
	else if (r.r4 != want)
		fail(check, t->liobn, io_page, want, r.r4);
}

GUEST_INLINE void expect_before(const struct guest_churn *t, u64 seq)
{
	if (churn_known_before(t, seq))
		expect(t, seq, churn_value_before(t, seq), CHECK_BEFORE);
}

GUEST_INLINE void succeeded(const struct guest_churn *t, u64 seq, u64 nr, struct hcall_result r)
{
	if (r.r3 != H_SUCCESS)
		fail(CHECK_RC, t->liobn, t->first + seq % t->count, nr, (u64)r.r3);
}

/* One chunk by one hcall of many entries; the first and the last are looked at. */
GUEST_INLINE void write_chunk(struct guest_cpu *cpu, struct guest_churn *t, enum churn_kind kind,
			      u64 n)
{
	u64 seq = t->seq, last = seq + n - 1, i;
	u64 ioba = (t->first + seq % t->count) << t->page_shift;
	u64 *list = (u64 *)cpu->list;

	expect_before(t, seq);
	expect_before(t, last);
	if (kind == CHURN_STUFF) {
		succeeded(t, seq, H_STUFF_TCE,
			  hcall(H_STUFF_TCE, t->liobn, ioba, churn_value(t, seq), n, 0));
	} else {
		for (i = 0; i < n; i++) /* PAPR: the list is big-endian */
			list[i] = __builtin_bswap64(churn_value(t, seq + i));
		succeeded(t, seq, H_PUT_TCE_INDIRECT,
			  hcall(H_PUT_TCE_INDIRECT, t->liobn, ioba, cpu->list, n, 0));
	}
	expect(t, seq, churn_value(t, seq), CHECK_AFTER);
	expect(t, last, churn_value(t, last), CHECK_AFTER);
	t->seq = seq + n;
}

GUEST_INLINE void put_chunk(struct guest_churn *t, u64 n)
{
	for (; n; n--, t->seq++) {
		u64 seq = t->seq;
		u64 ioba = (t->first + seq % t->count) << t->page_shift;

		bool look = seq % t->check_every == 0;

		if (look)
			expect_before(t, seq);
		succeeded(t, seq, H_PUT_TCE,
			  hcall(H_PUT_TCE, t->liobn, ioba, churn_value(t, seq), 0, 0));
		if (look)
			expect(t, seq, churn_value(t, seq), CHECK_AFTER);
	}
}

/*
 * KVM maps memory for an HPT guest in real mode (the VRMA), and nothing else: enter the page of the
 * MMIO registers into the hashed page table. The VRMA's VSID and page size are KVM's choice
 * (book3s_64_mmu_hv.c). Where another vCPU was first, the place is taken.
 */
GUEST_INLINE void map_mmio(struct guest_cpu *cpu)
{
	const u64 vsid = 0x1ffffff, page = GUEST_MMIO >> 16;
	u64 hash = (page ^ vsid ^ (vsid << 25)) & ((1UL << (HPT_ORDER - 7)) - 1);
	/* A 1 TiB segment, the page's address, bolted, large, valid. */
	u64 v = 1UL << 62 | vsid << 24 | (page & ~0x7fUL) | 0x10 | 4 | 1;
	/* 64 KiB, referenced, changed, inhibited and guarded, read and write */
	u64 r = GUEST_MMIO | 0x1000 | 0x180 | 0x28 | 2;
	const u64 exact = 1UL << (63 - 24); /* this entry of the group, and no other */
	struct hcall_result res = hcall(H_ENTER, exact, hash << 3, v, r, 0);

	if (res.r3 != H_SUCCESS && res.r3 != H_PTEG_FULL)
		fail(CHECK_RC, 0, page, H_ENTER, (u64)res.r3);
}

/* The endless pattern: chunk after chunk in table after table, until the VMM says stop. */
GUEST void guest_churn(struct guest_cpu *cpu)
{
	volatile u64 *stop = &cpu->stop;

	if (cpu->period)
		asm volatile("mtspr 22, %0" : : "r"(cpu->period)); /* DEC */
	if (cpu->mmio && cpu->hpt)
		map_mmio(cpu);
	while (!*stop) {
		u64 i, tb = timebase();

		if (tb < cpu->tb_last)
			fail(CHECK_TIME, 0, 0, cpu->tb_last, tb);
		else if (cpu->tb_last && tb - cpu->tb_last > cpu->tb_max_gap)
			cpu->tb_max_gap = tb - cpu->tb_last;
		cpu->tb_last = tb;

		for (i = 0; i < cpu->ntables; i++) {
			struct guest_churn *t = &cpu->table[i];
			enum churn_kind kind = churn_kind(t, t->seq);
			u64 n = churn_step(t, t->seq);

			if (kind == CHURN_PUT)
				put_chunk(t, n);
			else
				write_chunk(cpu, t, kind, n);
		}
		if (cpu->mmio) {
			/*
			 * The device counts its loads: a value twice or skipped is an exit done
			 * twice or lost.
			 */
			u64 got = *(volatile u64 *)GUEST_MMIO;

			if (got != cpu->mmio)
				fail(CHECK_MMIO, 0, 0, cpu->mmio, got);
			*(volatile u64 *)(GUEST_MMIO + 8) = got;
			cpu->mmio = got + 1;
		}
		hcall(GUEST_REPORT, cpu->reports + 1, 0, 0, 0, 0);
		cpu->reports++;
	}
	done();
}
