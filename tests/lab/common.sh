# SPDX-License-Identifier: GPL-2.0-or-later
# What the lab's own scripts share on the x86 side: the cache, package mirrors
# taken from this machine's apt configuration, hashes of inputs. Sourced by bash.

set -euo pipefail
LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$LAB/../.." && pwd)
CACHE=${TCE_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set, nor is TCE_CACHE}/.cache}/tce}
CROSS=powerpc64le-linux-gnu-
GUEST_SUITE=trixie	# the lab's POWER userland: CRIU 4.1.1 and QEMU 10.0
export DEBIAN_FRONTEND=noninteractive

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# The kernel's build can't do with a space, and the emulator takes a comma for an option's end.
case $CACHE in
*[[:space:],:]*) die "$CACHE: no space, comma or colon, please (set TCE_CACHE to another folder)" ;;
esac
mkdir -p "$CACHE"

# hash_of FILE|STRING...: one short name for everything a product is made from
hash_of() {
	local x
	for x; do
		if [ -f "$x" ]; then cat -- "$x"; else printf '%s\n' "$x"; fi
	done | sha256sum | cut -c1-16
}

# Keep only one builder of a product at a time; the lock goes with the shell.
lock() {
	exec 9>"$CACHE/$1.lock"
	flock 9
}

# The Debian mirror this machine is set up with. Nothing else names a host.
debian_mirror() {
	local uri
	uri=$(apt-get indextargets --format '$(REPO_URI)|$(LABEL)' 'Created-By: Packages' |
	      awk -F'|' '$2 == "Debian" { print $1; exit }')
	[ -n "$uri" ] ||
		die "no Debian mirror in this machine's apt configuration (run apt-get update)"
	printf '%s\n' "$uri"
}

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# bootstrap TARGET LOG OPTION...: unpacks ppc64el packages of $GUEST_SUITE. A mirror that is
# being brought up to date can serve a Release file with an index that it does not describe,
# for days; under the release's other name, stable, it then often has a pair that fits.
# $EXTRA_SUITE, if set, is known to apt beside it. A mirror's copy of a suite that changes daily
# may be older than its Release file allows, and there is no other.
EXTRA_SUITE=
bootstrap() {
	local target=$1 log=$2 mirror suite codename try extra=()
	shift 2
	mirror=$(debian_mirror)
	[ -z "$EXTRA_SUITE" ] || extra=("deb $mirror $EXTRA_SUITE main")
	[ "$GUEST_SUITE" != sid ] || set -- --aptopt='Acquire::Check-Valid-Until "false"' "$@"
	: >"$log"
	for try in 1 2 3; do
		for suite in "$GUEST_SUITE" stable; do
			if [ "$suite" = stable ]; then
				rm -f "$target.release"
				/usr/lib/apt/apt-helper download-file \
					"${mirror%/}/dists/stable/InRelease" \
					"$target.release" >>"$log" 2>&1 || continue
				codename=$(sed -n 's/^Codename: *//p' "$target.release")
				rm -f "$target.release"
				[ "$codename" = "$GUEST_SUITE" ] || continue
			fi
			rm -rf "$target"
			mmdebstrap --variant=extract --architectures=ppc64el --keyring="$KEYRING" \
				--aptopt='Apt::Install-Recommends "false"' "$@" \
				"$suite" "$target" "$mirror" ${extra[@]+"${extra[@]}"} \
				>>"$log" 2>&1 && return
		done
		say "the mirror did not give $GUEST_SUITE's ppc64el packages (try $try of 3)"
		[ "$try" = 3 ] || sleep 30
	done
	tail -n 20 "$log" >&2
	die "mmdebstrap failed"
}

