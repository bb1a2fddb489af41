# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Part of kvm-criu: the command dump.

# settled: the VM is not in the middle of anything that was begun with it
settled() {
	! grep -qs '^TracerPid:.*[1-9]' "/proc/$vm/status" &&
		! grep -qsE '^State:.*[tT] ' "/proc/$vm/status"
}

# hold: vhost-net is taken from the VMM while it is dumped, and the guest is paused. Whoever dies,
# it is given back when nobody has fd 8 any more.
hold() {
	local answer='' guest='the VM goes on'
	[ "$qmp" ] || has_vhost || return 0
	mkfifo -m 600 "$scratch/hold" "$scratch/held" || { rm -rf "$partial"; exit 1; }
	"$helper" hold "$vm" ${qmp:+"$qmp"} <"$scratch/hold" >"$scratch/held" 2>"$scratch/said" &
	exec 8>"$scratch/hold" 9<"$scratch/held"
	held=yes
	read -r -u 9 answer
	[ "$answer" != paused ] || echo paused >>"$partial/kvm-criu.new" || answer=
	[ "$answer" != stuck ] || answer='' guest='its guest may be paused'
	[ "$answer" ] && return
	let_go
	rm -rf "$partial"
	die "process $vm was not dumped; $guest"
}

# let_go: until all of it is given back, or it is said why not
let_go() {
	local line
	[ "$held" ] || return 0
	exec 8>&-
	cat <&9 >/dev/null
	held=
	while read -r line; do
		say "$line"
		taken=yes
	done <"$scratch/said"
}

# has_ended: the VM, which takes next to no time. Returns 2 if CRIU was killed before it ended it.
has_ended() {
	local left=$((patience * 10))
	while [ "$(start_of "$vm")" = "$start" ]; do
		is_kept || return 2
		[ $left != 0 ] || return 1
		sleep 0.1
		left=$((left - 1))
	done
}

# failed_dump: CRIU has not done it; the plugin puts the VM back, even if CRIU was killed. Returns
# if all of the VM is written and CRIU may have ended it.
failed_dump() {
	local left=$((patience * 10))
	errors "$partial/dump.log"
	[ -z "$ended" ] || say "ended by a signal"
	[ ! -s "$scratch/failed" ] || say "$(head -n 1 "$scratch/failed")"
	! is_kept || return 0
	until [ "$stopped" ] || settled || [ $left = 0 ]; do
		sleep 0.1
		left=$((left - 1))
	done
	if [ "$(start_of "$vm")" != "$start" ]; then
		[ ! -f "$partial/kvm-criu.txt" ] || return 0
		[ ! -f "$partial/dump.log" ] ||
			die "process $vm has ended, and $partial is not complete"
		rm -rf "$partial"
		die "process $vm has ended"
	fi
	if [ -f "$partial/dump.log" ]; then
		mv -f "$partial/dump.log" "$folder.log" && say "CRIU's log is $folder.log"
	fi
	rm -rf "$partial"
	let_go
	[ $left != 0 ] || die "the dump has failed, and process $vm is still stopped"
	die "the dump has failed; the VM goes on"
}

# may_go_on: no signal has come, and the VM's number is not another process's by now
may_go_on() { [ -z "$ended" ] && [ "$(start_of "$vm")" = "$start" ]; }

# write_pages: the VM's memory, then what has changed of it, while the VM runs; the dump is on top
write_pages() {
	local n previous=()
	for n in $(seq "$pre_dumps"); do
		mkdir "$partial/pre-dump.$n" && may_go_on || failed_dump
		run_criu pre-dump -t "$vm" -D "$partial/pre-dump.$n" -o ../dump.log -v4 \
			-L "$plugins" "${options[@]}" --track-mem "${previous[@]}" \
			"${passed[@]}" && [ -z "$ended" ] || failed_dump
		previous=(--prev-images-dir "../pre-dump.$n")
	done
	[ "$pre_dumps" = 0 ] || options+=(--track-mem --prev-images-dir "pre-dump.$pre_dumps")
}

