#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# If this fails, tce-dump cannot read what QEMU itself writes into files: a migration to a file,
# with an offset or with mapped-ram, and the state of a VM that savevm puts into a qcow2 disk. A
# guest stands still, and each shows the tables that its stream shows.
# usage: files.py TCE-DUMP [VERSION...]
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import vm

DUMP = os.path.abspath(sys.argv[1])
VERSIONS = sys.argv[2:] or ["10", "7.2"]
OFFSET = 12345
DISK_BYTES = 64 << 20


def shown(*args):
    """What tce-dump shows, but for the file's name."""
    done = subprocess.run([DUMP, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    return done.returncode, done.stdout


def wait_for_job(source, name):
    until = time.monotonic() + 120
    while time.monotonic() < until:
        job = [j for j in source.ask("query-jobs") if j["id"] == name][0]
        if job["status"] == "concluded":
            source.ask("job-dismiss", id=name)
            if "error" in job:
                raise RuntimeError("%s: %s" % (name, job["error"]))
            return
        time.sleep(0.05)
    raise RuntimeError("%s does not end" % name)


def add_disk(source, path):
    """An empty qcow2 disk: nodes of QEMU's, without a device."""
    open(path, "wb").close()
    source.ask("blockdev-add", **{"driver": "file", "node-name": "file", "filename": path})
    source.ask("blockdev-create", **{"job-id": "create", "options": {
        "driver": "qcow2", "file": "file", "size": DISK_BYTES}})
    wait_for_job(source, "create")
    source.ask("blockdev-add", **{"driver": "qcow2", "node-name": "disk", "file": "file"})


def save(source, tag):
    source.ask("snapshot-save", **{"job-id": tag, "tag": tag, "vmstate": "disk",
                                   "devices": ["disk"]})
    wait_for_job(source, tag)


def migrate(source, uri, *capabilities):
    """Once more: QEMU wants the guest to have run. Its firmware waits for somebody to type."""
    source.ask("cont")
    source.ask("stop")
    source.ask("migrate-set-capabilities", capabilities=[
        {"capability": c, "state": True} for c in capabilities])
    source.begin_migration(uri)
    info = source.migration()
    source.ask("migrate-set-capabilities", capabilities=[
        {"capability": c, "state": False} for c in capabilities])
    if info["status"] != "completed":
        raise RuntimeError("%s: %s" % (uri, info))


def try_version(checks, machines, version):
    folder = machines.folder
    disk, stream = (os.path.join(folder, name + version) for name in ("disk", "stream"))
    source = machines.start(version, "files" + version, vm.pseries(megabytes=256))
    source.wait_for("firmware", lambda: "Welcome to Open Firmware" in source.console())
    source.ask("stop")
    add_disk(source, disk)
    save(source, "one")
    one = shown("--all", disk)
    save(source, "two")
    # QEMU says that it is done before the command is.
    migrate(source, "exec:cat > %s.new && mv %s.new %s" % (stream, stream, stream))
    source.wait_for("stream", lambda: os.path.exists(stream))
    want = shown("--all", stream)
    checks.check("tables of a stream of QEMU " + version, want[0] == 0 and "LIOBN" in want[1],
                 want)
    checks.check("a snapshot in a disk has them", one == want, one)
    for tag in ("one", "two", "2"):
        got = shown("--all", "--snapshot", tag, disk)
        checks.check("snapshot %s of two, too" % tag, got == want, got)
    known = [c["capability"] for c in source.ask("query-migrate-capabilities")]
    # QEMU 7.2 has no file:.
    for name, capabilities in (("plain", ()), ("mapped-ram", ("mapped-ram",))):
        for offset in (0, OFFSET):
            if "mapped-ram" not in known:
                continue
            path = os.path.join(folder, "%s%d" % (name, offset))
            migrate(source, "file:%s,offset=%d" % (path, offset), *capabilities)
            got = shown("--all", *(["--offset", str(offset)] if offset else []), path)
            checks.check("a file that QEMU wrote, %s, at %d" % (name, offset), got == want, got)
    source.end()


def main():
    checks = vm.Checks()
    with vm.Machines() as machines:
        for version in VERSIONS:
            why = None
            try:
                try_version(checks, machines, version)
            except RuntimeError as e:
                why = e
            checks.check("all files of QEMU " + version, not why, why)
    checks.end()


if __name__ == "__main__":
    main()
