// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ONE_REG registers of a Book3S HV vCPU, in the order they are to be set again. KVM of this
 * kernel has no KVM_GET_REG_LIST on powerpc, so the list is ours: kvmppc_get_one_reg_hv(),
 * kvmppc_get_one_reg() and kvm_vcpu_ioctl_get_one_reg() in arch/powerpc/kvm. What a CPU or a kernel
 * does not have answers with an error, and is left out of the image.
 */
#include <string.h>

#include <linux/kvm.h>

#include "kvm-plugin.h"
#include "regs.h"

/* Not every header that this may be built with has these. */
#ifndef KVM_REG_PPC_DEXCR
#define KVM_REG_PPC_DEXCR     (KVM_REG_PPC | KVM_REG_SIZE_U64 | 0xc6)
#define KVM_REG_PPC_HASHKEYR  (KVM_REG_PPC | KVM_REG_SIZE_U64 | 0xc7)
#define KVM_REG_PPC_HASHPKEYR (KVM_REG_PPC | KVM_REG_SIZE_U64 | 0xc8)
#endif
#ifndef KVM_REG_PPC_DAWR1
#define KVM_REG_PPC_DAWR1  (KVM_REG_PPC | KVM_REG_SIZE_U64 | 0xc4)
#define KVM_REG_PPC_DAWRX1 (KVM_REG_PPC | KVM_REG_SIZE_U64 | 0xc5)
#endif

const struct reg_range reg_ranges[] = {
	/* What others depend on comes first: the CPU's level, and what translation is based on. */
	{ KVM_REG_PPC_ARCH_COMPAT, 1 },
	{ KVM_REG_PPC_LPCR_64, 1 },
	{ KVM_REG_PPC_PTCR, 1 },
	{ KVM_REG_PPC_ONLINE, 1 },

	/*
	 * Setting TM_VSCR changes VSCR instead (6.12 does, kvmppc_set_one_reg_hv()), so all of
	 * the transactional state comes before the state it shadows.
	 */
	{ KVM_REG_PPC_TFHAR, 1 },
	{ KVM_REG_PPC_TFIAR, 1 },
	{ KVM_REG_PPC_TEXASR, 1 },
	{ KVM_REG_PPC_TM_GPR0, 32 },
	{ KVM_REG_PPC_TM_VSR0, 64 },
	{ KVM_REG_PPC_TM_CR, 1 },
	{ KVM_REG_PPC_TM_LR, 1 },
	{ KVM_REG_PPC_TM_CTR, 1 },
	{ KVM_REG_PPC_TM_FPSCR, 1 },
	{ KVM_REG_PPC_TM_AMR, 1 },
	{ KVM_REG_PPC_TM_PPR, 1 },
	{ KVM_REG_PPC_TM_VRSAVE, 1 },
	{ KVM_REG_PPC_TM_VSCR, 1 },
	{ KVM_REG_PPC_TM_DSCR, 1 },
	{ KVM_REG_PPC_TM_TAR, 1 },
	{ KVM_REG_PPC_TM_XER, 1 },

	/* VSR0 to 31 hold the FPRs; VSR32 to 63 are the VRs */
	{ KVM_REG_PPC_VSR0, 32 },
	{ KVM_REG_PPC_FPSCR, 1 },
	{ KVM_REG_PPC_VR0, 32 },
	{ KVM_REG_PPC_VSCR, 1 },
	{ KVM_REG_PPC_VRSAVE, 1 },

	{ KVM_REG_PPC_HIOR, 1 },
	{ KVM_REG_PPC_DAR, 1 },
	{ KVM_REG_PPC_DSISR, 1 },
	{ KVM_REG_PPC_DABR, 1 },
	{ KVM_REG_PPC_DABRX, 1 },
	{ KVM_REG_PPC_DSCR, 1 },
	{ KVM_REG_PPC_PURR, 1 },
	{ KVM_REG_PPC_SPURR, 1 },
	{ KVM_REG_PPC_AMR, 1 },
	{ KVM_REG_PPC_UAMOR, 1 },
	{ KVM_REG_PPC_IAMR, 1 },
	{ KVM_REG_PPC_MMCR0, 2 },
	{ KVM_REG_PPC_MMCRA, 1 },
	{ KVM_REG_PPC_MMCR2, 1 },
	{ KVM_REG_PPC_MMCRS, 1 },
	{ KVM_REG_PPC_MMCR3, 1 },
	{ KVM_REG_PPC_SIAR, 1 },
	{ KVM_REG_PPC_SDAR, 1 },
	{ KVM_REG_PPC_SIER, 1 },
	{ KVM_REG_PPC_SIER2, 1 },
	{ KVM_REG_PPC_SIER3, 1 },
	{ KVM_REG_PPC_PMC1, 8 },
	{ KVM_REG_PPC_SPMC1, 2 },
	{ KVM_REG_PPC_PSPB, 1 },
	{ KVM_REG_PPC_DPDES, 1 },
	{ KVM_REG_PPC_VTB, 1 },
	{ KVM_REG_PPC_IC, 1 },
	{ KVM_REG_PPC_DAWR, 1 },
	{ KVM_REG_PPC_DAWRX, 1 },
	{ KVM_REG_PPC_DAWR1, 1 },
	{ KVM_REG_PPC_DAWRX1, 1 },
	{ KVM_REG_PPC_CIABR, 1 },
	{ KVM_REG_PPC_DEXCR, 1 },
	{ KVM_REG_PPC_HASHKEYR, 1 },
	{ KVM_REG_PPC_HASHPKEYR, 1 },
	{ KVM_REG_PPC_CSIGR, 1 },
	{ KVM_REG_PPC_TACR, 1 },
	{ KVM_REG_PPC_TCSCR, 1 },
	{ KVM_REG_PPC_PID, 1 },
	{ KVM_REG_PPC_ACOP, 1 },
	{ KVM_REG_PPC_WORT, 1 },
	{ KVM_REG_PPC_TIDR, 1 },
	{ KVM_REG_PPC_PSSCR, 1 },
	{ KVM_REG_PPC_FSCR, 1 },
	{ KVM_REG_PPC_TAR, 1 },
	{ KVM_REG_PPC_EBBHR, 1 },
	{ KVM_REG_PPC_EBBRR, 1 },
	{ KVM_REG_PPC_BESCR, 1 },
	{ KVM_REG_PPC_PPR, 1 },

	/* KVM takes the SLB shadow and the dispatch log only behind the VPA. */
	{ KVM_REG_PPC_VPA_ADDR, 1 },
	{ KVM_REG_PPC_VPA_SLB, 1 },
	{ KVM_REG_PPC_VPA_DTL, 1 },

	/* The decrementer's expiry is in guest time, which the offset makes. */
	{ KVM_REG_PPC_TB_OFFSET, 1 },
	{ KVM_REG_PPC_DEC_EXPIRY, 1 },
};

const size_t nr_reg_ranges = ARRAY_LEN(reg_ranges);

const KvmCriu__Reg *find_reg(const KvmCriu__Vcpu *vcpu, uint64_t id)
{
	size_t i;

	for (i = 0; i < vcpu->n_reg; i++)
		if (vcpu->reg[i]->id == id)
			return vcpu->reg[i];
	return NULL;
}

size_t reg_size(uint64_t id)
{
	return 1UL << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

uint64_t reg_value(const KvmCriu__Reg *reg, size_t at)
{
	uint64_t value = 0;

	if (reg && reg->value.len >= at + sizeof(value))
		memcpy(&value, reg->value.data + at, sizeof(value));
	return value;
}
