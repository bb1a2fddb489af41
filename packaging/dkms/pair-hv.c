// SPDX-License-Identifier: GPL-2.0-or-later
/* Keeps kvm-hv.ko from being loaded with a kvm.ko that was not built with it: see pair-kvm.c. */
#include <linux/compiler.h>
#include <linux/types.h>

#include "pair.h"

static const u8 *const tce_kvm_pair __used = &TCE_KVM_PAIR;
