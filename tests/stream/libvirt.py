#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# If this fails, tce-dump cannot read what libvirt saves: a real libvirt saves a guest whose
# tables are in use, with each compression that it knows, dumps it, and gets it back; or our own
# "lzop" does not have it write packed streams. libvirt's driver runs inside virsh
# ("embed"), as nobody: no daemon, nothing of the machine's own libvirt.
# usage: libvirt.py TCE-DUMP TCE-STREAM [newest: this libvirt has to know every compression]
import os
import re
import shutil
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
import vm

DUMP, STREAM = (os.path.abspath(name) for name in sys.argv[1:3])
NOBODY = 65534
AS_NOBODY = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups"]
DISKS = 2
# As a save file's header has them. An older libvirt does not know the last ones.
PACKINGS = {"gzip": 1, "bzip2": 2, "xz": 3, "lzop": 4, "zstd": 5, "sparse": 6}
NEW_PACKINGS = ("zstd", "sparse")
UNKNOWN = "Invalid save image format"
KNOWS_ALL = sys.argv[3:] == ["newest"]
PACKED_MAGIC = b"\x89TCS\1\0\0\0"
# What "virsh dump --memory-only" writes. Some need a QEMU that was built with more libraries.
MEMORY_FORMATS = ("elf", "kdump-zlib", "kdump-lzo", "kdump-snappy", "kdump-raw-zlib")
NO_DEVICES = "a dump of memory alone"

# XICS does not come through a migration of QEMU 10.0, see vm.py.
DOMAIN = """<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>tce</name>
  <memory unit='MiB'>512</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='ppc64le' machine='pseries-7.2'>hvm</type>
    <kernel>%(folder)s/vmlinux</kernel>
    <initrd>%(folder)s/initramfs</initrd>
    <cmdline>console=hvc0 quiet</cmdline>
  </os>
  <features>
    <cfpc value='broken'/><sbbc value='broken'/><ibs value='broken'/><ccf-assist state='off'/>
  </features>
  <cpu mode='custom'><model>POWER9</model></cpu>
  <devices>
    <controller type='scsi' model='ibmvscsi'/>
    <controller type='usb' model='none'/>
    <disk type='file'>
      <driver name='qemu' type='raw'/>
      <source file='%(folder)s/scsi.img'/><target dev='sda' bus='scsi'/>
    </disk>
    <disk type='file' model='virtio-non-transitional'>
      <driver name='qemu' type='raw' iommu='on'/>
      <source file='%(folder)s/virtio.img'/><target dev='vda' bus='virtio'/>
    </disk>
    <console type='file'><source path='%(folder)s/console' append='on'/></console>
    <memballoon model='none'/>
  </devices>
  <qemu:commandline>
    <qemu:arg value='-machine'/><qemu:arg value='ic-mode=xive'/>
  </qemu:commandline>
</domain>
"""


