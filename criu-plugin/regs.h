/* SPDX-License-Identifier: GPL-2.0-only */
/* The list of a vCPU's ONE_REG registers. */
#ifndef REGS_H
#define REGS_H

#include <stddef.h>
#include <stdint.h>

/* Registers whose ids follow one another. */
struct reg_range {
	uint64_t first;
	unsigned int count;
};

extern const struct reg_range reg_ranges[];
extern const size_t nr_reg_ranges;

#endif /* REGS_H */
