# SPDX-License-Identifier: GPL-2.0-or-later
# For the criu-* scenarios: a test VMM that keeps changing its tables, and CRIU with the plugin
# around it. Sourced as /lab/share/.lab/criu.sh; everything happens below $CRIU_DIR. $CRIU is
# another CRIU than the root file system's.

CRIU=${CRIU:-criu}
CRIU_DIR=${CRIU_DIR:-/tmp/criu}
mkdir -p "$CRIU_DIR"

# vmm NAME ARGS... <SCRIPT: starts a test VMM; its process ID is then $VMM
vmm() {
	_vmm=$CRIU_DIR/$1
	shift
	mkdir -p "$_vmm"
	cat > "$_vmm/script"
	# far from what another boot of the host has in use
	_last=$(cat /proc/sys/kernel/ns_last_pid)
	[ "$_last" -gt 5000 ] || echo 5000 > /proc/sys/kernel/ns_last_pid
	setsid tce-vmm "$@" -d "$_vmm" "$_vmm/script" </dev/null >"$_vmm/log" 2>&1 &
	VMM=$!
	wait_for 60 ask "${_vmm##*/}" stats || {
		echo "the test VMM did not start:"
		cat "$_vmm/log"
	}
}

# ask NAME COMMAND...: a command for a test VMM; what it said is in $CRIU_DIR/answer
ask() {
	_dir=$CRIU_DIR/$1
	shift
	timeout 60 tce-vmm --ask "$_dir" "$@" >"$CRIU_DIR/answer" 2>&1
}

# updates NAME: how many table updates its guest has reported
updates() {
	ask "$1" stats && awk '/^vcpu/ { sum += $4 } END { print sum }' "$CRIU_DIR/answer"
}

# moves_on NAME: the guest makes progress, and every entry is what it should be. It says which of
# the two is not so.
moves_on() {
	_before=$(updates "$1")
	sleep 1
	if ! wait_for 10 has_moved "$1"; then
		echo "$1: the guest is where it was: $_before updates, now $_after"
		return 1
	fi
	ask "$1" verify && return
	cat "$CRIU_DIR/answer"
	return 1
}
has_moved() {
	_after=$(updates "$1")
	[ -n "$_before" ] && [ -n "$_after" ] && [ "$_after" -gt "$_before" ]
}

# dump PID IMAGES ARGS...: what CRIU says is in IMAGES/dump.log
dump() {
	_pid=$1 _img=$2
	shift 2
	mkdir -p "$_img"
	$CRIU dump -t "$_pid" -D "$_img" -o dump.log -v4 -L /opt/tce/lib/criu "$@" 2>/dev/null
}

# restore IMAGES ARGS...: in the background, as criu does it with -d
restore() {
	_img=$1
	shift
	$CRIU restore -d -D "$_img" -o restore.log -v4 -L /opt/tce/lib/criu "$@" 2>/dev/null
}

# errors LOG: what went wrong, for people
errors() { grep -E 'Error|Warn' "$1" | tail -n "${2:-8}"; }

# gone PID: no such process any more
gone() { ! kill -0 "$1" 2>/dev/null; }

# told_early PID: how many of its threads are to be told of memory failures early, and whether the
# first one is: PF_MCE_EARLY and PF_MCE_PROCESS of include/linux/sched.h
told_early() {
	_early=0 _first='not the first'
	for _thread in /proc/"$1"/task/*; do
		# after the name, which may have blanks
		_flags=$(sed 's/.*) //' "$_thread/stat" | cut -d " " -f 7)
		[ $((_flags & 0x8000080)) = $((0x8000080)) ] || continue
		_early=$((_early + 1))
		[ "${_thread##*/}" != "$1" ] || _first=first
	done
	echo $_early $_first
}

# kill_at LINE HOW PID IMAGES ARGS...: a dump that leaves the VM running and is killed when its log
# has that many lines; HOW is of kill-at
kill_at() {
	_line=$1 _how=$2 _pid=$3 _img=$4
	shift 4
	mkdir -p "$_img"
	kill-at "$_line" "$_how" "$_img/dump.log" "$CRIU" dump -t "$_pid" -D "$_img" \
		-o /proc/self/fd/3 -v4 -L /opt/tce/lib/criu --leave-running "$@" 2>/dev/null
}

# trace PID: what a dump must leave as it was: files, mappings, signals of threads
trace() {
	for _f in /proc/"$1"/fd/*; do echo "${_f##*/} $(readlink "$_f")"; done
	sed '/\[stack\]/d' /proc/"$1"/maps
	grep -hE '^(State:.*[Tt]|Sig(Blk|Ign|Cgt|Pnd)|TracerPid)' /proc/"$1"/task/*/status
}
no_watcher() { ! pgrep criu; }
