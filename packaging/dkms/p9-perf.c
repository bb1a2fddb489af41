// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * book3s_hv_rm_tce.c is built for what it answers in the module. It also has what a vmlinux with
 * the series calls, and nothing calls that here: what it needs of book3s_hv_p9_perf.c, which is
 * built into vmlinux, does nothing.
 */
#include <asm/kvm_ppc.h>

#include "book3s_hv.h"

void pause_guest_pmu(unsigned long *mmcr0, unsigned long *mmcra)
{
}

void resume_guest_pmu(unsigned long mmcr0, unsigned long mmcra)
{
}
