#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Every migration capability that QEMU has, alone and in the pairs that people use: whatever
# stream QEMU makes of it, pack takes it and unpack gives it back to the byte. A capability that
# needs what this machine lacks is refused by QEMU itself; those are named, and are not counted.
# usage: capabilities.py TCE-STREAM [VERSION...]
import os
import socket
import struct
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
import vm

TOOL = sys.argv[1]
VERSIONS = sys.argv[2:] or ["10", "7.2"]

# A QEMU that takes fewer than these has not been asked rightly.
MUST_BE_TAKEN = {"background-snapshot", "dirty-bitmaps", "multifd", "pause-before-switchover",
                 "postcopy-preempt", "postcopy-ram", "x-ignore-shared", "xbzrle"}
# The same, of those that know them.
NEWER = {"mapped-ram", "switchover-ack"}
PAIRS = (("multifd", "postcopy-ram"), ("multifd", "auto-converge"), ("postcopy-ram", "xbzrle"),
         ("events", "return-path"), ("mapped-ram", "multifd"), ("postcopy-ram", "return-path"))
# What QEMU takes only with another one.
NEEDS = {"postcopy-preempt": "postcopy-ram", "zero-copy-send": "multifd",
         "switchover-ack": "return-path"}
# The newest type that a QEMU has: some capabilities send another form there.
MACHINE = vm.MACHINE.replace("pseries-7.2", "pseries")
# What goes past as it is from some byte on, and pack says so.
UNTOUCHED = {"x-colo"}
MAGIC = b"QEVM"
# QEMU_VM_EOF and QEMU_VM_VMDESCRIPTION; the length follows.
DESCRIPTION = b"\x00\x06\x00\x00"
# What a destination says on the return path when it has all: MIG_RP_MSG_SHUT, no error.
SHUT = struct.pack(">HHI", 1, 4, 0)
# That it is ready for the switch, MIG_RP_MSG_SWITCHOVER_ACK, for a source that has waited so long
# for it. QEMU 11.1 waits only for devices that ask for that, and refuses the message else.
READY = struct.pack(">HH", 7, 0)
READY_SECONDS = 3


def is_whole(data):
    """Does it end with the description of the devices, the last thing that QEMU sends?"""
    if not data.endswith(b"}"):
        return False
    at = data.rfind(DESCRIPTION)
    return at >= 0 and len(data) - at - 6 == int.from_bytes(data[at + 2:at + 6], "big")


class Connections:
    """A destination that keeps what each connection of a migration sends. It says when it has all,
    for a source that wants to hear that before it ends."""

    def __init__(self, path, ready):
        self.ready = ready
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(32)
        self.sent = []
        self.threads = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            data = bytearray()
            self.sent.append(data)
            thread = threading.Thread(target=self.read, args=(connection, data), daemon=True)
            thread.start()
            self.threads.append(thread)

    def read(self, connection, data):
        ready = threading.Timer(READY_SECONDS, connection.sendall, [READY])
        if self.ready:
            ready.start()
        while True:
            try:
                more = connection.recv(1 << 20)
                data += more
                if is_whole(data):
                    ready.cancel()
                    connection.sendall(SHUT)
            except OSError:  # the source has gone, and needs no answer any more
                return
            if not more:
                return

    def main_channel(self):
        self.listener.close()
        for thread in self.threads:
            thread.join(60)
        for data in self.sent:
            if data.startswith(MAGIC):
                return bytes(data)
        raise RuntimeError("none of %d connections begins as a stream" % len(self.sent))


def take(source, capabilities):
    """Does QEMU take them?"""
    try:
        source.ask("migrate-set-capabilities", capabilities=[
            {"capability": c, "state": True} for c in capabilities])
    except RuntimeError as e:
        return str(e)
    return None


def stream(machines, source, name, capabilities, **parameters):
    """What QEMU sends, or why it refuses to."""
    path = os.path.join(machines.folder, name)
    connections = None
    if "mapped-ram" in capabilities:
        uri = "file:" + path
    else:
        connections = Connections(path, "switchover-ack" in capabilities)
        uri = "unix:" + path
    try:
        source.begin_migration(uri, **parameters)
        if "pause-before-switchover" in capabilities:
            source.wait_for("pause", lambda: source.ask(
                "query-migrate")["status"] == "pre-switchover", 60)
            source.ask("migrate-continue", state="pre-switchover")
        info = source.migration(60)
    except RuntimeError as e:
        return None, str(e)
    if info["status"] != "completed":
        return None, "%s: %s" % (info["status"], info.get("error-desc", ""))
    if connections:
        return connections.main_channel(), None
    with open(path, "rb") as f:
        return f.read(), None


def run(mode, data, *args):
    done = subprocess.run([TOOL, mode] + list(args), input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def round_trip(data, capabilities):
    """Why the stream does not come back, or None."""
    code, packed, said = run("pack", data)
    if code:
        return "pack exits with %d: %s" % (code, said)
    if ("not packed from" in said) != bool(UNTOUCHED & set(capabilities)):
        return "pack says: %s" % said
    code, back, said = run("unpack", packed)
    if code:
        return "unpack exits with %d: %s" % (code, said)
    if back != data:
        return "unpack gives other bytes"
    if len(packed) > len(data) * 1.01 + 64:
        return "%d bytes became %d" % (len(data), len(packed))
    return None


def start(machines, version, name):
    source = machines.start(version, name, vm.pseries(megabytes=256, machine=MACHINE))
    source.wait_for("firmware", lambda: "Open Firmware" in source.console())
    return source


def main():
    checks = vm.Checks()
    for version in VERSIONS:
        with vm.Machines() as machines:
            first = start(machines, version, "ask")
            known = [c["capability"] for c in first.ask("query-migrate-capabilities")]
            first.end()
            taken = set()
            alone = [(c, NEEDS[c]) if c in NEEDS else (c,) for c in known]
            for number, wanted in enumerate(alone + [p for p in PAIRS if set(p) <= set(known)]):
                source = start(machines, version, "c%d" % number)
                why = take(source, wanted)
                if not why:
                    data, why = stream(machines, source, "s%d" % number, wanted)
                source.end()
                name = "%s of QEMU %s" % (" and ".join(wanted), version)
                if why:
                    print("# refused by QEMU: %s: %s" % (name, " ".join(why.split())[:200]))
                    continue
                taken |= set(wanted)
                why = round_trip(data, wanted)
                checks.check(name, not why, why)
            lacking = sorted((MUST_BE_TAKEN | NEWER & set(known)) - taken)
            checks.check("what must be taken is, by QEMU " + version, not lacking,
                         "not taken: %s" % ", ".join(lacking))
    checks.end()


if __name__ == "__main__":
    main()
