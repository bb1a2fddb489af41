#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Live migrations between unmodified QEMUs through tce-stream: a Linux guest that writes its disks
# and reads them back goes from QEMU 7.2 to 7.2 to 10 to 10; then migrations that must fail, after
# each of which the source guest goes on.
# usage: live.py TCE-STREAM
import filecmp
import os
import shlex
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import vm

TOOL = shlex.quote(sys.argv[1])
DISKS = 3
CHAINS_MAX = 3


def machine_args(folder, boot):
    return vm.pseries(
        boot, ["-device", "spapr-pci-host-bridge,index=1,id=phb1,pgsz=0x11000"],
        vm.vscsi_disk(folder, "scsi"), vm.virtio_disk(folder, "narrow"),
        vm.virtio_disk(folder, "wide", "phb1.0"), ["-device", "spapr-pci-host-bridge,index=2"],
        machine=vm.LIVE_MACHINE)


def fifo(machines, name):
    path = os.path.join(machines.folder, name + ".fifo")
    os.mkfifo(path)
    return path


class GuestHangs(Exception):
    """A guest makes no I/O, and tce-stream has given its QEMU all that the other QEMU sent."""


def move(machines, source, version, name, args):
    """A migration that must succeed. Returns the destination and why it did not."""
    pipe = fifo(machines, name)
    stats, status, sent, received = (os.path.join(machines.folder, name + end) for end in (
        ".stats", ".status", ".sent", ".received"))
    target = machines.start(version, name, args, incoming=(
        "exec:{ %s unpack < %s; echo $? > %s; } | tee %s" % (TOOL, pipe, status, received)))
    source.begin_migration("exec:tee %s | %s pack --stats > %s 2> %s" % (sent, TOOL, pipe, stats))
    info = source.migration()
    if info["status"] != "completed":
        return target, "%s\n%s" % (info, vm.read(stats))
    target.wait_for("running guest", lambda: target.status() == "running")
    source.end()
    target.wait_for("exit of unpack", lambda: vm.read(status).strip())
    if vm.read(status).strip() != "0":
        return target, "unpack exits with " + vm.read(status)
    if not filecmp.cmp(sent, received, shallow=False):
        return target, "unpack gives other bytes than pack was given"
    os.remove(sent)
    os.remove(received)
    target.bring_lost_interrupts("narrow")
    try:
        target.wait_for_rounds(3, DISKS)
    except RuntimeError as e:
        raise GuestHangs("%s: %s" % (name, e)) from e
    if target.guest_errors():
        return target, "\n".join(target.guest_errors()[:5])
    text = vm.read(stats)
    for line in text.splitlines():
        print("# " + line)
    if ", agrees" not in text or "untouched" in text:
        return target, text
    return target, None


def goes_on(source, why=None):
    """After a migration that failed: the guest runs and its I/O is right."""
    if why:
        return why
    source.wait_for("running source", lambda: source.status() == "running", 30)
    source.wait_for_rounds(3, DISKS)
    if source.guest_errors():
        return "\n".join(source.guest_errors()[:5])
    return None


def must_fail(source, uri):
    source.begin_migration(uri)
    info = source.migration()
    if info["status"] != "failed":
        return "QEMU says: %s" % info
    return None


def dead_peer(machines, source):
    """The other side of the pipe ends in the middle."""
    err = os.path.join(machines.folder, "dead.err")
    why = must_fail(source, "exec:%s pack 2> %s | head -c 3000000 > /dev/null" % (TOOL, err))
    if not why and "Broken pipe" not in vm.read(err):
        why = "pack says: " + vm.read(err)
    return goes_on(source, why)


def full_disk(machines, source):
    return goes_on(source, must_fail(source, "exec:%s pack > /dev/full 2> /dev/null" % TOOL))


def incoming_end(target):
    """How a destination's QEMU ends that must not have run the guest."""
    try:
        code = target.process.wait(60)
    except subprocess.TimeoutExpired:
        return "the destination has not ended: " + target.status()
    if code == 0:
        return "the destination ended as if all were well"
    return None


