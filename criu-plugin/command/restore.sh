# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Part of kvm-criu: the command restore.

# note_restored: in the folder, which may have a link by that name
note_restored() {
	local new
	new=$(mktemp -- "$folder/kvm-criu.XXXXXX") &&
		printf '%s, on %s\n' "$(date '+%F %T %z')" "$(uname -n)" >"$new" &&
		mv -fT -- "$new" "$folder/kvm-criu.restored" && return
	[ -z "$new" ] || rm -f -- "$new"
	note "a second restore from $folder will not be refused: nothing can be written there"
} 2>/dev/null

# end_of_restore: of one that has failed; the VM was killed, unless CRIU was killed first
end_of_restore() {
	local left=$((patience * 10))
	errors "$folder/restore.log"
	while start_of "$vm" >/dev/null; do
		[ $left != 0 ] || leave "the restore has failed, but process $vm is there: it may" \
			"be the VM, and may run"
		sleep 0.1
		left=$((left - 1))
	done
	die "the VM was not restored"
}

do_restore() {
	local line
	# as for a dump
	trap : PIPE
	folder=$(cd -- "$1" && pwd) || exit 1
	lock "$folder" || die "another $name is at work with $folder"
	read_description
	check_host
	check_folder
	[ -z "$terminal" ] || [ -t 0 ] ||
		missing "a terminal, as standard input: the VMM had one, and takes that"
	[ $count = 0 ] || die "nothing was restored: $count missing"
	[ -z "$shell_job" ] || options+=(--shell-job)
	# The VMM will be in the session and the process group of CRIU: whoever ends those of this
	# command, as the end of an ssh does, is not to end the VM.
	[ -z "$shell_job" ] || [ "$terminal" ] || alone=(setsid -w)
	export KVM_CRIU_STEP=pre-resume KVM_CRIU_VM=$vm KVM_CRIU_BRIDGES="${bridges[*]}" \
		KVM_CRIU_HOOK=$hook KVM_CRIU_FAILED=$scratch/failed
	# What fails very late ends the process, without a word from CRIU.
	if ! run_criu restore -d -D "$folder" -o restore.log -v4 -L "$plugins" "${options[@]}" \
		--action-script "$self" "${passed[@]}" ||
		grep -qaE 'Error \(kvm\): Process [0-9]+ can.t run like this: killed' \
			"$folder/restore.log"; then
		end_of_restore
	fi
	note_restored
	if ! start_of "$vm" >/dev/null; then
		errors "$folder/restore.log"
		leave "the VM was restored, and has ended"
	fi
	printf '%s: VM %s runs\n' "$name" "$vm"
	warnings "$folder/restore.log"
	if [ "$paused" ] && [ -z "$qmp" ]; then
		note "its guest was paused for the dump: \`cont' in QEMU's monitor has it go on"
	elif [ "$paused" ]; then
		"$helper" cont "$qmp" || echo "its guest is paused" >>"$scratch/failed"
	fi
	[ -s "$scratch/failed" ] || return 0
	while read -r line; do say "$line"; done <"$scratch/failed"
	exit $unfinished
}
