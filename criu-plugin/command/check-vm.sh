# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Part of kvm-criu: what a dump of the VM $vm would fail for. Nothing is changed in the VM.

# Of the VM's processes: those of $files are NUL-separated lines "PID FD TARGET", and "end", without
# which the disk is full.
list_files() {
	local pid
	for pid in "${pids[@]}"; do
		find "/proc/$pid/fd" -mindepth 1 -printf "$pid %f %l\0" 2>/dev/null
	done
	printf '%s\0' end
}

maps() {
	local pid
	for pid in "${pids[@]}"; do cat "/proc/$pid/maps"; done 2>/dev/null
}

# How the plugin sees it: all that it refuses.
check_kvm() {
	local pid line found='' said
	for pid in "${pids[@]}"; do
		said=$("$helper" process "$pid" 2>&1)
		case $? in
		0) found=yes ;;
		1) found=yes
		   [ ! -d "/proc/$pid" ] ||
			while read -r line; do missing "$line"; done <<<"$said" ;;
		3) ;;
		*) missing "what is to be known of process $pid: $helper has failed: $said" ;;
		esac
	done
	[ "$found" ] || missing "process $vm and its children have no virtual machine of KVM's"
}

# check_sharers: what its processes share, if each could be dumped by itself
check_sharers() {
	local line said
	said=$("$helper" sharers "${pids[@]}" 2>&1) ||
		while read -r line; do missing "$line"; done <<<"$said"
}