# memory: KiB that a dump writes for certain, which is not all: what processes share may be in files
memory() {
	local pid
	for pid in "${pids[@]}"; do cat "/proc/$pid/status"; done 2>/dev/null |
		awk '$1 == "RssAnon:" || $1 == "VmSwap:" { sum += $2 } END { print sum + 0 }'
}

# check_space: some file systems keep less than is written, and CRIU may write elsewhere
check_space() {
	local kind unit blocks free needed
	read -r kind unit blocks free < <(stat -f -c '%T %S %b %f' -- "$partial")
	case $kind in
	# Debian 13 has /tmp there.
	tmpfs | ramfs) note "$folder is in memory only: copy it before this host ends" ;;
	esac
	needed=$(memory) free=$((${free:-0} * ${unit:-0} / 1024))
	# One that has no limit has no blocks.
	[ "${blocks:-0}" != 0 ] && [ "$needed" -gt $free ] || return 0
	needed="$((needed / 1024)) MiB for the VM's memory in ${folder}: there are $((free / 1024))"
	case $kind:${#passed[@]} in
	ext2/ext3:0 | tmpfs:0 | xfs:0)
		rmdir "$partial"
		die "process $vm was not touched: a dump takes at least $needed" ;;
	esac
	note "a dump may take $needed"
}

do_dump() {
	# Who reads what is said may be gone, which is no reason to leave anything half done.
	trap : PIPE
	find_vm "$1" ||
		die "$1 is neither a process ID nor the name of a VM of libvirt's here"
	start=$(start_of "$vm") || die "process $vm has ended"
	folder=${2%/} partial=${2%/}.partial
	[ "$folder" ] || die "$2 is no name for a new folder"
	[ ! -e "$folder" ] && [ ! -L "$folder" ] || die "$folder is there already"
	[ ! -e "$partial" ] || die "$partial is there already: what is left of another dump"
	# Two would each take the other's changes of memory for seen.
	lock_vm "$vm"
	[ "$leave_running" ] || ends=yes
	check_host
	check_vm
	[ $count = 0 ] || die "process $vm was not touched: $count missing"
	trap ended=yes INT TERM HUP QUIT
	mkdir -p "$(dirname "$folder")" && mkdir -m 700 "$partial" || exit 1
	partial=$(cd "$partial" && pwd)
	check_space
	settled && stopped='' || stopped=yes
	begin_description || { rm -rf "$partial"; exit 1; }
	[ -z "$shell_job" ] || options+=(--shell-job)
	write_pages
	[ -z "$leave_running" ] || options+=(--leave-running)
	hold
	may_go_on || failed_dump
	KVM_CRIU_DECIDED=$scratch/decided
	[ -z "$leave_running" ] || KVM_CRIU_DECIDED=
	export KVM_CRIU_DECIDED KVM_CRIU_STEP=post-dump KVM_CRIU_VM=$vm KVM_CRIU_FILES=$files \
		KVM_CRIU_FOLDER=$partial KVM_CRIU_HOOK=$hook \
		KVM_CRIU_HANG_UP=${hang_up:+connected} \
		KVM_CRIU_FAILED=$scratch/failed
	run_criu dump -t "$vm" -D "$partial" -o dump.log -v4 -L "$plugins" "${options[@]}" \
		--action-script "$self" "${passed[@]}" || failed_dump
	[ -f "$partial/kvm-criu.txt" ] || failed_dump
	if [ -z "$leave_running" ]; then
		has_ended
		case $? in
		1)
			let_go
			leave "$partial is complete, but process $vm has not ended: if it goes" \
				"on, remove the folder" ;;
		2) failed_dump ;;
		esac
	fi
	let_go
	mv -T "$partial" "$folder" ||
		leave "VM $vm is in $partial, and complete, but can't be called $folder"
	sync -f "$folder" ||
		leave "VM $vm is in $folder, and complete, but may not be after a crash of this" \
			"host"
	printf '%s: %s\n' "$name" "$(plain "VM $vm is in $folder")"
	warnings "$folder/dump.log"
	[ -z "$leave_running" ] || [ -z "$taken" ] ||
		leave "VM $vm was dumped, but was not given back all that was taken from it"
	# It is, whether or not that could be written: who takes this for a failure may remove it.
	return 0
}