class Libvirt(vm.Guest):
    """virsh with the driver in it."""

    def __init__(self, machines, packing, path=()):
        self.folder = machines.folder
        super().__init__("libvirt", self.path("console"), self.path("virsh.log"))
        os.makedirs(self.path("libvirt/etc"), exist_ok=True)
        with open(self.path("libvirt/etc/qemu.conf"), "w") as f:
            f.write('stdio_handler = "file"\nsave_image_format = "%s"\n' % packing)
            if packing != "sparse":
                f.write('dump_image_format = "%s"\n' % packing)
        subprocess.run(["chown", "-R", str(NOBODY), self.folder], check=True)
        self.virsh = subprocess.Popen(
            [*AS_NOBODY, "virsh", "-c", "qemu:///embed?root=" + self.path("libvirt")],
            cwd=self.folder, text=True,
            env={**os.environ, "HOME": self.folder,
                 "PATH": ":".join([*path, os.environ["PATH"]])},
            stdin=subprocess.PIPE,
            stdout=open(self.log_path, "a"), stderr=subprocess.STDOUT)
        machines.vms.append(self)

    def path(self, name):
        return os.path.join(self.folder, name)

    def tell(self, command):
        self.virsh.stdin.write(command + "\n")
        self.virsh.stdin.flush()

    def finish(self, command):
        """The last command; virsh ends after it."""
        self.tell(command)
        self.virsh.stdin.close()
        self.virsh.wait(180)

    def end(self):
        """Whatever has happened, nothing of it is left."""
        self.virsh.kill()
        self.virsh.wait()
        try:
            with open(self.path("libvirt/run/qemu/tce.pid")) as f:
                os.kill(int(f.read()), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass


def dump(*args):
    run = subprocess.run([DUMP, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return run.returncode, run.stdout


def save_plain(machines, saved):
    libvirt = Libvirt(machines, "raw")
    libvirt.tell("define %s" % libvirt.path("domain.xml"))
    libvirt.tell("start tce")
    libvirt.wait_for_rounds(2, DISKS, 300)
    libvirt.finish("save tce " + saved)
    code, text = dump("--verify", saved)
    if code or ": whole: " not in text or ", 0 entries used" in text:
        return "%s\n%s" % (text, libvirt.log())
    print("# " + text.strip())
    return None


def differs(plain, saved):
    code, text = dump("--diff", plain, saved)
    return None if not code and "no difference in " in text else text


def payload(saved):
    """Compression and the first bytes behind libvirt's header and XML."""
    with open(saved, "rb") as f:
        head = f.read(92)
        if head[:12] != b"LibvirtQemud":
            return None, b""
        f.seek(92 + int.from_bytes(head[20:24], sys.byteorder))
        return int.from_bytes(head[28:32], sys.byteorder), f.read(8)


class Unknown(Exception):
    """This libvirt does not know a compression."""


def save_compressed(machines, plain, saved, packing, path=()):
    """The guest stands still from one file to the other."""
    libvirt = Libvirt(machines, packing, path)
    libvirt.tell("restore %s --paused" % plain)
    before = len(libvirt.log())
    libvirt.tell("save tce " + saved)
    # of one that could not be saved, nothing is left to be in the way of the next
    libvirt.finish("destroy tce")
    if packing in NEW_PACKINGS and UNKNOWN in libvirt.log()[before:]:
        raise Unknown(packing)
    compression, _ = payload(saved)
    if compression != PACKINGS[packing]:
        return "not a save file compressed with %s\n%s" % (packing, libvirt.log())
    return differs(plain, saved)


def dump_compressed(machines, plain, dumped, packing):
    """What virsh dump writes: the stream alone."""
    libvirt = Libvirt(machines, packing)
    libvirt.tell("restore %s --paused" % plain)
    libvirt.tell("dump tce " + dumped)
    libvirt.finish("destroy tce")
    with open(dumped, "rb") as f:
        if packing != "raw" and f.read(4) == b"QEVM":
            return "not compressed\n" + libvirt.log()
    return differs(plain, dumped)


def dump_memory(machines, plain, folder):
    """A guest's memory without its devices, in each format: tce-dump says what that is."""
    libvirt = Libvirt(machines, "raw")
    libvirt.tell("restore %s --paused" % plain)
    path = {name: os.path.join(folder, "memory." + name) for name in MEMORY_FORMATS}
    for name in MEMORY_FORMATS:
        libvirt.tell("dump tce %s --memory-only --format %s" % (path[name], name))
    libvirt.finish("destroy tce")
    seen = [name for name in MEMORY_FORMATS if os.path.exists(path[name])]
    print("# formats of memory: " + " ".join(seen), flush=True)
    if not {"elf", "kdump-zlib"} <= set(seen):
        return "not dumped\n" + libvirt.log()
    for name in seen:
        code, text = dump(path[name])
        if code != 1 or NO_DEVICES not in text:
            return "%s: %d: %s" % (name, code, text)
    return None


def packers(folder):
    """A PATH in which lzop packs, all of it readable for nobody."""
    own = os.path.join(folder, "packers")
    for part in ("tools", "libtce"):
        os.makedirs(os.path.join(own, part))
    shutil.copy(os.path.join(vm.TOP, "tools/libvirt/lzop"), own)
    shutil.copy(STREAM, os.path.join(own, "tools"))
    library = os.path.join(os.path.dirname(STREAM), "../libtce")
    for name in os.listdir(library):
        if re.fullmatch(r"libtce\.so\.\d+", name):
            shutil.copy(os.path.join(library, name), os.path.join(own, "libtce"))
    return [own, os.path.join(own, "tools")]


def save_packed(machines, plain, saved, path):
    why = save_compressed(machines, plain, saved, "lzop", path)
    if not why and payload(saved)[1] != PACKED_MAGIC:
        why = "it is not packed"
    return why


def goes_on(machines, saved, path):
    libvirt = Libvirt(machines, "raw", path)
    libvirt.tell("restore %s --running" % saved)
    libvirt.wait_for_rounds(3, DISKS, 300)
    libvirt.finish("destroy tce")
    return "\n".join(libvirt.guest_errors()[:5])


def make_domain(folder):
    """A guest, its disks, and domain.xml."""
    vm.guest(folder)
    for name in ("scsi", "virtio"):
        vm.disk(folder, name)
    with open(os.path.join(folder, "domain.xml"), "w") as f:
        f.write(DOMAIN % {"folder": folder})


def main():
    checks = vm.Checks()
    with vm.Machines() as machines:
        folder = machines.folder
        make_domain(folder)
        plain = os.path.join(folder, "saved.raw")
        known = []
        checks.run("the tables of a guest that libvirt saved", save_plain, machines, plain)
        for packing in PACKINGS:
            try:
                why = save_compressed(machines, plain, os.path.join(folder, "saved." + packing),
                                      packing)
            except Unknown:
                if not KNOWS_ALL:
                    print("# this libvirt does not know %s" % packing, flush=True)
                    continue
                why = "this libvirt does not know it"
            known.append(packing)
            checks.check("the same saved with %s" % packing, not why, why)
        for packing in ["raw"] + [p for p in known if p != "sparse"]:
            checks.run("the same dumped with %s" % packing, dump_compressed, machines, plain,
                       os.path.join(folder, "dumped." + packing), packing)
        checks.run("a dump of memory alone is named", dump_memory, machines, plain, folder)
        path = packers(folder)
        packed = os.path.join(folder, "saved.packed")
        checks.run("the same saved as a packed stream", save_packed, machines, plain, packed, path)
        checks.run("which is restored, and the guest goes on", goes_on, machines, packed, path)
    checks.end()


if __name__ == "__main__":
    main()
