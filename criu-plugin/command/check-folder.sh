# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Part of kvm-criu: what a restore from $folder would fail for on this host.

# is_kernels PATH: nobody carries what is there, and to read it may wait for ever, or do something
is_kernels() {
	case $(realpath -m -- "$1") in
	/proc/* | /sys/*) ;;
	*) return 1 ;;
	esac
}

check_file() {
	local size=${1%% *} had=${1#* } path
	path=${had#* } had=${had%% *}
	! is_kernels "$path" || die "kvm-criu.txt names the file $path"
	if [ ! -f "$path" ] && [ ! -b "$path" ]; then
		missing "the file $path"
	elif [ "$(size_of "$path")" != "$size" ]; then
		missing "the file $path as it was: it had $size bytes, and has $(size_of "$path")"
	elif [ "$(sample_of "$path")" != "$had" ]; then
		missing "the file $path as it was: it has other contents"
	fi
}

# check_image SIZE NAME: one that is not whole would be noticed in the middle of a restore
check_image() {
	local has
	has=$(stat -L -c %s -- "$folder/$2" 2>/dev/null)
	[ "$has" = "$1" ] || missing "all of $folder/$2: it had $1 bytes, and has ${has:-none}"
}

check_described() {
	local key=${1%% *} rest=${1#* } found
	case $key in
	cpu) [ "$(cpu)" = "$rest" ] || missing "a host with $rest; this has $(cpu)" ;;
	page) [ "$(page_size)" = "$rest" ] || missing "a kernel with pages of $rest bytes" ;;
	criu) ! older "$(criu_version)" "$rest" || missing "CRIU $rest or later, which dumped it" ;;
	process)
		[[ $rest =~ ^[0-9]{1,9}$ ]] || die "kvm-criu.txt names the process $rest"
		[ ! -e "/proc/$rest" ] || missing "the process ID $rest, which is in use here"
		[ "$rest" -lt "$pid_max" ] ||
			missing "process IDs up to $rest (sysctl kernel.pid_max)" ;;
	port)
		[[ $rest =~ ^tcp6?\ [0-9A-F]+:[0-9A-F]{4}$ ]] ||
			die "kvm-criu.txt names the port $rest"
		found=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v wanted="${rest#* }" '
			BEGIN { split(wanted, want, ":") }
			split($2, have, ":") && $4 == "0A" && have[2] == want[2] &&
				(have[1] == want[1] || have[1] ~ /^0+$/ || want[1] ~ /^0+$/)')
		[ -z "$found" ] || missing "TCP port $((16#${rest##*:})), which is in use here" ;;
	file) check_file "$rest" ;;
	pre-dump)
		[[ $rest =~ ^[0-9]{1,2}$ ]] || die "kvm-criu.txt names the pre-dump $rest"
		[ -s "$folder/pre-dump.$rest/inventory.img" ] ||
			missing "the pages of $folder/pre-dump.$rest, which the dump needs" ;;
	image)
		[[ $rest =~ ^[0-9]+\ (pre-dump\.[0-9]{1,2}/)?[A-Za-z0-9._-]+\.img$ ]] ||
			die "kvm-criu.txt names the image $rest"
		check_image "${rest%% *}" "${rest#* }" ;;
	socket)
		[ -d "${rest%/*}/" ] || missing "the folder ${rest%/*}, for a unix socket"
		! unix_sockets self | cut -d ' ' -f 3- | grep -qxF -- "$rest" ||
			missing "the unix socket $rest, which is in use here" ;;
	esac
}

# check_bridges: those that were named
check_bridges() {
	local bridge
	for bridge in "${bridges[@]}"; do
		[ -d "/sys/class/net/${bridge#*=}/bridge" ] || missing "the bridge ${bridge#*=}"
	done
}

# check_restored: a VM that has run since has changed its disks, and may still run elsewhere
check_restored() {
	local file=$folder/kvm-criu.restored line=
	[ -e "$file" ] || [ -L "$file" ] || return 0
	[ ! -f "$file" ] || [ -L "$file" ] || line=$(head -c 200 -- "$file" | head -n 1)
	line="the VM was restored from here before (${line:-nobody knows when})"
	if [ "$again" ]; then
		note "$line"
	else
		missing "the VM's disks as they were: $line, and has changed them since: --again," \
			"if they have been put back, and it does not run any more"
	fi
}

check_folder() {
	local thing line said pid_max
	pid_max=$(</proc/sys/kernel/pid_max)
	[ "$force" ] || [[ $folder != *.partial ]] ||
		missing "the end of the dump, which was interrupted at the very last: --force, if" \
			"process $vm has ended on $host"
	[ -z "$terminal" ] || note "the VMM had a terminal, and takes that of $name restore"
	[ -z "$left_running" ] || note "the VM was left running on $host"
	if lives "$vm" "$boot" "$start"; then
		missing "the end of the VM: process $vm of the dump still runs here"
	fi
	for thing in "${described[@]}"; do
		check_described "$thing"
	done
	[ ${#programs[@]} = 0 ] ||
		while read -r line; do
			missing "the program or library ${line#* } as it was, of the same package"
		done < <(printf '%s\n' "${programs[@]}" | sort | comm -23 - <(
			printf '%s\n' "${programs[@]#* }" | sizes | sort))
	check_bridges
	check_restored
	said=$("$helper" images "$folder" 2>&1) ||
		while read -r line; do missing "$line"; done <<<"$said"
}
