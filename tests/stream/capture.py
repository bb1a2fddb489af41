#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Real streams of several QEMU versions: packed, they unpack to the same bytes; the tables found are
# those that QEMU's own description tells of; other machines' streams pass untouched.
# usage: capture.py TCE-STREAM [VERSION...]; the streams are kept in the folder $TCE_KEEP
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import vm

TOOL = sys.argv[1]
VERSIONS = sys.argv[2:] or ["10", "7.2"]
KEEP = os.environ.get("TCE_KEEP")


def described_tables(path):
    """(LIOBN, entries) of the stream's tables as its JSON description has them."""
    with open(path, "rb") as f:
        data = f.read()
    # the description is the only thing that reaches to the end
    for match in re.finditer(rb"\x00\x06(....)\{", data, re.S):
        if match.end() - 1 + int.from_bytes(match.group(1), "big") == len(data):
            break
    else:
        return None
    tables = []
    for device in json.loads(data[match.end() - 1:])["devices"]:
        if device["name"] == "spapr_iommu":
            entries = [f.get("array_len", 1) for f in device["fields"] if f["name"] == "mig_table"]
            tables.append((device["instance_id"], entries[0] if entries else 0))
    return tables


def pack(path, out, *args):
    with open(path, "rb") as i, open(out, "wb") as o:
        return subprocess.run([TOOL, "pack", "--stats"] + list(args), stdin=i, stdout=o,
                              stderr=subprocess.PIPE, text=True)