# A server's unix socket can be hung up, one that the VMM has connected to can't.
check_unix() {
	local line inode peer path ours=' ' listening=$'\n' pid fd target type state
	# type, state, queues, its path, its inode, its peer's path and inode
	local line_of='^([^ ]+) +([^ ]+) +[0-9]+ +[0-9]+ +(.+) +([0-9]+) +[^ ].* ([0-9]+)$'
	while read -r -d '' pid fd target; do
		[[ $target != socket:* ]] || ours+="${target//[!0-9]/} "
	done <"$files"
	local sockets
	if ! command -v ss >/dev/null; then
		note "unix sockets were not looked at: there is no ss"
		return
	fi
	sockets=$(nsenter --net="/proc/$vm/ns/net" ss -H -x -a -n 2>/dev/null |
		sed 's/[[:space:]]*$//')
	while IFS= read -r line; do
		[[ $line =~ $line_of ]] && [ "${BASH_REMATCH[2]}" = LISTEN ] &&
			listening+=${BASH_REMATCH[3]}$'\n'
	done <<<"$sockets"
	while IFS= read -r line; do
		[[ $line =~ $line_of ]] || continue
		type=${BASH_REMATCH[1]} state=${BASH_REMATCH[2]} path=${BASH_REMATCH[3]}
		inode=${BASH_REMATCH[4]} peer=${BASH_REMATCH[5]}
		[ "$state" = ESTAB ] && [ "$type" != u_dgr ] && [[ $ours == *" $inode "* ]] ||
			continue
		[ "$peer" != 0 ] && [[ $ours != *" $peer "* ]] || continue
		if [ "$type" = u_str ] && [[ $listening == *$'\n'"$path"$'\n'* ]]; then
			# It takes the end of this connection for the VM's, and tidies up after it.
			if [ "$ends" ] && [[ $path == */libvirt/*/monitor.sock ]]; then
				missing "the end of libvirt's daemon (libvirtd or virtqemud, and" \
					"its sockets), which is connected to $path"
				continue
			fi
			[[ $path != */libvirt/*/monitor.sock ]] ||
				note "a dump that ends the VM needs libvirt's daemon stopped"
			note "the client of the unix socket $path will have to connect again"
			continue
		fi
		path=$(unix_sockets "$vm" | awk -v inode="$peer" '$2 == inode && $3 {
			sub(/^[^ ]+ [^ ]+ /, "")
			print " (" $0 ")"
		}')
		if [ "$type" = u_str ] && [ "$hang_up" ]; then
			note "a unix socket that the VMM has connected to is closed$path"
			continue
		fi
		missing "a way to keep a unix socket that the VMM has connected to$path:" \
			"--hang-up closes it, for a VMM that connects again"
	done <<<"$sockets"
}

socket_inodes() { tr '\0' '\n' <"$files" | sed -n 's/.* socket:\[\([0-9]*\)\]$/\1/p'; }

# ports: local addresses of the VM's listening TCP sockets, as the kernel writes them
ports() {
	local protocol
	for protocol in tcp tcp6; do
		{ socket_inodes; echo end; cat "/proc/$vm/net/$protocol" 2>/dev/null; } |
			awk -v protocol=$protocol '
				/^end$/ { table = 1; next }
				!table { ours[$1] = 1; next }
				$4 == "0A" && ($10 in ours) { print protocol, $2 }' | sort -u
	done
}

check_tcp() {
	local protocol
	for protocol in tcp tcp6; do
		{ socket_inodes; echo end; cat "/proc/$vm/net/$protocol" 2>/dev/null; } |
			awk '/^end$/ { table = 1; next }
				!table { ours[$1] = 1; next }
				$4 == "01" && ($10 in ours) { n++ } END { exit !n }' &&
			note "the restore closes $protocol connections of the VMM"
	done
}

# What is open beside KVM's objects and sockets.
check_files() {
	local pid fd target index slaves=() masters=' '
	while read -r -d '' pid fd target; do
		case $target in
		*$'\n'*)
			missing "process $pid, fd $fd: a file without a newline in its name" ;;
		# One that has hung up needs nothing.
		/dev/pts/[0-9]*' (deleted)')
			shell_job=yes ;;
		/dev/pts/[0-9]*)
			shell_job=yes
			slaves+=("${target#/dev/pts/}") ;;
		/dev/ptmx | /dev/pts/ptmx)
			masters+="$(awk '$1 == "tty-index:" { print $2 }' \
				"/proc/$pid/fdinfo/$fd" 2>/dev/null) " ;;
		/dev/tty)
			shell_job=yes terminal=yes ;;
		/dev/tty*)
			shell_job=yes ;;
		'/memfd:'*) ;;
		*' (deleted)')
			[ ! -f "/proc/$pid/fd/$fd" ] ||
				[ "$(stat -L -c %s "/proc/$pid/fd/$fd")" -le 1048576 ] ||
				missing "process $pid, fd $fd: the file ${target% (deleted)}," \
					"which was deleted and is too large for CRIU to keep" ;;
		esac
	done <"$files"
	# One that it made itself is made again.
	for index in "${slaves[@]}"; do
		[[ $masters == *" $index "* ]] || terminal=yes
	done
}

# vhost-net is saved while the guest is paused.
has_vhost() { tr '\0' '\n' <"$files" | grep -q ' /dev/vhost-net$'; }
check_vhost() {
	has_vhost || return
	[ "$qmp" ] ||
		note "the VM has vhost: its guest has to be paused for a dump (--qmp does that)"
	# Nothing takes vhost from a VMM whose guest runs.
	[ "$pre_dumps" = 0 ] || missing "a way to make pre-dumps of a VM with vhost"
}

# A session whose first process is not dumped is taken from who restores it.
check_session() {
	local pid stat session
	for pid in "${pids[@]}"; do
		# One that was only passing by is gone.
		{ stat=$(<"/proc/$pid/stat"); } 2>/dev/null && [ "$stat" ] || continue
		# shellcheck disable=SC2086
		set -- ${stat##*) }
		session=$4
		[[ " ${pids[*]} " == *" $session "* ]] || shell_job=yes
	done
	if [ "$terminal" = yes ]; then
		note "the VMM has a terminal: the restored one takes that of $name restore" \
			"(--shell-job)"
	elif [ "$shell_job" ]; then
		note "the VMM is not the first of its session, or has a terminal:" \
			"the restored one is in a session that $name restore makes (--shell-job)"
	fi
}

# Nothing can be done in a frozen process, so CRIU would wait for it, unless it is told to thaw it.
check_frozen() {
	local line said
	[[ " ${passed[*]} " != *' --freeze-cgroup'[=\ ]* ]] || return
	said=$("$helper" frozen "${pids[@]}" 2>&1) ||
		while read -r line; do missing "$line"; done <<<"$said"
}

# A restore compares process IDs and files with this host's, where those of a namespace are others.
check_namespaces() {
	local kind
	for kind in pid mnt; do
		[ "$(readlink "/proc/$vm/ns/$kind")" = "$(readlink "/proc/self/ns/$kind")" ] ||
			missing "a VMM in this host's $kind namespace: one of its own is for" \
				"criu itself, or for the engine of its container"
	done
}

# CRIU would take a thread for a process, and end the whole one with it.
check_leader() {
	local leader
	leader=$(awk '$1 == "Tgid:" { print $2 }' "/proc/$vm/status" 2>/dev/null)
	[ "$leader" != "$vm" ] || return 0
	missing "a process: $vm is a thread of process ${leader:-?}"
	return 1
}

# check_vm: of the process $vm; nothing is changed in it
check_vm() {
	shell_job='' terminal=''
	mapfile -t pids < <(tree "$vm")
	files=$scratch/files
	list_files >"$files" || missing "space for a list of files in $scratch"
	check_leader || return 0
	check_kvm
	[ $count != 0 ] || check_sharers
	check_files
	check_unix
	check_tcp
	check_vhost
	check_session
	check_frozen
	check_namespaces
}
