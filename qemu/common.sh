# SPDX-License-Identifier: GPL-2.0-or-later
# What the scripts of this folder share: QEMU's source package as a git tree, the tools that
# its build wants, its configurations. Sourced by bash.
. "$(dirname "${BASH_SOURCE[0]}")/../tests/lab/common.sh"

QEMU_DIR=$TOP/qemu
# configurations: this machine's (qtest and TCG), and the lab's hosts' (KVM alone)
MESON_WANTED=1.5.0

# series SOURCE: the patches for these sources, in apply order, without the cover letter. Where a
# version of QEMU wants another patch, the one of its name in the folder of that version takes its
# place.
series() {
	local base patch
	base=$(cut -d. -f1,2 "$1/VERSION")
	for patch in "$QEMU_DIR"/[0-9]*.patch; do
		[ ! -f "$QEMU_DIR/$base/${patch##*/}" ] || patch=$QEMU_DIR/$base/${patch##*/}
		case $patch in
		*/0000-*) ;;
		*) printf '%s\n' "$patch" ;;
		esac
	done
}

# make_git_tree DIR: what is there is the tag "base"
make_git_tree() {
	git -C "$1" init -q &&
		git -C "$1" config user.name lab &&
		git -C "$1" config user.email lab@localhost &&
		git -C "$1" config gc.auto 0 &&
		git -C "$1" add -Af &&
		git -C "$1" commit -qm base &&
		git -C "$1" tag base
}

# folder_source DIR: a copy of QEMU's sources that are there, as qemu_source() gives one
folder_source() {
	local dir=$CACHE/qemu-folder
	[ -f "$1/hw/ppc/spapr_iommu.c" ] || { say "$1: no sources of QEMU"; return 1; }
	rm -rf "$dir"
	mkdir -p "$dir"
	tar -C "$1" --exclude=./.git --exclude=./build -cf - . | tar -C "$dir" -xf - || return
	make_git_tree "$dir"
	printf '%s\n' "$dir"
}

