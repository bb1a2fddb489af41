# SPDX-License-Identifier: GPL-2.0-or-later
# The Makefile of drivers/vfio: one module of the many there.
tce-kvm-top := $(src)/../..
include $(tce-kvm-top)/headers.mk
ccflags-y := -include $(tce-kvm-top)/put-table.h
obj-m := vfio_iommu_spapr_tce.o
