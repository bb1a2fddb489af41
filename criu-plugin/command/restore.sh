# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Part of kvm-criu: the command restore.

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
	if ! run_criu restore -d -D "$folder" -o restore.log -v4 -L "$plugins" "${options[@]}" \
		--action-script "$self" "${passed[@]}"; then
		errors "$folder/restore.log"
		die "the VM was not restored"
	fi
	# What fails very late ends the process, without a word from CRIU.
	if ! start_of "$vm" >/dev/null ||
		grep -qaE 'Error \(kvm\): Process [0-9]+ can.t run like this: killed' \
			"$folder/restore.log"; then
		errors "$folder/restore.log"
		die "the VM was restored, and has ended"
	fi
	printf '%s: VM %s runs\n' "$name" "$vm"
	if [ "$paused" ] && [ -z "$qmp" ]; then
		note "its guest was paused for the dump: \`cont' in QEMU's monitor has it go on"
	elif [ "$paused" ]; then
		"$helper" cont "$qmp" || die "its guest is paused"
	fi
	[ -s "$scratch/failed" ] || return 0
	while read -r line; do say "$line"; done <"$scratch/failed"
	exit 1
}
