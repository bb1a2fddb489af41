# SPDX-License-Identifier: GPL-2.0-or-later
# For scenarios that put CRIU around an unmodified QEMU: starts one with a Linux guest which checks
# its own I/O (tests/lab/guest-init), and asks QEMU and guest how they are.
# Sourced as /lab/share/.lab/qemu.sh after criu.sh; everything of the VM's is in $DIR.

DIR=${DIR:-/var/vm}
QEMU=${QEMU:-qemu-system-ppc64}
DISK_FORMAT=${DISK_FORMAT:-raw}
_caps=cap-htm=off,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off
# KVM has no larger pages for an HPT guest than the host has, and QEMU offers 64 KiB.
grep -q "KernelPageSize: *4 kB" /proc/self/smaps && _caps=$_caps,cap-hpt-max-page-size=4k
MACHINE=pseries,kernel-irqchip=off,$_caps
# where the guest's HTTP server is, seen from outside
SERVED_AT=${SERVED_AT:-127.0.0.1:8080}
# What CRIU is to be told of a QEMU: that locks on its disks, a client of a unix socket and TCP
# connections from outside are meant; the connections are closed by the restore.
QEMU_OPTIONS="--file-locks --ext-unix-sk --tcp-close"

# rings DISABLED: whether what starts now gets io_uring: 0, or 2, which doc/criu-qemu.md asks for
rings() {
	_rings=/proc/sys/kernel/io_uring_disabled
	[ ! -e $_rings ] || echo "$1" > $_rings
}

# start_guest OPTION...: a QEMU with two disks, each behind another kind of TCE table, a NIC and two
# consoles; its process ID is then $VMM. $APPEND goes to the guest's command line, $NETDEV is
# another network than QEMU's own, $NIC another network card.
start_guest() {
	mkdir -p "$DIR/tftp"
	for _disk in "$DIR/disk0" "$DIR/disk1"; do [ -e "$_disk" ] || truncate -s 64M "$_disk"; done
	[ -e "$DIR/tftp/data" ] || dd if=/dev/urandom of="$DIR/tftp/data" bs=64k count=2 2>/dev/null
	sha256sum <"$DIR/tftp/data" >"$DIR/tftp/sum"
	# far from what another boot of the host has in use
	_last=$(cat /proc/sys/kernel/ns_last_pid)
	[ "$_last" -gt 5000 ] || echo 5000 > /proc/sys/kernel/ns_last_pid
	rings ${IO_URING_DISABLED:-2}
	_nic=${NIC:-virtio-net-pci,iommu_platform=on,disable-legacy=on}
	_slow=format=$DISK_FORMAT,throttling.iops-total=400
	setsid $QEMU -M $MACHINE -accel kvm -m 512M -nodefaults -display none \
		-kernel "${KERNEL:-/lab/share/vmlinux}" -initrd "${GUEST:-/lab/guest.cpio}" \
		-append "console=hvc0 quiet $APPEND" \
		-serial "file:$DIR/guest.log" -serial "unix:$DIR/serial,server=on,wait=off" \
		-qmp "unix:$DIR/qmp,server=on,wait=off" \
		-device virtio-scsi-pci,id=scsi0,iommu_platform=on,disable-legacy=on \
		-drive "file=$DIR/disk0,if=none,id=d0,format=$DISK_FORMAT" \
		-device scsi-hd,bus=scsi0.0,drive=d0 \
		-device spapr-vscsi,id=scsi1 \
		-drive "file=$DIR/disk1,if=none,id=d1,$_slow" \
		-device scsi-hd,bus=scsi1.0,drive=d1 \
		-netdev "${NETDEV:-user,id=n0,tftp=$DIR/tftp,hostfwd=tcp:127.0.0.1:8080-:80}" \
		-device "$_nic,netdev=n0,romfile=" \
		"$@" </dev/null >"$DIR/qemu.log" 2>&1 &
	VMM=$!
}

# short_stops: before the guest starts, what makes the time short for which a dump stops it. The
# guest's memory is in small pages: CRIU takes a huge page (16 MiB with an HPT, 2 MiB with radix) as
# changed when any byte of it is. CRIU asks for sockets of a kind that these kernels do not have:
# nobody is to look for a module then.
short_stops() {
	echo never > /sys/kernel/mm/transparent_hugepage/enabled
	case $LAB_KERNEL in debian*) ;; *) echo > /proc/sys/kernel/modprobe ;; esac
}
# of dump and pre-dump, for the same: without a line for each piece of memory in the log
SHORT_LOG=-v3

# guest_up: what every scenario begins with
guest_up() {
	wait_for 400 goes_on_all 2 && return
	tail -n 5 "$DIR/guest.log" "$DIR/qemu.log"
	return 1
}

# rounds WHAT: of sda, sdb or net, the guest has verified
rounds() { grep -ac "guest: $1 round.*verified" "$DIR/guest.log"; }
goes_on_all() {
	for _what in sda sdb net; do [ "$(rounds $_what)" -ge "$1" ] || return 1; done
}

