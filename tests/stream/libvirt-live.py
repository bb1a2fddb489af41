#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# If this fails, a live migration of libvirt's can't go through the proxies: two libvirtd, each with
# a host UUID of its own, move a guest whose tables are in use, by "virsh migrate --live" and a
# UNIX socket. A proxy that is killed on the way is a failed migration, and the guest goes on
# where it was. Both daemons are nobody's, and nothing of the machine's own libvirt is used.
# usage: libvirt-live.py TCE-DUMP TCE-STREAM
import os
import re
import subprocess
import sys
import uuid

sys.dont_write_bytecode = True
import libvirt
import vm

# One path for both sides of a migration, as libvirt has it. Each daemon sees a folder of its own
# there.
SOCKETS = "sockets"
GUESTS_MAX = 3
# A table in what pack says at its end; RAM that virsh says has gone over.
PACKED = re.compile(r"^tables +[1-9]", re.M)
RAM = re.compile(r"^Memory processed: +[1-9]", re.M)


class Host(vm.Guest):
    """A libvirtd, and its guest's console."""

    def __init__(self, machines, name):
        self.folder = os.path.join(machines.folder, name)
        super().__init__(name, os.path.join(machines.folder, "console"), self.path("log"))
        for part in ("config/libvirt", "run", "cache", SOCKETS):
            os.makedirs(os.path.join(self.folder, part))
        with open(self.path("config/libvirt/qemu.conf"), "w") as f:
            f.write('stdio_handler = "file"\n')
        with open(self.path("config/libvirt/libvirtd.conf"), "w") as f:
            f.write('host_uuid = "%s"\n' % uuid.uuid4())
        subprocess.run(["chown", "-R", str(libvirt.NOBODY), self.folder], check=True)
        self.daemon = subprocess.Popen(
            ["unshare", "--mount", "sh", "-e", "-c", 'mount --bind "$1" "$2"; shift 2; exec "$@"',
             "sh", self.path(SOCKETS), os.path.join(machines.folder, SOCKETS), *libvirt.AS_NOBODY,
             "libvirtd", "--timeout", "900"],
            env={**os.environ, "HOME": self.folder, "XDG_CONFIG_HOME": self.path("config"),
                 "XDG_RUNTIME_DIR": self.path("run"), "XDG_CACHE_HOME": self.path("cache")},
            stdin=subprocess.DEVNULL, stdout=open(self.log_path, "w"),
            stderr=subprocess.STDOUT)
        machines.vms.append(self)
        self.socket = self.path("run/libvirt/libvirt-sock")
        self.wait_for("libvirtd", lambda: os.path.exists(self.socket), 60)
        self.uri = "qemu+unix:///session?socket=" + self.socket

    def path(self, name):
        return os.path.join(self.folder, name)

    def command(self, *command):
        return [*libvirt.AS_NOBODY, "env", "HOME=" + self.folder, "virsh", "-c", self.uri, *command]

    def virsh(self, *command, seconds=300):
        """Its exit code and what it says."""
        done = subprocess.run(self.command(*command), timeout=seconds, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout.strip()

    def must(self, *command):
        code, said = self.virsh(*command)
        if code:
            raise RuntimeError("virsh %s: %s\n%s" % (" ".join(command), said, self.log()))
        return said

    def goes_on(self):
        """Does the guest's I/O go on? Under TCG interrupts are lost when it moves: see vm.py."""
        for disk in ("sda", "vda"):
            self.must("blockresize", "tce", disk, "%dB" % vm.DISK_BYTES)
        self.wait_for_rounds(3, libvirt.DISKS, 180)
        return "\n".join(self.guest_errors()[:5])

    def has_guest(self):
        return "tce" in self.must("list", "--name").split()

    def end(self):
        """Whatever has happened, nothing of it is left."""
        if self.daemon.poll() is None:
            try:
                self.virsh("destroy", "tce", seconds=30)
            except subprocess.TimeoutExpired:
                pass
        self.daemon.kill()
        self.daemon.wait()


class Proxies:
    """The two ends of one migration."""

    def __init__(self, source, target):
        self.log_path = source.path("proxies")
        self.ends = [(source.path(SOCKETS + "/migration"), "pack", "--stats"),
                     (source.path("middle"), "unpack")]
        connect = {"pack": source.path("middle"), "unpack": target.path(SOCKETS + "/migration")}
        self.children = []
        for listen, what, *options in reversed(self.ends):
            for path in (listen, connect["unpack"]):
                if os.path.exists(path):
                    os.unlink(path)
            with open(self.log_path, "ab") as log:
                self.children.append(subprocess.Popen(
                    [*libvirt.AS_NOBODY, libvirt.STREAM, what, "--listen", "unix:" + listen,
                     "--connect", "unix:" + connect[what], *options],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log))
            source.wait_for("proxy", lambda path=listen: os.path.exists(path), 30)

    def end(self):
        return [child.wait(60) for child in self.children]

    def said(self):
        return vm.read(self.log_path)


def migrate(machines, source, target, *options):
    """virsh, on its way."""
    # Both daemons have the same disks, and no host's cache is between them.
    return subprocess.Popen(
        source.command("migrate", "--live", "--unsafe", "--migrateuri", "unix://%s/%s/migration"
                       % (machines.folder, SOCKETS), *options, "tce", target.uri),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def moves(machines, source, target, *options):
    """A migration that must succeed. Returns why it did not."""
    proxies = Proxies(source, target)
    virsh = migrate(machines, source, target, *options)
    answer = virsh.communicate(timeout=300)[0]
    if virsh.returncode:
        return "\n".join((answer, proxies.said(), source.log(), target.log()))
    codes = proxies.end()
    said = proxies.said()
    for line in said.splitlines():
        print("# " + line, flush=True)
    if codes != [0, 0]:
        return "the proxies exit with %s" % codes
    if not PACKED.search(said):
        return "no table was packed"
    if source.has_guest() or not target.has_guest():
        return "the guest is not where it should be"
    return target.goes_on()


def killed(machines, source, target, which):
    """A proxy is killed in the middle."""
    proxies = Proxies(source, target)
    source.must("migrate-setspeed", "tce", "4")
    virsh = migrate(machines, source, target)
    source.wait_for("RAM on its way", lambda: RAM.search(source.must("domjobinfo", "tce")), 60)
    proxies.children[which].kill()
    answer = virsh.communicate(timeout=120)[0]
    proxies.end()
    if not virsh.returncode:
        return "virsh says that it succeeded: " + answer
    source.must("migrate-setspeed", "tce", "100000")
    if target.has_guest() or not source.has_guest():
        return "the guest is not where it was: " + answer
    return source.goes_on()


def try_hosts(machines, number):
    """A guest, and both ways that a migration of it goes: what was seen of each."""
    source, target = (Host(machines, "%s%d" % (name, number)) for name in ("one", "two"))
    source.must("create", os.path.join(machines.folder, "domain.xml"))
    source.wait_for_rounds(2, libvirt.DISKS, 300)
    for which, name in enumerate(("unpack", "pack")):
        yield ("%s is killed: virsh says failed, and the guest goes on" % name,
               killed(machines, source, target, which))
    yield "a guest goes from libvirt to libvirt with I/O", moves(machines, source, target)
    yield "and back by several connections", moves(machines, target, source, "--parallel",
                                                   "--parallel-connections", "2")


def try_guests(machines):
    """A guest that QEMU 10.0 has migrated hangs now and then under TCG, without proxies, too: then
    a new one makes the same way."""
    for number in range(GUESTS_MAX):
        try:
            return list(try_hosts(machines, number))
        except vm.Late as e:
            print("# " + " ".join(str(e).split()), flush=True)
            machines.end_all()
    return [("one of %d guests comes through" % GUESTS_MAX, "all of them hang")]


def main():
    checks = vm.Checks()
    with vm.Machines() as machines:
        folder = machines.folder
        os.mkdir(os.path.join(folder, SOCKETS))
        libvirt.make_domain(folder)
        subprocess.run(["chown", "-R", str(libvirt.NOBODY), folder], check=True)
        for name, why in try_guests(machines):
            checks.check(name, not why, why)
    checks.end()


if __name__ == "__main__":
    main()
