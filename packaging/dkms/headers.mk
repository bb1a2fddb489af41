# SPDX-License-Identifier: GPL-2.0-or-later
# For the Makefile of each folder, where tce-kvm-top is the folder that DKMS builds in: headers with
# the series come before the kernel's own.
LINUXINCLUDE := -I$(tce-kvm-top)/arch/powerpc/include \
	-I$(tce-kvm-top)/arch/powerpc/include/uapi \
	-I$(tce-kvm-top)/include -I$(tce-kvm-top)/include/uapi $(LINUXINCLUDE)