# goes_on: two more rounds of everything that the guest does
goes_on() {
	_sda=$(rounds sda) _sdb=$(rounds sdb) _net=$(rounds net)
	wait_for 120 more_rounds && return
	tail -n 5 "$DIR/guest.log"
	return 1
}
more_rounds() {
	[ "$(rounds sda)" -gt $((_sda + 1)) ] && [ "$(rounds sdb)" -gt $((_sdb + 1)) ] &&
		[ "$(rounds net)" -gt $((_net + 1)) ]
}

# log_is_sound: no wrong data, no clock that went back, no round lost or done twice. The last line
# may be under way, 16 bytes at a time.
log_is_sound() {
	! grep -aE 'MISMATCH|error|no disk|Oops|BUG|rcu:|blocked for' "$DIR/guest.log" || return 1
	tr -d '\r' <"$DIR/guest.log" | sed '$d' | awk '
		$1 == "guest:" && $3 == "round" {
			if ($4 + 0 != last[$2] + 1) {
				print "after round " last[$2] " of " $2 ": " $0
				bad = 1
			}
			last[$2] = $4 + 0
			if ($5 == "verified," && $7 < up[$2]) {
				print "the clock was at " up[$2] ": " $0
				bad = 1
			}
			if ($5 == "verified,") up[$2] = $7
		}
		END { exit bad }'
}

# The guest's uptime each time that it has said it, and the host's, in hundredths of a second.
guest_up_ats() {
	tr -d '\r' <"$DIR/guest.log" |
		sed -n 's/.*verified, up \([0-9]*\)\.\([0-9]*\) s$/\1\2/p'
}
host_up_at() { sed 's/\([0-9]*\)\.\([0-9]*\) .*/\1\2/' /proc/uptime; }

# The guest's clock is held against the host's: clock_from, then what halts the guest and what lets
# it go on, and clock_is_right. How far the guest's clock may go is known only within the time that
# halting and continuing take. A host of another boot goes on with what is in $DIR/clock.
CLOCK_SLACK=500 # from the guest's look at its clock until its line is read, in 1/100 s

# now_says: the uptime in a line that the guest says now, for an older one may be a round old; it
# is then $_up, and the host's $_host
now_says() {
	_said=$(guest_up_ats | wc -l)
	if ! wait_for 120 says_more; then
		tail -n 5 "$DIR/guest.log"
		return 1
	fi
	_host=$(host_up_at)
	_up=$(guest_up_ats | tail -n 1)
}
says_more() { [ "$(guest_up_ats | wc -l)" -gt "$_said" ]; }

keep_clock() { echo "_from=$_from _least=$_least _most=$_most" >"$DIR/clock"; }
kept_clock() { [ -s "$DIR/clock" ] && . "$DIR/clock"; }
clock_from() {
	now_says || return 1
	_from=$_up _least=-$_host _most=-$_host
	keep_clock
}
# clock_halts COMMAND..., clock_goes COMMAND...: the command halts the guest, or lets it go on
clock_halts() {
	kept_clock || return 1
	_least=$((_least + $(host_up_at)))
	"$@" || return 1
	_most=$((_most + $(host_up_at)))
	keep_clock
}
clock_goes() {
	kept_clock || return 1
	_most=$((_most - $(host_up_at)))
	"$@" || return 1
	_least=$((_least - $(host_up_at)))
	keep_clock
}
clock_is_right() {
	now_says || return 1
	kept_clock || return 1
	_went=$((_up - _from))
	_least=$((_least + _host - CLOCK_SLACK))
	_most=$((_most + _host + CLOCK_SLACK))
	echo "the guest's clock went on by $_went: $_least to $_most are right (1/100 s)"
	[ $_went -ge $_least ] && [ $_went -le $_most ]
}

# nothing_pending: of a stopped guest, whether QEMU's own interrupt controller (XICS or XIVE) has no
# interrupt that a vCPU has yet to take
nothing_pending() {
	qmp human-monitor-command '{"command-line":"info pic"}' | sed 's/\\r\\n/\n/g' |
		grep -E 'XIRR=|: +OS ' >/tmp/pic
	[ -s /tmp/pic ] && ! grep -vE 'XIRR=..000000|OS +00 ' /tmp/pic
}

# clock_stops: the guest is stopped and continued by QMP; it goes on, its clock has stood meanwhile
clock_stops() {
	clock_from && clock_halts qmp stop && sleep 8 && clock_goes qmp cont && clock_is_right &&
		goes_on
}

# talk SOCKET TEXT PATTERN: says TEXT and waits for a line with PATTERN; it is in /tmp/talk.out.
# SOCKET is a file in $DIR, or TCP:HOST:PORT.
talk() {
	case $1 in
	TCP:*) _address=$1 ;;
	*) _address=UNIX-CONNECT:$DIR/$1 ;;
	esac
	: >/tmp/talk.out
	{ printf '%s\n' "$2"; exec sleep 60; } |
		timeout 60 socat - "$_address" >/tmp/talk.out 2>&1 &
	_talk=$!
	wait_for 60 sh -c "grep -q '$3' /tmp/talk.out || ! kill -0 $_talk"
	kill $_talk 2>/dev/null
	grep "$3" /tmp/talk.out
}

