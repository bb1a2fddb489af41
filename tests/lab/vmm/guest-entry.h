/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry points of the guest's code, and where the linker put what is copied into the guest. */
#ifndef TCE_VMM_GUEST_ENTRY_H
#define TCE_VMM_GUEST_ENTRY_H

struct guest_cpu;

extern const char __start_guest_vectors[], __stop_guest_vectors[];
extern const char __start_guest_code[], __stop_guest_code[];

/* Each gets the guest address of its struct guest_cpu and ends with GUEST_DONE. */
void guest_run_ops(struct guest_cpu *cpu);
void guest_timed_loop(struct guest_cpu *cpu);
void guest_use_pmu(struct guest_cpu *cpu);
void guest_count_op(struct guest_cpu *cpu);
void guest_churn(struct guest_cpu *cpu);

#endif
