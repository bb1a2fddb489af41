# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# For what tests/check-package runs in a chroot: how a check is said.

# check NAME COMMAND...: the command must succeed
check() {
	_name=$1
	shift
	if "$@" >/tmp/out 2>&1; then
		echo "ok $_name"
	else
		echo "not ok $_name: $(tail -n 5 /tmp/out | paste -sd "|")"
	fi
}

# files: what an installation may change
files() {
	find /usr /etc /lib /var/lib -xdev ! -path '/var/lib/dpkg/*' ! -path '/var/lib/apt/*' | sort
}
