/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For VFIO's driver: a vmlinux without the series frees a hardware table with its last reference.
 * KVM may have found the table by its group, before VFIO took it out of there, and have none yet.
 */
#ifndef PUT_TABLE_H
#define PUT_TABLE_H

#include <linux/rcupdate.h>

#include <asm/iommu.h>

#define iommu_tce_table_put(tbl) (synchronize_rcu(), iommu_tce_table_put(tbl))

#endif
