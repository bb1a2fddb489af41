# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Part of kvm-criu: processes of this host, and what the host has to have.

# start_of PID: when it was started, so that another process with its number is told apart
start_of() {
	local stat threads=("/proc/$1/task"/*)
	{ stat=$(<"/proc/$1/stat"); } 2>/dev/null && [ "$stat" ] || return 1
	# shellcheck disable=SC2086 # words, behind a name that may have spaces and newlines
	set -- ${stat##*) }
	# Other threads may go on when the first has ended.
	[ "$1" != Z ] || [ ${#threads[@]} != 1 ] || return 1
	[ "$1" != X ] && printf '%s\n' "${20}"
}

# A process in the same boot of the same host that has not ended.
lives() {
	[ "$2" = "$(</proc/sys/kernel/random/boot_id)" ] && [ "$(start_of "$1")" = "$3" ]
}

# tree PID: it and all below it
tree() {
	local child
	printf '%s\n' "$1"
	for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do
		tree "$child"
	done
}

# above PID: the processes that it is a descendant of
above() {
	local pid=$1
	while pid=$(awk '$1 == "PPid:" { print $2 }' "/proc/$pid/status" 2>/dev/null) &&
		[ "${pid:-0}" != 0 ]; do
		printf '%s\n' "$pid"
	done
}

# find_vm VM: $vm becomes its process ID
find_vm() {
	local file named=
	vm=
	for file in "/run/libvirt/qemu/$1.pid" "/run/libvirt/qemu/driver/$1.pid"; do
		[ ! -r "$file" ] || named=$(head -n 1 "$file")
	done
	[[ $1 == *[!0-9]* ]] || [ ! -d "/proc/$1" ] || vm=$1
	# A number may be both, and may have been a name's of a VM that has ended.
	[ -z "$vm" ] || start_of "${named:-none}" >/dev/null || named=
	[ -z "$vm" ] || [ "${named:-$vm}" = "$vm" ] ||
		die "$1 is a process ID, and the name of a VM of libvirt's: if you mean that one," \
			"name its process ID, $named"
	vm=${vm:-$named}
	[ "$vm" ]
}

# lock PATH: for the time of this script, and of the CRIU that it starts. Where there are no locks,
# there is nobody to wait for, either.
conflict=99
lock() {
	{ exec 6<"$1"; } 2>/dev/null || return
	flock -n -E $conflict 6 2>/dev/null
	[ $? != $conflict ]
}
is_locked() {
	flock -n -s -E $conflict "$1" true 2>/dev/null
	[ $? = $conflict ]
}

# lock_vm PID: CRIU takes all that is below a process, so nobody may be at work there, or above it.
# Each of two first locks its own, so at least one of them sees the other.
lock_vm() {
	local pid
	lock "/proc/$1" || die "another $name is at work with process $1"
	for pid in $(tree "$1") $(above "$1"); do
		[ "$pid" = "$1" ] || ! is_locked "/proc/$pid" ||
			die "another $name is at work with process $pid"
	done
}

# unix_sockets PID: a line "FLAGS INODE PATH" for each in its network namespace
unix_sockets() {
	awk '{
		flags = $4
		inode = $7
		for (i = 0; i < 7; i++)
			sub(/^ *[^ ]+/, "")
		print flags, inode, substr($0, 2)
	}' "/proc/$1/net/unix" 2>/dev/null
}

criu_version() { criu --version 2>/dev/null | awk '$1 == "Version:" { print $2 }'; }
# older A B: is version A older than B?
older() { [ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }
page_size() { awk '$1 == "KernelPageSize:" { print $2 * 1024; exit }' /proc/self/smaps; }
cpu() { awk -F ': *' '$1 ~ /^cpu[\t ]*$/ { print $2; exit }' /proc/cpuinfo; }

check_host() {
	local found
	[ "$(id -u)" = 0 ] || missing "you are not root"
	[ -e /dev/kvm ] || missing "this kernel has no KVM (/dev/kvm)"
	[ -x "$helper" ] || missing "$helper, which is installed with this command"
	[ -r "$plugins/kvm_tce_plugin.so" ] || missing "the plugin, $plugins/kvm_tce_plugin.so"
	for found in "$plugins"/*.so; do
		[ "${found##*/}" = kvm_tce_plugin.so ] || [ ! -e "$found" ] ||
			note "$found may claim the VM's process before the plugin does"
	done
	if ! command -v criu >/dev/null; then
		missing "CRIU is not installed"
		return
	fi
	found=$(criu_version)
	if [ -z "$found" ] || older "$found" 4.1; then
		missing "CRIU 4.1 or later; this is ${found:-unknown}"
	fi
	[ "$(id -u)" != 0 ] || criu check >/dev/null 2>&1 ||
		missing "the kernel lacks something that CRIU needs; \`criu check' says what"
	# The guest's clocks go on where they stood.
	[ -e /proc/self/ns/time ] || missing "the kernel has no time namespaces (CONFIG_TIME_NS)"
}
