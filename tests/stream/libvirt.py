#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# If this fails, tce-dump cannot read what libvirt saves: a real libvirt saves a guest whose
# tables are in use, plain and packed, and gets it back. libvirt's driver runs inside virsh
# ("embed"), as nobody: no daemon, nothing of the machine's own libvirt.
# usage: libvirt.py TCE-DUMP
import os
import shutil
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
import vm

DUMP = os.path.abspath(sys.argv[1])
NOBODY = 65534
DISKS = 2
# as a save file's header has them
PACKINGS = {"gzip": 1, "xz": 3}

DOMAIN = """<domain type='qemu'>
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
</domain>
"""


class Libvirt:
    """virsh with the driver in it. Its QEMU has the console of a VM of the stream tests."""

    wait_for = vm.Vm.wait_for
    rounds = vm.Vm.rounds
    wait_for_rounds = vm.Vm.wait_for_rounds
    guest_errors = vm.Vm.guest_errors

    def __init__(self, machines, packing):
        self.name = "libvirt"
        self.folder = machines.folder
        self.ends = float("inf")
        os.makedirs(self.path("libvirt/etc"), exist_ok=True)
        with open(self.path("libvirt/etc/qemu.conf"), "w") as f:
            f.write('stdio_handler = "file"\nsave_image_format = "%s"\n' % packing)
        subprocess.run(["chown", "-R", str(NOBODY), self.folder], check=True)
        self.virsh = subprocess.Popen(
            ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups",
             "virsh", "-c", "qemu:///embed?root=" + self.path("libvirt")],
            cwd=self.folder, env={**os.environ, "HOME": self.folder}, text=True,
            stdin=subprocess.PIPE,
            stdout=open(self.path("virsh.log"), "a"), stderr=subprocess.STDOUT)
        machines.vms.append(self)

    def path(self, name):
        return os.path.join(self.folder, name)

    def console(self):
        try:
            with open(self.path("console"), errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def log(self):
        with open(self.path("virsh.log")) as f:
            return f.read()

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


def save_packed(machines, plain, saved, packing):
    """The guest stands still from one file to the other."""
    libvirt = Libvirt(machines, packing)
    libvirt.tell("restore %s --paused" % plain)
    libvirt.finish("save tce " + saved)
    with open(saved, "rb") as f:
        head = f.read(32)
    compression = int.from_bytes(head[28:], sys.byteorder)
    if head[:12] != b"LibvirtQemud" or compression != PACKINGS[packing]:
        return "not a save file packed with %s\n%s" % (packing, libvirt.log())
    code, text = dump("--diff", plain, saved)
    return None if not code and "no difference in " in text else text


def refused(machines, plain, saved):
    why = save_packed(machines, plain, saved, "xz")
    if why and "compression (3) is neither gzip nor zstd" in why:
        return None
    return "it says: %s" % why


def goes_on(machines, saved):
    libvirt = Libvirt(machines, "raw")
    libvirt.tell("restore %s --running" % saved)
    libvirt.wait_for_rounds(3, DISKS, 300)
    libvirt.finish("destroy tce")
    return "\n".join(libvirt.guest_errors()[:5])


def main():
    checks = vm.Checks()
    with vm.Machines() as machines:
        folder = machines.folder
        boot = vm.guest(folder)
        shutil.copyfile(boot[boot.index("-kernel") + 1], os.path.join(folder, "vmlinux"))
        for name in ("scsi", "virtio"):
            vm.disk(folder, name)
        with open(os.path.join(folder, "domain.xml"), "w") as f:
            f.write(DOMAIN % {"folder": folder})
        plain, gzip, xz = (os.path.join(folder, "saved." + n) for n in ("raw", "gzip", "xz"))
        checks.run("the tables of a guest that libvirt saved", save_plain, machines, plain)
        checks.run("the same packed with gzip", save_packed, machines, plain, gzip, "gzip")
        checks.run("one packed with xz is refused by name", refused, machines, gzip, xz)
        checks.run("the guest goes on", goes_on, machines, gzip)
    checks.end()


if __name__ == "__main__":
    main()
