#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Live migrations between unmodified QEMUs through the proxies: a Linux guest that writes its disks
# and reads them back goes over, by one connection and by several; then a destination that fails is
# a failed migration for the source, which goes on.
# usage: proxy.py TCE-STREAM
import os
import subprocess
import sys

sys.dont_write_bytecode = True
import vm

TOOL = os.path.abspath(sys.argv[1])
DISKS = 2
MOVES_MAX = 3
CAPABILITIES = ("return-path", "multifd")


def machine_args(folder, boot):
    return vm.pseries(boot, vm.vscsi_disk(folder, "scsi"), vm.virtio_disk(folder, "narrow"),
                      machine=vm.LIVE_MACHINE)


class Proxies:
    """The two ends of one migration, and the QEMU that waits behind them."""

    def __init__(self, machines, name, args, *capabilities):
        self.base = os.path.join(machines.folder, name)
        self.log = self.base + ".proxies"
        self.target = machines.start("10", name, args, incoming="defer")
        set_capabilities(self.target, *capabilities)
        self.target.ask("migrate-incoming", uri="unix:%s.target" % self.base)
        self.children = []
        self.start("unpack", "middle", "target")
        self.start("pack", "source", "middle", "--stats")

    def start(self, what, listen, connect, *options):
        with open(self.log, "ab") as log:
            child = subprocess.Popen([TOOL, what, "--listen", "unix:%s.%s" % (self.base, listen),
                                      "--connect", "unix:%s.%s" % (self.base, connect), *options],
                                     stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.children.append(child)
        self.target.wait_for("proxy", lambda: os.path.exists("%s.%s" % (self.base, listen)), 30)

    def uri(self):
        return "unix:%s.source" % self.base

    def end(self):
        """Exit codes of unpack and pack."""
        return [child.wait(60) for child in self.children]

    def said(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read()


def set_capabilities(machine, *on):
    machine.ask("migrate-set-capabilities", capabilities=[
        {"capability": name, "state": name in on} for name in CAPABILITIES])


def move(machines, source, name, args, *capabilities):
    """A migration that must succeed. Returns the destination and why it did not."""
    proxies = Proxies(machines, name, args, *capabilities)
    set_capabilities(source, *capabilities)
    source.begin_migration(proxies.uri())
    info = source.migration()
    if info["status"] != "completed":
        return proxies.target, "%s\n%s" % (info, proxies.said())
    proxies.target.wait_for("running guest", lambda: proxies.target.status() == "running")
    source.end()
    codes = proxies.end()
    said = proxies.said()
    for line in said.splitlines():
        print("# " + line)
    if codes != [0, 0]:
        return proxies.target, "the proxies exit with %s\n%s" % (codes, said)
    proxies.target.bring_lost_interrupts("narrow")
    proxies.target.wait_for_rounds(3, DISKS, 180)
    if proxies.target.guest_errors():
        return proxies.target, "\n".join(proxies.target.guest_errors()[:5])
    return proxies.target, None


def try_move(machines, args, source, *capabilities):
    """The same, from a new guest if there is none. Under TCG a guest that was migrated may hang,
    without proxies, too: then a new one makes the same way."""
    for number in range(MOVES_MAX):
        name = "%s%d" % ("-".join(capabilities), number)
        if not source:
            source = machines.start("10", "from-" + name, args)
            source.wait_for_rounds(2, DISKS, 300)
        try:
            return move(machines, source, name, args, *capabilities)
        except RuntimeError as e:
            print("# " + " ".join(str(e).split()), flush=True)
            machines.end_all()
            source = None
    return None, "none of %d guests comes through" % MOVES_MAX


def goes_on(source):
    source.wait_for("running source", lambda: source.status() == "running", 30)
    source.wait_for_rounds(3, DISKS, 400)
    return "\n".join(source.guest_errors()[:5]) or None


def refused(machines, source, boot):
    """The destination has other devices; its QEMU refuses the stream after the RAM."""
    proxies = Proxies(machines, "wrong", vm.pseries(boot, machine=vm.LIVE_MACHINE), "return-path")
    set_capabilities(source, "return-path")
    source.begin_migration(proxies.uri())
    info = source.migration()
    if info["status"] != "failed":
        return "QEMU says: %s\n%s" % (info, proxies.said())
    if proxies.target.process.wait(60) == 0:
        return "the destination ended as if all were well"
    proxies.end()
    return goes_on(source)


def killed(machines, source, args, which):
    """The destination, or a proxy, is killed in the middle."""
    proxies = Proxies(machines, "killed%s" % which, args, "return-path")
    set_capabilities(source, "return-path")
    source.ask("migrate-set-parameters", **{"max-bandwidth": 4 << 20})
    source.ask("migrate", uri=proxies.uri())
    source.wait_for("RAM on its way", lambda: source.ask("query-migrate").get("ram", {}).get(
        "transferred", 0) > 1 << 20, 60)
    (proxies.target.process if which is None else proxies.children[which]).kill()
    info = source.migration()
    if info["status"] != "failed":
        return "QEMU says: %s" % info
    proxies.end()
    return goes_on(source)


def main():
    checks = vm.Checks()
    with vm.Machines() as machines:
        boot = vm.guest(machines.folder)
        args = machine_args(machines.folder, boot)
        current = None
        for label, capabilities in (("one connection", ("return-path",)),
                                    ("multifd", ("return-path", "multifd"))):
            current, why = try_move(machines, args, current, *capabilities)
            checks.check("a guest goes over with I/O, by " + label, not why, why)
            if why:
                checks.end()
        for name, function, more in (
                ("a destination that refuses", refused, (boot,)),
                ("a destination that is killed", killed, (args, None)),
                ("unpack is killed", killed, (args, 0)),
                ("pack is killed", killed, (args, 1))):
            checks.run(name + ": the source says failed, and goes on", function, machines, current,
                       *more)
    checks.end()


if __name__ == "__main__":
    main()