# qmp COMMAND [ARGUMENTS]: QEMU's answer; $QMP is another socket than the usual one
qmp() {
	_ask="{\"execute\":\"$1\"${2:+,\"arguments\":$2},\"id\":\"it\"}"
	talk "${QMP:-qmp}" "{\"execute\":\"qmp_capabilities\"}$_ask" '"id": "it"'
}
is_status() { qmp query-status | grep -q "\"status\": \"$1\""; }

# serial_answers: the guest, on the console that is a unix socket
serial_answers() { talk serial "hello $1" "guest: heard hello $1"; }

# serves: what the guest got over its NIC comes back through the forwarded port
serves() {
	busybox wget -q -T 60 -O /tmp/served "http://$SERVED_AT/data" &&
		cmp /tmp/served "$DIR/tftp/data"
}

# dump_qemu IMAGES OPTION...
dump_qemu() {
	_images=$1
	shift
	rm -rf "$_images"
	# shellcheck disable=SC2086
	dump "$VMM" "$_images" $QEMU_OPTIONS "$@" && return
	errors "$_images/dump.log"
	return 1
}

# restore_qemu IMAGES OPTION...: before the guest runs again, its tables are compared with the
# images
restore_qemu() {
	_images=$1
	shift
	rm -f /tmp/diff.rc
	cat > /tmp/compare <<-'X'
	#!/bin/sh
	[ "$CRTOOLS_SCRIPT_ACTION" = pre-resume ] || exit 0
	tce-dump --diff "$CRTOOLS_IMAGE_DIR" --pid "$CRTOOLS_INIT_PID" >/tmp/diff.out 2>&1
	echo $? > /tmp/diff.rc
	X
	chmod +x /tmp/compare
	# shellcheck disable=SC2086
	restore "$_images" $QEMU_OPTIONS --action-script /tmp/compare "$@" && return
	errors "$_images/restore.log"
	return 1
}
tables_are_the_same() {
	[ "$(cat /tmp/diff.rc)" = 0 ] && return
	cat /tmp/diff.out
	return 1
}

# around_qemu: dumped and restored, in this boot
around_qemu() {
	dump_qemu "$DIR/img" && wait_for 20 gone "$VMM" && restore_qemu "$DIR/img" &&
		tables_are_the_same
}

# A guest that is only its firmware. It is slow on papr, where each exit goes through the host
# below.
SLOW=1
[ "$LAB_HOST" != papr ] || SLOW=20

# start_firmware OPTION...: a QEMU that waits for `cont'; its process ID is then $VMM
start_firmware() {
	setsid $QEMU -M $MACHINE -accel kvm -m 256M -nodefaults -display none -S -no-shutdown \
		-serial "unix:$DIR/serial,server=on,wait=off" \
		-qmp "unix:$DIR/qmp,server=on,wait=off" "$@" </dev/null >"$DIR/qemu.log" 2>&1 &
	VMM=$!
}

# forth WORDS PATTERN: what the guest's firmware says to a line of Forth
forth() {
	: >/tmp/forth.out
	{ printf '%s\r' "$1"; exec sleep 120; } |
		socat - "UNIX-CONNECT:$DIR/serial" >/tmp/forth.out 2>&1 &
	_forth=$!
	# wait_for does not nest
	timeout $((4 * SLOW)) sh -c "until grep -q '$2' /tmp/forth.out; do sleep 0.1; done"
	_rc=$?
	kill $_forth
	return $_rc
}
answers() { forth '12345 6 + .' 1234b; }

# rtas NAME COUNT: called by the firmware, with COUNT arguments (one at most). It may not come back.
rtas() {
	forth "s\" $1\" rtas-get-token rtas-cb rtas>token l!" ok
	forth "$2 rtas-cb rtas>nargs l! 1 rtas-cb rtas>nret l! 4000 rtas-cb rtas>args0 l!" ok
	forth "enter-rtas" never
}

# around STATE: dumped and restored in that state, and it still is
around() {
	check "$1" wait_for $((10 * SLOW)) is_status "$1"
	grep -hE '^kvm-(mmu|process-table):' /proc/$VMM/fdinfo/* | paste -sd ' '
	check "$1: dump and restore" around_qemu
	check "$1: it is in the same state" wait_for $((5 * SLOW)) is_status "$1"
}

# not_dumped STATE WHY: by name
not_dumped() {
	check "$1: refused" sh -c "! criu dump -t $VMM -D $DIR/img -L /opt/tce/lib/criu -o log"
	check "$1: by name" grep "$2" "$DIR/img/log"
}

# refused STATE WHY: not dumped in that state, and it still is
refused() {
	check "$1" wait_for $((10 * SLOW)) is_status "$1"
	not_dumped "$1" "$2"
	check "$1: it is in the same state" wait_for $((5 * SLOW)) is_status "$1"
}
