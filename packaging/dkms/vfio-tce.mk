# SPDX-License-Identifier: GPL-2.0-or-later
# The Makefile of drivers/vfio/tce: VFIO's driver of hardware tables.
tce-kvm-top := $(src)/../../..
include $(tce-kvm-top)/headers.mk
ccflags-y := -I$(src)/.. -include $(tce-kvm-top)/put-table.h
obj-m := vfio_iommu_spapr_tce.o
