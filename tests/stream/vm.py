# SPDX-License-Identifier: GPL-2.0-or-later
# What the stream tests share: QEMUs of both versions driven through QMP, the Linux
# guest that they run, its disks.
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
# A machine type that both versions have; what TCG cannot do is switched off.
MACHINE = "pseries-7.2,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off"
# QEMU 10.0.2 leaves the state of XICS' presenters ("icp/server") out of its streams, and a guest
# that uses them gets no interrupt after any migration. XIVE's is there.
LIVE_MACHINE = MACHINE + ",ic-mode=xive"
GUEST_MEGABYTES = 512
DISK_BYTES = 16 << 20
# No QEMU of these tests lives longer, whatever happens to the test.
QEMU_SECONDS = 900


def printed_by(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def folder_of(version):
    return printed_by(os.path.join(HERE, "qemu-of"), version)


def qemu(version):
    """The program of QEMU "10" (the machine's), "7.2" (Debian 12's) or "newest" (testing's)."""
    if version == "10":
        return "qemu-system-ppc64"
    return os.path.join(folder_of(version), "qemu-system-ppc64")


def newc(entries):
    """An initramfs: entries are (name, mode, contents, device major, minor)."""
    out = b""
    for number, (name, mode, data, major, minor) in enumerate(
            entries + [("TRAILER!!!", 0, b"", 0, 0)], 1):
        path = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(path), 0)
        out += b"070701" + b"".join(b"%08X" % f for f in fields) + path
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return out


def make_guest(folder):
    """The guest's kernel and its only program, put into the folder."""
    subprocess.run(["powerpc64le-linux-gnu-gcc", "-D_GNU_SOURCE", "-O2", "-Wall", "-Werror",
                    "-static", "-o", os.path.join(folder, "init"),
                    os.path.join(HERE, "guest-init.c")], check=True)
    shutil.copy(printed_by(os.path.join(TOP, "tests/lab/kernel"), "stock") + "/vmlinux", folder)


def guest(folder):
    """Arguments that boot the guest, which is put into the folder. $TCE_GUEST may have what
    make_guest() made elsewhere, for a machine that cannot make it."""
    made = os.environ.get("TCE_GUEST")
    if made:
        for name in ("init", "vmlinux"):
            shutil.copy(os.path.join(made, name), folder)
    else:
        make_guest(folder)
    with open(os.path.join(folder, "init"), "rb") as f:
        program = f.read()
    initramfs = os.path.join(folder, "initramfs")
    with open(initramfs, "wb") as f:
        f.write(newc([("dev", 0o40755, b"", 0, 0), ("dev/console", 0o20600, b"", 5, 1),
                      ("init", 0o100755, program, 0, 0)]))
    return ["-kernel", os.path.join(folder, "vmlinux"), "-initrd", initramfs, "-append",
            "console=hvc0 quiet"]


def disk(folder, name):
    path = os.path.join(folder, name + ".img")
    with open(path, "wb") as f:
        f.truncate(DISK_BYTES)
    return ["-drive", "if=none,id=%s,format=raw,file=%s" % (name, path)]


def virtio_disk(folder, name, bus="pci.0"):
    return disk(folder, name) + [
        "-device", "virtio-blk-pci,drive=%s,bus=%s,iommu_platform=on,disable-legacy=on"
        % (name, bus)]


def vscsi_disk(folder, name):
    return disk(folder, name) + ["-device", "spapr-vscsi,id=vscsi-" + name, "-device",
                                 "scsi-hd,drive=%s,bus=vscsi-%s.0" % (name, name)]


class Late(RuntimeError):
    """What was waited for has not come in time."""


def read(path):
    """A file's text, as far as it has been written."""
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


class Guest:
    """The guest of the stream tests, whoever has started it, by what it prints."""

    def __init__(self, name, console_path, log_path, ends=float("inf")):
        self.name = name
        self.console_path = console_path
        self.log_path = log_path
        self.ends = ends

    def log(self):
        return read(self.log_path)

    def console(self):
        return read(self.console_path)

    def wait_for(self, what, holds, seconds=120):
        until = min(time.monotonic() + seconds, self.ends)
        while not holds():
            if time.monotonic() > until:
                raise Late("%s: no %s in time\n%s\n%s" % (
                    self.name, what, self.console()[-500:], self.log()[-500:]))
            time.sleep(0.1)

    def rounds(self):
        """How often each disk has been verified."""
        seen = {}
        for line in self.console().splitlines():
            if line.startswith("guest: ") and " verified round " in line:
                seen[line.split()[1]] = seen.get(line.split()[1], 0) + 1
        return seen

    def wait_for_rounds(self, more, disks, seconds=180):
        """Until each of so many disks has been verified so many times more."""
        before = self.rounds()
        self.wait_for("I/O of %d disks" % disks, lambda: len(self.rounds()) >= disks and all(
            n >= before.get(d, 0) + more for d, n in self.rounds().items()), seconds)

    def guest_errors(self):
        return [line for line in self.console().splitlines()
                if "ERROR" in line or "MISMATCH" in line]


