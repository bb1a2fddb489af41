// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A symbol of kvm.ko that kvm-hv.ko needs (pair-hv.c). `prepare' names it in pair.h after the
 * patches and the kernel, as the modules find members of a VM by offsets that another kvm.ko does
 * not have: the distribution's, or one of another version of the patches.
 */
#include <linux/export.h>
#include <linux/types.h>

#include "pair.h"

const u8 TCE_KVM_PAIR = 1;
EXPORT_SYMBOL_GPL(TCE_KVM_PAIR);
