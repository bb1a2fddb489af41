# SPDX-License-Identifier: GPL-2.0-or-later
# Put behind VFIO's own Makefile (drivers/vfio/Makefile) by `prepare', which keeps of it what is in
# vfio.ko. This has the kernel's own headers: with the series's, the checksums of its symbols would
# not be those that the kernel's other modules of VFIO want.
obj-m := vfio.o