def killed(machines, source, version, args, which):
    """pack or unpack is killed in the middle; the pipe between is slow, so that there is one."""
    name = "killed-" + which
    pipe = fifo(machines, name)
    pids = {w: os.path.join(machines.folder, name + "." + w) for w in ("pack", "unpack")}
    target = machines.start(version, name, args, incoming=(
        "exec:echo $$ > %s; exec %s unpack < %s" % (pids["unpack"], TOOL, pipe)))
    slow = ("%s -c 'import os, sys, time\n"
            "while True:\n"
            "    b = os.read(0, 65536)\n"
            "    if not b: break\n"
            "    os.write(1, b); time.sleep(0.02)'" % sys.executable)
    source.begin_migration("exec:(echo $$ > %s.shell;"
                           " exec sh -c 'echo $$ > %s; exec \"$0\" pack' %s)"
                           " | %s > %s" % (pids["pack"], pids["pack"], TOOL, slow, pipe))
    target.wait_for("RAM on its way", lambda: target.ask("query-migrate").get(
        "status") == "active", 60)
    os.kill(int(vm.read(pids[which])), signal.SIGKILL)
    info = source.migration()
    why = None if info["status"] == "failed" else "QEMU says: %s" % info
    return goes_on(source, why or incoming_end(target))


def flipped(machines, source, version, args):
    """One bit is flipped on the way: no guest starts from such a stream."""
    pipe = fifo(machines, "flipped")
    err = os.path.join(machines.folder, "flipped.err")
    target = machines.start(version, "flipped", args, incoming=(
        "exec:%s unpack < %s 2> %s" % (TOOL, pipe, err)))
    flip = ("%s -c 'import os\n"
            "done = 0\n"
            "while True:\n"
            "    b = bytearray(os.read(0, 65536))\n"
            "    if not b: break\n"
            "    if done <= 4000000 < done + len(b): b[4000000 - done] ^= 16\n"
            "    done += len(b)\n"
            "    while b: b = b[os.write(1, b):]'" % sys.executable)
    why = must_fail(source, "exec:%s pack | %s > %s" % (TOOL, flip, pipe))
    if not why and "hash does not agree" not in vm.read(err):
        why = "unpack says: " + vm.read(err)
    return goes_on(source, why or incoming_end(target))


def wrong_machine(machines, source, version, boot):
    """The destination has other devices; its QEMU refuses the stream after the RAM."""
    pipe = fifo(machines, "wrong")
    target = machines.start(version, "wrong", vm.pseries(boot, machine=vm.LIVE_MACHINE), incoming=(
        "exec:%s unpack < %s" % (TOOL, pipe)))
    source.begin_migration("exec:%s pack > %s" % (TOOL, pipe))
    info = source.migration()
    why = incoming_end(target)
    if info["status"] == "completed":
        # what was left fitted into the pipes; QEMU has stopped the guest and keeps it
        source.ask("cont")
    return goes_on(source, why)


def chain(machines, args, number):
    """Moves a new guest through the QEMUs. Returns where it is, and why it went no further."""
    current, version = machines.start("7.2", "first%d" % number, args), "7.2"
    current.wait_for_rounds(2, DISKS, 300)
    moves = []
    for hop, target in enumerate(("7.2", "10", "10")):
        name = "QEMU %s to %s with I/O" % (version, target)
        current, why = move(machines, current, target, "chain%d-hop%d" % (number, hop), args)
        moves.append((name, why))
        if why:
            break
        version = target
    return current, version, moves


def try_chain(machines, args):
    """Under TCG a guest that was migrated may hang, with plain cat in tce-stream's place, too. A
    new guest makes the same way then, if every byte had arrived."""
    for number in range(CHAINS_MAX):
        try:
            return chain(machines, args, number)
        except GuestHangs as e:
            print("# every byte has arrived, but " + " ".join(str(e).split()), flush=True)
            machines.end_all()
    return None, None, [("one of %d guests comes through" % CHAINS_MAX, "all of them hang")]


def main():
    checks = vm.Checks()
    with vm.Machines() as machines:
        boot = vm.guest(machines.folder)
        args = machine_args(machines.folder, boot)
        current, version, moves = try_chain(machines, args)
        for name, why in moves:
            checks.check(name, not why, why)
        if checks.bad:
            checks.end()
        for name, function, more in (
                ("a dead peer", dead_peer, ()),
                ("a full disk", full_disk, ()),
                ("pack killed", killed, (version, args, "pack")),
                ("unpack killed", killed, (version, args, "unpack")),
                ("a bit flipped on the way", flipped, (version, args)),
                ("a destination that refuses", wrong_machine, (version, boot))):
            checks.run(name + ": the source goes on", function, machines, current, *more)
    checks.end()


if __name__ == "__main__":
    main()