def differs(path, packed):
    """Why unpacking (plain, and through the parser) does not give the stream back."""
    with open(path, "rb") as f:
        want = hashlib.sha256(f.read()).digest()
    for args in ([], ["--stats"]):
        with open(packed, "rb") as i:
            done = subprocess.run([TOOL, "unpack"] + args, stdin=i, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        if done.returncode:
            return done.stderr.decode()
        if hashlib.sha256(done.stdout).digest() != want:
            return "unpack %s gives other bytes" % " ".join(args)
    return None


def stat(text, name, pattern):
    match = re.search(r"^%s +%s" % (name, pattern), text, re.M)
    return match and match.group(1)


def check_stream(path, tables_expected, kind="whole"):
    packed = path + ".packed"
    done = pack(path, packed)
    if done.returncode:
        return done.stderr
    why = differs(path, packed)
    if why:
        return why
    found = [(int(liobn, 16), int(entries)) for liobn, entries in re.findall(
        r"LIOBN (0x[0-9a-f]+): (\d+) entries", done.stderr)]
    described = described_tables(path)
    if described is None:
        return "no description in the stream"
    if found != described:
        return "found %s, described %s" % (found, described)
    if not tables_expected(found):
        return "not the tables of this machine: %s" % found
    if found and stat(done.stderr, "description", r"\d+ bytes, (.*)") != "agrees":
        return done.stderr
    if "untouched" in done.stderr:
        return done.stderr
    if not int(stat(done.stderr, "ram", {"whole": r".*: (\d+) pages",
                                         "xbzrle": r".* (\d+) xbzrle"}[kind])):
        return "no %s pages: %s" % (kind, done.stderr)
    os.remove(packed)
    return None


def check_untouched(path):
    """A stream that is not understood, for its pages have 8 KiB and it does not say so."""
    packed = path + ".packed"
    done = pack(path, packed)
    if done.returncode:
        return done.stderr
    return differs(path, packed) or (None if "untouched" in done.stderr else done.stderr)


def until_xbzrle(source):
    """Pages that are sent again come as differences: hold the end back until there were some."""
    source.wait_for("xbzrle pages", lambda: source.ask("query-migrate").get(
        "xbzrle-cache", {}).get("pages"))
    source.ask("migrate-set-parameters", **{"max-bandwidth": 1 << 40, "downtime-limit": 10000})


def stream(machines, version, name, args, prepare, capabilities=(), program=None):
    name = "%s-%s" % (re.sub(r"\W+", "-", name), version)
    path = os.path.join(machines.folder, name + ".qemu")
    source = vm.Vm(program or vm.qemu(version), machines.folder, name, args)
    machines.vms.append(source)
    prepare(source)
    if capabilities:
        source.ask("migrate-set-capabilities", capabilities=[
            {"capability": c, "state": True} for c in capabilities])
    if "xbzrle" in capabilities:
        source.begin_migration("exec:cat > " + path, **{"max-bandwidth": 32 << 20,
                                                        "downtime-limit": 1})
        until_xbzrle(source)
    else:
        source.begin_migration("exec:cat > " + path)
    info = source.migration()
    if info["status"] != "completed":
        raise RuntimeError("capture: %s" % info)
    source.end()
    if KEEP:
        shutil.copy(path, KEEP)
    return path


def firmware(source):
    """The firmware has set up its window by then; no operating system is needed."""
    source.wait_for("firmware", lambda: "Welcome to Open Firmware" in source.console())


def with_tables(minimum):
    return lambda found: len(found) >= minimum


def main():
    checks = vm.Checks()
    with vm.Machines() as machines:
        folder = machines.folder
        boot = vm.guest(folder)

        def case(version, name, args, prepare, expected, **more):
            kind = "xbzrle" if "xbzrle" in more.get("capabilities", ()) else "whole"
            checks.run("%s of QEMU %s" % (name, version), lambda: check_stream(
                stream(machines, version, name, args, prepare, **more), expected, kind))

        for version in VERSIONS:
            case(version, "firmware only", vm.pseries(megabytes=256), firmware, with_tables(2))
            case(version, "1 GiB, three PHBs, VIO devices", vm.pseries(
                ["-device", "spapr-pci-host-bridge,index=1,id=phb1"],
                ["-device", "spapr-pci-host-bridge,index=2,id=phb2"],
                ["-device", "virtio-scsi-pci,bus=phb1.0"], ["-device", "spapr-vscsi"],
                ["-netdev", "user,id=n", "-device", "spapr-vlan,netdev=n"], megabytes=1024),
                firmware, with_tables(8))
            case(version, "no dynamic windows, a UUID, ignore-shared", vm.pseries(
                ["-global", "spapr-pci-host-bridge.ddw=off"],
                ["-uuid", "12345678-1234-1234-1234-123456789abc"], megabytes=256),
                firmware, with_tables(1), capabilities=("x-ignore-shared", "validate-uuid"))
            case(version, "hashed page table, I/O, xbzrle", vm.pseries(
                boot, vm.vscsi_disk(folder, "h" + version),
                machine=vm.MACHINE + ",max-cpu-compat=power8"),
                lambda s: s.wait_for_rounds(2, 1), with_tables(3), capabilities=("xbzrle",))

            def hot_plug(source):
                source.wait_for_rounds(1, 4)
                source.ask("device_add", driver="spapr-pci-host-bridge", index=7, id="hot")
                source.wait_for_rounds(2, 4)

            def windows(found):
                """64-bit windows on PHBs 1 to 3, none on PHB 0, and the PHB that came later."""
                entries = dict(found)
                return (not entries.get(0x80000001) and 0x80000700 in entries and
                        all(entries.get(0x80000001 + 0x100 * phb) for phb in (1, 2, 3)))

            # Each page size that a 64-bit window can have, alone, so that the guest takes it.
            case(version, "64-bit windows of 4 KiB, 64 KiB and 2 MiB pages, hot-plugged PHB, I/O",
                 vm.pseries(boot, vm.vscsi_disk(folder, "v" + version),
                            *[["-device", "spapr-pci-host-bridge,index=%d,id=phb%d,pgsz=0x%x"
                               % (phb, phb, pages)] +
                              vm.virtio_disk(folder, "w%d%s" % (phb, version), "phb%d.0" % phb)
                              for phb, pages in ((1, 0x1000), (2, 0x11000), (3, 0x201000))]),
                 hot_plug, windows)

        # Not a PAPR guest at all.
        other = VERSIONS[-1]
        x86 = os.path.join(vm.folder_of(other), "qemu-system-x86_64")
        case(other, "an x86 guest", ["-M", "q35", "-m", "128", "-device", "virtio-net-pci",
                                     "-serial", "chardev:console"], lambda s: time.sleep(1),
             lambda found: not found, program=x86)
        if "newest" in VERSIONS:
            sparc = os.path.join(vm.folder_of("newest"), "qemu-system-sparc64")
            checks.run("a guest with pages of 8 KiB", lambda: check_untouched(stream(
                machines, "newest", "sparc", ["-M", "sun4u", "-m", "128", "-serial",
                                              "chardev:console"],
                lambda s: time.sleep(2), program=sparc)))
    checks.end()


if __name__ == "__main__":
    main()
