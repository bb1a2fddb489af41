# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For the tests of the tools: TAP lines, a scratch folder, and checks that tell a clear refusal
# from a crash.
set -u
count=0
failed=0
scratch=$(mktemp -d "${TMPDIR:-/tmp}/tce-tools-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export ASAN_OPTIONS=abort_on_error=1

ok() {
	count=$((count + 1))
	printf 'ok %d - %s\n' "$count" "$*"
}

not_ok() {
	count=$((count + 1))
	failed=1
	printf 'not ok %d - %s\n' "$count" "$*"
	[ ! -s "$scratch/out" ] || sed 's/^/# out: /' "$scratch/out" | head -n 20
	[ ! -s "$scratch/err" ] || sed 's/^/# err: /' "$scratch/err" | head -n 20
}

# expect NAME CODE PATTERN COMMAND...: the exit code, and what stdout and stderr together say.
expect() {
	local name=$1 code=$2 pattern=$3 got
	shift 3
	"$@" >"$scratch/out" 2>"$scratch/err"
	got=$?
	if [ "$got" -ne "$code" ]; then
		not_ok "$name: exit code $got, not $code"
	elif ! cat "$scratch/out" "$scratch/err" | grep -qE -- "$pattern"; then
		not_ok "$name: nothing says '$pattern'"
	else
		ok "$name"
	fi
}

# check NAME COMMAND...: a command that must succeed.
check() {
	local name=$1
	shift
	if "$@" >"$scratch/out" 2>"$scratch/err"; then ok "$name"; else not_ok "$name"; fi
}

finish() {
	printf '1..%d\n' "$count"
	exit "$failed"
}
