# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# For what DKMS runs before it builds: how a kernel is left out. After this code DKMS goes on with
# the next kernel. After another, the packages of that kernel, and this one, would not be
# configured.
left_out=77

# leave_out KERNEL LINE...: says why, and ends
leave_out() {
	_kernel=$1
	shift
	for _line; do
		echo "tce-kvm: $_line" >&2
		# DKMS's log goes when it builds for the next kernel.
		logger -t tce-kvm -- "$_kernel: $_line" 2>/dev/null || :
	done
	exit $left_out
}
