/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The firmware that criu-pairs gives to QEMU (-bios) in place of its own: it needs no disk, no
 * interrupt and no kernel, and is at work at once. It writes to the TCE table of the first PCI host
 * bridge for ever and looks at what it wrote a lap before. After each entry it puts the number of
 * entries so far into COUNT_AT, or FAILED when an hcall or an entry was not as it should be, and
 * from then on nothing else. tce-dump shows both. It never stops making hcalls: a guest that runs
 * without an exit can keep the CPU of an emulated nested host for ever, as the emulator takes it
 * back only if the time was not over yet when the guest went on. QEMU starts it at 0x100, in real
 * mode, big-endian.
 */
#define H_GET_TCE 0x1c
#define H_PUT_TCE 0x20
#define LIOBN	  0x80000000
#define LAP_BITS  10
#define LAP	  (1 << LAP_BITS)
#define COUNT_AT  (2048 << 12)
#define FAILED	  4 /* no permission, and no count: those are multiples of 8 */
#define PAGE_BITS 15 /* entries name the first 128 MiB of guest memory */

	.org 0x100
	lis	14, LIOBN >> 16
	clrldi	14, 14, 32
	li	15, 0		/* the number of the entry that is next */

	/* The entry's address on the bus, and what it holds since the lap before. */
next:	clrldi	16, 15, 64 - LAP_BITS
	sldi	16, 16, 12
	li	17, 0
	addi	18, 15, -LAP
	cmpdi	18, 0
	blt	empty
	clrldi	17, 18, 64 - PAGE_BITS
	sldi	17, 17, 12
	ori	17, 17, 3
empty:	li	3, H_GET_TCE
	mr	4, 14
	mr	5, 16
	sc	1
	cmpdi	3, 0
	bne	wrong
	cmpd	4, 17
	bne	wrong

	clrldi	6, 15, 64 - PAGE_BITS
	sldi	6, 6, 12
	ori	6, 6, 3
	mr	5, 16
	bl	put
	addi	15, 15, 1
	sldi	6, 15, 3
	lis	5, COUNT_AT >> 16
	bl	put
	b	next

wrong:	li	6, FAILED
	lis	5, COUNT_AT >> 16
	li	3, H_PUT_TCE
	mr	4, 14
	sc	1
	b	wrong

	/* put: the TCE in r6 at the bus address in r5 */
put:	li	3, H_PUT_TCE
	mr	4, 14
	sc	1
	cmpdi	3, 0
	bne	wrong
	blr