# apt_with SUITE...: an apt configuration of our own in $CACHE/apt, which knows the
# given suites (binary and source) beside nothing else. The machine's stays as it is.
# Prints the options to give to apt-get. Jobs that run side by side may need the same lists.
apt_with() {
	local dir="$CACHE/apt/$*" mirror suite
	dir=${dir// /+}
	mirror=$(debian_mirror)
	mkdir -p "$dir"/{parts,lists/partial,cache/archives/partial}
	local opts="-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=$dir/parts \
-o Dir::State::Lists=$dir/lists -o Dir::Cache=$dir/cache -o APT::Sandbox::User=root"
	(
		flock 8
		for suite; do
			printf 'Types: deb deb-src\nURIs: %s\nSuites: %s\n' "$mirror" "$suite"
			printf 'Components: main\nSigned-By: %s\n\n' "$KEYRING"
		done >"$dir/sources.new"
		cmp -s "$dir/sources.new" "$dir/parts/lab.sources" && [ -n "$(find "$dir/lists" \
			-maxdepth 1 -name '*Packages*' -mmin -720 2>/dev/null)" ] && exit
		mv "$dir/sources.new" "$dir/parts/lab.sources"
		# shellcheck disable=SC2086
		apt-get $opts update -qq >&2
	) 8>"$dir/lock" || return
	printf '%s\n' "$opts"
}

# kernel_source TARBALL VERSION: the kernel's sources as a git tree with a tag "base", unpacked
# once for everybody. Prints its path. Whoever wants something else than the lab's kernels to be
# checked out makes a work tree of its own.
kernel_source() {
	local src=$CACHE/linux-$2
	(
		flock 8
		[ ! -d "$src/.git" ] || exit 0
		rm -rf "$src" "$src.new"
		mkdir -p "$src.new"
		tar -xf "$1" -C "$src.new" --strip-components=1
		git -C "$src.new" init -q
		git -C "$src.new" config user.name lab
		git -C "$src.new" config user.email lab@localhost
		git -C "$src.new" config gc.auto 0
		git -C "$src.new" add -Af
		git -C "$src.new" commit -qm base
		git -C "$src.new" tag base
		mv "$src.new" "$src"
	) 8>"$CACHE/source.lock" >&2
	printf '%s\n' "$src"
}

# use_ccache: the cache that all builds of kernels share. What a file includes is taken from the
# compiler's own list (DEPEND), so no preprocessor runs twice.
use_ccache() {
	export CCACHE_DIR=$CACHE/ccache CCACHE_MAXSIZE=2G CCACHE_BASEDIR=$CACHE CCACHE_NOHASHDIR=1 \
		CCACHE_DEPEND=1
}

# kernel_series: the names of the series in kernel/, in the order in which they apply
kernel_series() { sed -n 's/^\([a-z][a-z-]*\)\s.*/\1/p' "$TOP/kernel/series"; }

# kernel_patches BASE SERIES...: the patches of these series for Linux BASE (6.12, say), in order.
# Where a patch differs for a base, the one of its name in the folder of that base takes its
# place. What is there only in that folder is for this base only.
kernel_patches() {
	local base=$1 series dir name
	shift
	for series; do
		dir=$TOP/kernel/$series
		(cd "$dir" && compgen -G '[0-9]*.patch'; cd "$dir/$base" 2>/dev/null &&
			compgen -G '[0-9]*.patch'; :) | grep -v '^0000-' | sort -u |
			while read -r name; do
				[ ! -f "$dir/$base/$name" ] || name=$base/$name
				printf '%s\n' "$dir/$name"
			done
	done
}

# kernel_package SUITE BASE: the suite's package linux-source-BASE unpacked by the machine's own
# mirror, in a folder with a file "version"; what the machine has installed is of no concern
kernel_package() {
	local suite=$1 package=linux-source-$2 dir=$CACHE/source-$1
	[ "$2" = 6.12 ] || dir=$dir-$2
	(
		flock 8
		[ ! -f "$dir/version" ] || exit 0
		opts=$(apt_with "$suite") || exit
		rm -rf "$dir" && mkdir -p "$dir" && cd "$dir" || exit
		# shellcheck disable=SC2086
		apt-get $opts -o Dir::State::status=/dev/null -qq download "$package" >&2 &&
			dpkg-deb -x "$package"_*.deb . &&
			dpkg-deb -f "$package"_*.deb Version >version.new &&
			rm -f "$package"_*.deb && mv version.new version
	) 8>"$dir.lock" || return
	printf '%s\n' "$dir"
}
