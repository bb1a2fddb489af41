# SPDX-License-Identifier: GPL-2.0-or-later
# For scenarios, inside a lab host: how a check is said, and waiting for things.
# Each check prints one line; tests/lab/run and ./test count these.

ok() { echo "ok $*"; }
not_ok() { echo "not ok $*"; LAB_FAILED=1; }

# check NAME COMMAND...: the command must succeed
check() {
	_name=$1
	shift
	if "$@"; then ok "$_name"; else not_ok "$_name: \`$*' gave $?"; fi
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
	elif [ -n "$_text" ] && ! grep -qF -- "$_text" /tmp/refuses.err; then
		not_ok "$_name: stderr lacks '$_text': $(head -n 3 /tmp/refuses.err)"
	else
		ok "$_name"
	fi
}

# wait_for SECONDS COMMAND...: until the command succeeds
wait_for() {
	_left=$(($1 * 10))
	shift
	until "$@" 2>/dev/null; do
		_left=$((_left - 1))
		[ $_left -gt 0 ] || return 1
		sleep 0.1
	done
}

# kernel_is_quiet: prints what the kernel has to say of KVM or of anything that stopped it. Of data
# races, only those that KVM's code has a part in: the rest of the kernel has some of its own.
kernel_is_quiet() {
	dmesg | awk '
	function ends() { if (race && ours) printf "%s", report; race = ours = 0; report = "" }
	/BUG: KCSAN/ { ends(); race = 1 }
	race && /=====/ { ends(); next }
	race { report = report $0 "\n"; if (/kvm|tce/) ours = 1; next }
	/WARNING|(^|[^A-Z_])BUG|Oops|INFO: |UBSAN/ { left = 40 }
	/Unable to handle|EEH: Frozen|corruption/ { left = 40 }
	/possible (circular|recursive|irq)|turning off the locking/ { left = 40 }
	left { left--; print }
	END { ends() }' > quiet.log
	head -n 120 quiet.log
	[ ! -s quiet.log ]
}

# A scenario ends with `finish': non-zero when a check failed.
finish() { exit "${LAB_FAILED:-0}"; }