class Vm(Guest):
    """A QEMU. Its console is a file, so that nothing that it prints can hold it up."""

    def __init__(self, program, folder, name, args):
        super().__init__(name, os.path.join(folder, name + ".console"),
                         os.path.join(folder, name + ".log"), time.monotonic() + QEMU_SECONDS)
        path = os.path.join(folder, name + ".qmp")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [program, "-nodefaults", "-display", "none",
                 "-chardev", "file,id=console,path=" + self.console_path,
                 "-qmp", "unix:%s,server=on,wait=off" % path] + args,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.qmp = socket.socket(socket.AF_UNIX)
        self.qmp.settimeout(60)
        while True:
            try:
                self.qmp.connect(path)
                break
            except OSError:
                if self.process.poll() is not None:
                    raise RuntimeError("%s: %s" % (name, self.log()))
                time.sleep(0.05)
        self.lines = self.qmp.makefile("rw")
        self.lines.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.lines.flush()
        while True:
            line = self.lines.readline()
            if not line:
                raise RuntimeError("%s has ended: %s" % (self.name, self.log()))
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise RuntimeError("%s: %s: %s" % (self.name, command, answer["error"]["desc"]))

    def begin_migration(self, uri, **parameters):
        # no limit of bandwidth: 128 MiB/s would be the measured thing otherwise
        self.ask("migrate-set-parameters", **{"max-bandwidth": 1 << 40, **parameters})
        self.ask("migrate", uri=uri)

    def migration(self, seconds=180):
        """Wait until it has ended; returns what QEMU says of it."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            info = self.ask("query-migrate")
            if info.get("status") in ("completed", "failed", "cancelled"):
                return info
            time.sleep(0.05)
        raise RuntimeError("%s: the migration does not end: %s" % (self.name, info))

    def status(self):
        return self.ask("query-status")["status"]

    def bring_lost_interrupts(self, disk):
        """Under TCG an interrupt that is pending while a guest moves is lost, and with it all later
        ones of its disk. A disk that says that its size has changed makes one more, and that one
        brings the others."""
        self.ask("block_resize", device=disk, size=DISK_BYTES)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.qmp.close()


class Machines:
    """QEMUs and files of one test; nothing of them is left."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="tce-stream-")
        self.vms = []

    def __enter__(self):
        # A test that is told to end has its with statement end, too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        return self

    def __exit__(self, *why):
        self.end_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    def end_all(self):
        """Also before another guest gets their disks: a QEMU holds locks on its."""
        for vm in self.vms:
            vm.end()
        self.vms.clear()

    def start(self, version, name, args, incoming=None):
        if incoming:
            args = args + ["-incoming", incoming]
        vm = Vm(qemu(version), self.folder, name, args)
        self.vms.append(vm)
        return vm


def pseries(*extra, megabytes=GUEST_MEGABYTES, machine=MACHINE):
    args = ["-M", machine, "-cpu", "POWER9", "-m", str(megabytes),
            "-device", "spapr-vty,chardev=console"]
    for e in extra:
        args += e if isinstance(e, list) else [e]
    return args


class Checks:
    """One line for each check, as TAP; the exit code says whether all were right."""

    def __init__(self):
        self.count = self.bad = 0

    def check(self, name, right, why=""):
        self.count += 1
        if right:
            print("ok %d - %s" % (self.count, name), flush=True)
        else:
            self.bad += 1
            print("not ok %d - %s" % (self.count, name), flush=True)
            for line in str(why).splitlines():
                print("# " + line, flush=True)

    def run(self, name, function, *args):
        """A function is a check: it returns why it failed, or nothing."""
        try:
            why = function(*args)
        except Exception as e:  # whatever it is, it is this check that failed
            why = "%s: %s" % (type(e).__name__, e)
        self.check(name, not why, why)

    def end(self):
        print("1..%d" % self.count)
        sys.exit(1 if self.bad else 0)
