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

# A scenario ends with `finish': non-zero when a check failed.
finish() { exit "${LAB_FAILED:-0}"; }
