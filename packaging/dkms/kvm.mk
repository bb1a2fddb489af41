# SPDX-License-Identifier: GPL-2.0-or-later
# Put behind KVM's own Makefile (arch/powerpc/kvm/Makefile) by `prepare': the modules are built
# outside of the kernel's tree, against a vmlinux without the series.
tce-kvm-top := $(src)/../../..
include $(tce-kvm-top)/headers.mk
# kvm-hv goes with this kvm only, and this kvm with that kvm-hv.
ccflags-y := -I$(src) -I$(tce-kvm-top)/virt/kvm -include $(tce-kvm-top)/pair.h

# What this is built from and vmlinux have the same structures, or it is not built.
kvm-y += ../../../layout.o ../../../eventfd-id.o
# These answer hcalls in the module, too: of nested guests.
kvm-hv-$(CONFIG_SPAPR_TCE_IOMMU) += book3s_hv_rm_tce.o
