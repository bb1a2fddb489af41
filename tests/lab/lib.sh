# SPDX-License-Identifier: GPL-2.0-or-later
# For scenarios, inside a lab host: how a check is said, and waiting for things.
# Each check prints one line; tests/lab/run and ./test count these.

ok() { echo "ok $*"; }
not_ok() { echo "not ok $*"; LAB_FAILED=1; }

# check NAME COMMAND...: the command must succeed
check() {
	_name=$1
	shift
	if "$@"; then
		ok "$_name"
	else
		not_ok "$_name: \`$*' gave $?"
		return 1
	fi
}

# refuses NAME CODE TEXT COMMAND...: the command must exit with CODE (a signal would
# give more than 128) and say TEXT, if any, on stderr
refuses() {
	_name=$1 _code=$2 _text=$3
	shift 3
	"$@" >/tmp/refuses.out 2>/tmp/refuses.err
	_rc=$?
	if [ $_rc -ne "$_code" ]; then
		not_ok "$_name: \`$*' exited with $_rc, not $_code: $(head -n 3 /tmp/refuses.err)"
		return 1
	elif [ -n "$_text" ] && ! grep -qF -- "$_text" /tmp/refuses.err; then
		not_ok "$_name: stderr lacks '$_text': $(head -n 3 /tmp/refuses.err)"
		return 1
	fi
	ok "$_name"
}

# says NAME CODE TEXT COMMAND...: the same, of all that it says; that is in /tmp/said then
says() {
	_what=$1 _code=$2 _text=$3
	shift 3
	"$@" >/tmp/said 2>&1
	_rc=$?
	if [ $_rc = "$_code" ] && grep -qF -- "$_text" /tmp/said; then
		ok "$_what"
	else
		not_ok "$_what: exit code $_rc: $(head -n 12 /tmp/said)"
		return 1
	fi
}

# wait_for SECONDS COMMAND...: until the command succeeds. On a slow host it is tried as often as on
# a fast one, and for at most twenty times as long. The command may wait_for things itself.
wait_for() {
	look_at_clock
	_end=$((_now + $1 * 20))
	_tries=$(($1 * 10))
	shift
	# kept as parameters, which are a call's own
	set -- $_tries $_end "$@"
	until succeeds "$@"; do
		look_at_clock
		[ "$1" -gt 1 ] && [ "$_now" -lt "$2" ] || return 1
		_tries=$(($1 - 1))
		shift
		set -- $_tries "$@"
		sleep 0.1
	done
}
succeeds() { shift 2; "$@" 2>/dev/null; }
# in whole seconds since the boot
look_at_clock() {
	read -r _now _ </proc/uptime
	_now=${_now%.*}
}

# kernel_is_quiet [LOG]: prints what the kernel has to say of KVM or of anything that stopped it,
# but for known-reports. Of data races, only those that KVM's code has a part in: the rest of the
# kernel has some of its own.
kernel_is_quiet() {
	_said=$(if [ $# = 1 ]; then cat "$1"; else dmesg; fi | awk -v whole=$((1 - $#)) '
	FILENAME != "-" { if (/^[^#]/) known[++kinds] = "^(" $0 ")"; next }
	{ sub(/^\[[^]]*\] */, ""); line[++lines] = $0; if (/Linux version/) whole = 0 }
	function ends() { if (race && ours) printf "%s", report; race = ours = 0; report = "" }
	function is_known(at,  begin, kind) {
		begin = line[at] " " line[at + 1] " " line[at + 2] " " line[at + 3]
		for (kind = 1; kind <= kinds; kind++)
			if (begin ~ known[kind])
				return 1
		return 0
	}
	function look(at) {
		$0 = line[at]
		if (/BUG: KCSAN/) { ends(); race = 1 }
		if (race && /=====/) { ends(); return }
		if (race) { report = report $0 "\n"; if (/kvm|tce/) ours = 1; return }
		if (/WARNING|(^|[^A-Z_])BUG|Oops|INFO: |UBSAN|Kernel panic/ ||
		    /Unable to handle|EEH: Frozen|corruption/ ||
		    /possible (circular|recursive|irq)|turning off the locking/)
			if (left || !is_known(at)) {
				# a WARN has its text before its first line
				if (!left && line[at - 1]) print line[at - 1]
				left = 40
			}
		if (left) { left--; print }
	}
	END {
		if (whole) print "the log has lost its beginning"
		for (at = 1; at <= lines; at++) look(at)
		ends()
	}' /lab/share/.lab/known-reports -)
	[ -z "$_said" ] && return
	printf '%s\n' "$_said" | head -n 120
	return 1
}

# check_watcher: does a kernel that is built to watch itself do so on this host?
check_watcher() {
	case $LAB_KERNEL in
	debug) check "$LAB_HOST: lockdep is on" grep -q "debug_locks: *1" /proc/lockdep_stats ;;
	kasan) check "$LAB_HOST: KASAN is on" sh -c 'dmesg | grep -q "KASAN init done"' ;;
	kcsan) check "$LAB_HOST: KCSAN is on" grep -q "^enabled: 1" /sys/kernel/debug/kcsan ;;
	esac
}

# A scenario ends with `finish': non-zero when a check failed. Every scenario asks the kernel.
finish() {
	check "${LAB_HOST:-lab}: the kernel has nothing to say" kernel_is_quiet
	exit "${LAB_FAILED:-0}"
}
