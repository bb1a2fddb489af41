/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's interrupt vectors: copied to guest address 0. The decrementer's counts; everything
 * else is a mistake of the guest or of KVM and is handed to the VMM.
 */
#include "guest.h"

#define SPRN_DSISR	18
#define SPRN_DAR	19
#define SPRN_DEC	22
#define SPRN_SRR0	26
#define SPRN_SRR1	27
#define SPRN_SPRG0	272	/* the VMM puts the address of struct guest_cpu here */
#define SPRN_SPRG1	273
#define SPRN_SPRG2	274
#define SPRN_SPRG3	275
#define SPRN_TB	268

	.macro trap vector
	.org	\vector
	li	4, \vector
	b	report_trap
	.endm

	.section guest_vectors, "ax"
	trap	0x100
	trap	0x200
	trap	0x300
	trap	0x380
	trap	0x400
	trap	0x480
	trap	0x500
	trap	0x600
	trap	0x700
	trap	0x800

	.org	0x900
	mtspr	SPRN_SPRG1, 3
	mtspr	SPRN_SPRG2, 4
	mtspr	SPRN_SPRG3, 5
	mfspr	3, SPRN_SPRG0
	ld	4, GUEST_CPU_TICKS(3)
	addi	4, 4, 1
	std	4, GUEST_CPU_TICKS(3)
	mfspr	4, SPRN_TB
	ld	5, GUEST_CPU_LAST_TICK(3)
	std	4, GUEST_CPU_LAST_TICK(3)
	subf	5, 5, 4
	ld	4, GUEST_CPU_PERIOD(3)
	mtspr	SPRN_DEC, 4
	subf	5, 4, 5			/* less than 0: too early */
	srdi	5, 5, 63
	ld	4, GUEST_CPU_EARLY(3)
	add	4, 4, 5
	std	4, GUEST_CPU_EARLY(3)
	mfspr	5, SPRN_SPRG3
	mfspr	4, SPRN_SPRG2
	mfspr	3, SPRN_SPRG1
	rfid

	trap	0xa00
	trap	0xc00
	trap	0xd00
	trap	0xe00
	trap	0xe20
	trap	0xe40
	trap	0xf00
	trap	0xf20
	trap	0xf40
	trap	0xf60
	trap	0xf80

	.org	0x1000
report_trap:
	li	3, 0
	ori	3, 3, GUEST_TRAP
	mfspr	5, SPRN_SRR0
	mfspr	6, SPRN_SRR1
	mfspr	7, SPRN_DAR
	mfspr	8, SPRN_DSISR
	sc	1
	b	.

	.section .note.GNU-stack, "", @progbits
