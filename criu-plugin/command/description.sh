# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Part of kvm-criu: kvm-criu.txt, which says what the destination of a dump has to have.

description_max=1048576 # bytes

# sample_of FILE: of its beginning and its end
sample_of() {
	local sum
	sum=$(set -o pipefail
		{ head -c $sample -- "$1" && tail -c $sample -- "$1"; } 2>/dev/null | sha256sum) ||
		return 1
	printf '%s\n' "${sum:0:32}"
}
size_of() {
	if [ -b "$1" ]; then
		blockdev --getsize64 "$1"
	else
		stat -L -c %s -- "$1"
	fi
}

# sizes <PATHS: a line for each that is there
sizes() { xargs -r -d '\n' stat -L -c '%s %n' -- 2>/dev/null; }

# What the destination has to have is a line for each thing. describe_host: what does not change
# while the VM stands still
describe_host() {
	printf '%s\n' "$format" "host $(uname -n)" "boot $(</proc/sys/kernel/random/boot_id)" \
		"kernel $(uname -r)" "cpu $(cpu)" "page $(page_size)" \
		"criu $(criu_version)" "vm $vm $start"
	[ -z "$shell_job" ] || echo "shell-job"
	[ -z "$terminal" ] || echo terminal
	[ -z "$leave_running" ] || echo "left-running"
	[ "$pre_dumps" = 0 ] || seq "$pre_dumps" | sed 's/^/pre-dump /'
	ports | sed 's/^/port /'
	{ socket_inodes; echo end; unix_sockets "$vm"; } | awk -v listening=00010000 '
		/^end$/ { table = 1; next }
		!table { ours[$1] = 1; next }
		$1 == listening && ($2 in ours) && sub(/^[^ ]+ [^ ]+ \//, "socket /")'
	maps | awk '$6 ~ /^\// { sub(/^[^\/]*/, ""); if (!seen[$0]++) print }' |
		(cd "/proc/$vm/root" && sed -n '/^\/dev\//!s/^/./p' | sizes) |
		sed 's/^\([0-9]*\) \./program \1 /'
}

# describe_file PATH NAME: what a restore compares with the file that it finds by this name
describe_file() {
	local size sum
	if size=$(size_of "$1") && sum=$(sample_of "$1") && [[ $size =~ ^[0-9]+$ ]]; then
		printf 'file %s %s %s\n' "$size" "$sum" "$2"
		return
	fi
	echo "the VM has the file $2, which can't be read" >>"$KVM_CRIU_FAILED"
	return 1
}

# name_of PATH NAME: of a volume the one that stays, since its number may be another one's then
name_of() {
	local device number uuid volume
	if [ -b "$1" ]; then
		device=$(stat -L -c '0x%t:0x%T' -- "$1")
		number=$((${device%:*})):$((${device#*:}))
		uuid=$(cat "/sys/dev/block/$number/dm/uuid" 2>/dev/null)
		case $uuid in
		*mpath-*) volume=/dev/disk/by-id/dm-uuid-$uuid ;;
		*) volume=/dev/mapper/$(cat "/sys/dev/block/$number/dm/name" 2>/dev/null) ;;
		esac
		[ ! -b "$volume" ] || [ "$(stat -L -c '0x%t:0x%T' -- "$volume")" != "$device" ] ||
			set -- "$1" "$volume"
	fi
	printf '%s\n' "$2"
}

# begin_description: at once, so that what a full disk has taken of it is noticed
begin_description() {
	local text
	text=$(describe_host) && printf '%s\n' "$text" >"$partial/kvm-criu.new"
}

# end_description: while the VM stands still
end_description() {
	local text file=$KVM_CRIU_FOLDER/kvm-criu.new
	text=$(describe_vm) && [ "${text##*$'\n'}" = complete ] &&
		printf '%s\n' "$text" >>"$file" || return
	[ "$(stat -c %s "$file")" -le $description_max ] && return
	echo "the VM has too many files: kvm-criu.txt would be too large to be read" \
		>>"$KVM_CRIU_FAILED"
	return 1
}

# describe_images: those of CRIU's. The plugin has a list of its own, and may remove some yet.
describe_images() {
	(cd -- "$KVM_CRIU_FOLDER" && find . -regextype posix-extended -type f ! -name 'kvm-*' \
		-regex '\./(pre-dump\.[0-9]{1,2}/)?[A-Za-z0-9._-]+\.img' -printf 'image %s %P\n')
}

# describe_vm: its processes, files and images, while it stands still
describe_vm() {
	local pid fd target seen=$'\n' path
	for pid in "${pids[@]}"; do
		# in its own namespace
		awk '$1 == "NSpid:" { print "process " $NF }' "/proc/$pid/task"/*/status
	done
	while read -r -d '' pid fd target; do
		[[ $target == /* ]] && [[ $target != *' (deleted)' ]] || continue
		[[ $target != /proc/* ]] && [[ $target != /sys/* ]] || continue
		path=/proc/$pid/fd/$fd
		[ -f "$path" ] || [ -b "$path" ] || continue
		if [[ $target == *$'\n'* ]]; then
			echo "the VM has a file with a newline in its name" >>"$KVM_CRIU_FAILED"
			return 1
		fi
		[[ $seen != *$'\n'"$target"$'\n'* ]] || continue
		seen+=$target$'\n'
		describe_file "$path" "$(name_of "$path" "$target")" || return 1
	done <"$files"
	describe_images || return 1
	echo complete
}

# read_description: it may have come over a network, so nothing of it is run or believed
read_description() {
	local file=$folder/kvm-criu.txt line key rest
	vm='' start='' boot='' host='' shell_job='' terminal='' left_running='' paused='' last=
	described=() programs=()
	[ -f "$file" ] && [ ! -L "$file" ] ||
		die "$folder has no kvm-criu.txt: it is not of $name dump"
	[ "$(stat -c %s "$file")" -le $description_max ] || die "$file is too large"
	[ "$(head -n 1 "$file")" = "$format" ] ||
		die "$file has a format that this $name does not know"
	while IFS= read -r line; do
		# A path may end with spaces.
		key=${line%% *} rest=${line#"${line%% *}"} rest=${rest# }
		last=$key
		case $key in
		boot) boot=$rest ;;
		host) host=$rest ;;
		vm) read -r vm start <<<"$rest" ;;
		shell-job) shell_job=yes ;;
		terminal) terminal=yes ;;
		left-running) left_running=yes ;;
		paused) paused=yes ;;
		program) programs+=("$rest") ;;
		cpu | page | criu | process | port | file | socket | pre-dump | image)
			described+=("$key $rest") ;;
		esac
	done <"$file"
	[ "$last" = complete ] || die "$file is not complete: the dump has failed"
	[[ $vm =~ ^[0-9]{1,9}$ ]] && [[ $start =~ ^[0-9]+$ ]] || die "$file names no process"
}
