# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Part of kvm-criu: how it starts CRIU, and what CRIU calls while the VM stands still.

step() {
	[ "$CRTOOLS_SCRIPT_ACTION" = "$1" ] || return 1
	case $1 in
	post-dump)
		# Options behind -- may name others: then what is said to be in the folder is not.
		if [ "${CRTOOLS_INIT_PID:-$KVM_CRIU_VM}" != "$KVM_CRIU_VM" ] ||
			[ ! "${CRTOOLS_IMAGE_DIR:-$KVM_CRIU_FOLDER}" -ef "$KVM_CRIU_FOLDER" ]; then
			echo "CRIU was told to dump another process, or into another folder" \
				>>"$KVM_CRIU_FAILED"
			return 2
		fi
		vm=$KVM_CRIU_VM files=$KVM_CRIU_FILES
		mapfile -t pids < <(tree "$vm")
		list_files >"$files" && end_description || return 2 ;;
	pre-resume)
		read -ra bridges <<<"$KVM_CRIU_BRIDGES"
		for bridge in "${bridges[@]}"; do
			ip link set dev "${bridge%%=*}" master "${bridge#*=}" &&
				ip link set dev "${bridge%%=*}" up ||
				echo "tap ${bridge%%=*} is not in bridge ${bridge#*=}" \
					>>"$KVM_CRIU_FAILED"
		done ;;
	esac
	# CRIU ignores signals here, which is not for what the hook starts. That may stay for long,
	# so it gets nothing that this script or its helper waits for. It may be this command, for
	# another VM.
	if [ "$KVM_CRIU_HOOK" ] && ! (cd -- "$KVM_CRIU_PWD" &&
		exec env -u KVM_CRIU_STEP --default-signal=HUP,INT,QUIT,TERM \
			sh -c "$KVM_CRIU_HOOK \"\$@\"" sh "$KVM_CRIU_VM" 6<&- 8>&- 9<&-); then
		echo "the hook ($KVM_CRIU_HOOK) has failed" >>"$KVM_CRIU_FAILED"
		[ "$1" = pre-resume ] || return 2
	fi
	if [ "$1" = post-dump ]; then
		[ -z "$KVM_CRIU_DECIDED" ] || ln -s kept "$KVM_CRIU_DECIDED" || return 2
		# All of it is there before the VM ends, even if the host crashes right after that.
		if ! { sync -f "$KVM_CRIU_FOLDER" && mv "$KVM_CRIU_FOLDER/kvm-criu."{new,txt} &&
			sync -f "$KVM_CRIU_FOLDER"; }; then
			rm -f "$KVM_CRIU_FOLDER/kvm-criu.txt"
			return 2
		fi
		# If CRIU was killed until now, it has not ended the VM, and will not.
		if [ "$KVM_CRIU_DECIDED" ] &&
			[ "$(start_of "$KVM_CRIU_PID")" != "$KVM_CRIU_START" ]; then
			rm -f "$KVM_CRIU_FOLDER/kvm-criu.txt" "$KVM_CRIU_DECIDED"
			return 2
		fi
	fi
}

# forgo: decide that CRIU does not end the VM. Fails if its last step was here first: from then on
# CRIU may end it at any moment, and what is in $partial may be all that is left.
forgo() {
	[ "$leave_running" ] || ln -s forgone "$scratch/decided" 2>/dev/null ||
		[ "$(readlink "$scratch/decided")" = forgone ]
}
is_kept() { ! forgo && [ -f "$partial/kvm-criu.txt" ]; }

# pass_on: a signal to CRIU
pass_on() {
	ended=yes
	[ -z "$criu" ] || ! forgo || kill -TERM "$criu" 2>/dev/null
}

# run_criu ARGUMENT...: so that a signal to this script is one to CRIU, but not to a pre-dump, which
# the plugin has no part in, so that the VM would end with CRIU, nor to a restore, which would leave
# half a VM, or a guest that runs and can't be restored any more. Ctrl-Z (TSTP) does not stop CRIU:
# the VM would stand still as long.
run_criu() {
	local ret=
	if [ "$1" != dump ]; then
		exec 5</dev/null
		# A VMM that had a terminal gets this one.
		[ "$1" != restore ] || [ -z "$terminal" ] || exec 5<&0
		trap ended=yes INT TERM HUP QUIT
		# bash obeys a signal when what is in the foreground has ended.
		(trap '' INT TERM HUP QUIT TSTP && exec "${alone[@]}" criu "$@" 5<&-) \
			<&5 >/dev/null 2>"$scratch/criu"
		ret=$?
		exec 5<&-
		return $ret
	fi
	criu=
	trap pass_on INT TERM HUP QUIT
	# bash loses an exit status now and then if a signal interrupts its `wait', but not what it
	# reads: CRIU's process ID, then its exit status.
	exec 7< <(
		trap '' INT TERM HUP QUIT TSTP
		(export KVM_CRIU_PID=$BASHPID KVM_CRIU_START=
			KVM_CRIU_START=$(start_of "$KVM_CRIU_PID")
			trap - TERM && echo "$KVM_CRIU_PID" >&7 &&
				exec criu "$@" 7>&- </dev/null >/dev/null 2>"$scratch/criu") 7>&1
		echo $?)
	read -r -u 7 criu
	[ -z "$ended" ] || pass_on
	read -r -u 7 ret
	# Its number may be another process's soon, and what follows is short.
	trap ended=yes INT TERM HUP QUIT
	exec 7<&-
	return "${ret:-1}"
}

# errors LOG: what went wrong, of CRIU's log
errors() {
	local line
	if [ ! -s "$1" ]; then
		[ ! -f "$scratch/criu" ] ||
			while read -r line; do say "$line"; done <"$scratch/criu"
		return
	fi
	grep -aE 'Error|Warn  \(kvm' "$1" | sed 's/^([0-9.]*) *//' | tail -n 12 |
		while read -r line; do say "$line"; done
}

# warnings LOG: what the plugin has to say, of CRIU's log, when all went well
warnings() {
	local line
	grep -as 'Warn  (kvm)' "$1" | sed 's/^.*Warn  (kvm): //' | tail -n 12 |
		while read -r line; do note "$line"; done
}