# qemu_source SUITE: the suite's source package, with Debian's patches, as a git tree with a tag
# "base". Prints its path. Whoever checks something else out makes a work tree of its own.
qemu_source() {
	local opts version dir
	opts=$(apt_with "$1") || return
	# An archive may name a version and not have its files; then the one before will do.
	# shellcheck disable=SC2086
	for version in $(apt-cache $opts showsrc qemu | sed -n 's/^Version: *//p' | sort -Vr); do
		dir=$CACHE/qemu-${version#*:}
		! (flock 8 && unpack_qemu "$opts" "$version" "$dir") 8>"$CACHE/source.lock" >&2 ||
			{ printf '%s\n' "$dir"; return; }
	done
	say "no source package of QEMU in $1"
	return 1
}

# unpack_qemu APT-OPTIONS VERSION DIR
unpack_qemu() {
	[ ! -d "$3/.git" ] || return 0
	rm -rf "$3" "$3.new"
	mkdir -p "$3.new"
	say "unpacking QEMU $2"
	# nothing here ends by set -e, as the caller asks whether all went well
	# shellcheck disable=SC2086
	(cd "$3.new" && apt-get $1 -qq source --download-only "qemu=$2" &&
		dpkg-source --no-check -x ./*.dsc tree >/dev/null && rm -rf tree/.pc) &&
		make_git_tree "$3.new/tree" && mv "$3.new/tree" "$3" || return
	rm -rf "$3.new"
}

# use_meson: QEMU wants a newer meson than Debian 12 has, but meson is nothing but Python, and
# QEMU's configure takes a module that Python finds.
use_meson() {
	local have dir=$CACHE/meson-$GUEST_SUITE
	have=$(meson --version 2>/dev/null || echo 0)
	! dpkg --compare-versions "$have" ge "$MESON_WANTED" || return 0
	(
		flock 8
		[ ! -d "$dir" ] || exit 0
		opts=$(apt_with "$GUEST_SUITE") || exit
		rm -rf "$dir.new"
		mkdir -p "$dir.new" && cd "$dir.new" || exit
		# shellcheck disable=SC2086
		apt-get $opts -qq download meson >&2 && dpkg-deb -x meson_*.deb . &&
			mv "$dir.new" "$dir"
	) 8>"$dir.lock" || return
	export PYTHONPATH=$dir/usr/lib/python3/dist-packages
}

# The devices that the lab and the tests use, beside what every pseries machine has
devices() {
	local name
	for name in PSERIES SCSI VFIO_PCI \
		    VIRTIO_BLK VIRTIO_NET VIRTIO_PCI VIRTIO_RNG VIRTIO_SCSI VIRTIO_SERIAL; do
		printf 'CONFIG_%s=y\n' "$name"
	done
}

# use_sysroot: pkg-config answers for the lab's hosts, until the shell ends
use_sysroot() {
	SYSROOT=$("$LAB/sysroot" qemu) || return
	SYSROOT=${SYSROOT%/*}
	export PKG_CONFIG=pkg-config PKG_CONFIG_SYSROOT_DIR=$SYSROOT
	export PKG_CONFIG_LIBDIR=$SYSROOT/usr/lib/powerpc64le-linux-gnu/pkgconfig
	PKG_CONFIG_LIBDIR+=:$SYSROOT/usr/share/pkgconfig
}

# configure_qemu SOURCE BUILD native|lab: few features and devices, since it is built on two cores
configure_qemu() {
	local src=$1 build=$2 kind=$3 options=()
	case $kind in
	native)	options=(--enable-tcg --cc="ccache gcc") ;;
	lab)	use_sysroot || return
		# libraries are for a newer C library than the compiler's, and find it in the lab
		options=(--disable-tcg --enable-kvm --enable-slirp --cpu=ppc64le
			 --extra-ldflags=-Wl,--allow-shlib-undefined
			 --cross-prefix="$CROSS" --cc="ccache ${CROSS}gcc --sysroot=$SYSROOT") ;;
	esac
	rm -rf "$build"
	mkdir -p "$build"
	devices >"$src/configs/devices/ppc64-softmmu/tce.mak"
	(cd "$build" && "$src/configure" --target-list=ppc64-softmmu \
		--without-default-features --without-default-devices --with-devices-ppc64=tce \
		--enable-system --enable-fdt=system \
		--disable-install-blobs --disable-download --disable-debug-info --enable-werror \
		"${options[@]}" >configure.log 2>&1) ||
		{ tail -n 5 "$build/configure.log" >&2; return 1; }
}

# apply_series SOURCE: leaves the series on a detached HEAD of SOURCE, with a tag "series";
# prints what went wrong.
apply_series() {
	local patches
	git -C "$1" am --abort >/dev/null 2>&1 || :
	git -C "$1" checkout -qf --detach base
	mapfile -t patches < <(series "$1")
	[ "${#patches[@]}" -gt 0 ] || return 0
	git -C "$1" am -q "${patches[@]}" 2>&1 || return
	git -C "$1" tag -f series >/dev/null
}

# work_tree SOURCE NAME: another work tree of these sources
work_tree() {
	local dir=$CACHE/$2
	if ! git -C "$dir" rev-parse -q --verify base >/dev/null 2>&1; then
		rm -rf "$dir"
		git -C "$1" worktree prune
		git -C "$1" worktree add -q --detach "$dir" base >&2
	fi
	printf '%s\n' "$dir"
}

# build_qemu SOURCE BUILD native|lab TARGET...: configures when it was not, or for other inputs
build_qemu() {
	local src=$1 build=$2 kind=$3 key
	shift 3
	key=$(hash_of "$src" "$kind" "$QEMU_DIR/common.sh")
	if [ "$(cat "$build/key" 2>/dev/null)" != "$key" ]; then
		configure_qemu "$src" "$build" "$kind" || return
		printf '%s\n' "$key" >"$build/key"
	fi
	# the source package has no firmware, and the machines' is a package of its own
	mkdir -p "$build/qemu-bundle/usr/local/share/qemu"
	ln -sf /usr/share/qemu/slof.bin "$build/qemu-bundle/usr/local/share/qemu/slof.bin"
	ninja -C "$build" "$@" >"$build/log" 2>&1
}
