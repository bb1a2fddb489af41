# SPDX-License-Identifier: GPL-2.0-or-later
"""qcow2 disks with the state of a VM in a snapshot, as QEMU's savevm writes them, and what is wrong
with some: for the test of tce-dump and for seeds. With a folder and a state, writes all of them
there, and prints the name of each and what tce-dump has to say of it."""
import os
import struct
import sys

# Members of the header that some disks have otherwise.
VERSION, CLUSTER_BITS, DISK_SIZE, ENCRYPTION = 4, 20, 24, 32
SNAPSHOTS, SNAPSHOT_TABLE, FEATURES = 60, 64, 72
COMPRESSED, ZERO, COPIED = 1 << 62, 1, 1 << 63


def be(form, *values):
    return struct.pack(">" + form, *values)


def snapshot(l1, l1_size, state_size, disk_size, tag, name, extra=True):
    more = be("QQ", state_size, disk_size) if extra else b""
    data = be("QIHHIIQII", l1, l1_size, len(tag), len(name), 0, 0, 0,
              0 if extra else state_size, len(more)) + more + tag + name
    return data + bytes(-len(data) % 8)


def disk(state, bits=9, disk_size=1 << 20, names=(b"one",), version=3, extra=True, last=None,
         entry=None, tables=None, old_size=None):
    """One disk. @last: another state, which the last snapshot has in place of @state. @entry and
    @tables change the entries that lead to clusters and to tables of them."""
    cluster = 1 << bits
    clusters = [b""] * 2  # header, list of snapshots

    def add(data):
        clusters.append(data)
        return (len(clusters) - 1) * cluster

    in_table = cluster // 8
    first = -(-(old_size or disk_size) // (cluster * in_table))
    listed = b""
    for number, name in enumerate(names, 1):
        mine = last if last is not None and number == len(names) else state
        places = [add(mine[at:at + cluster]) | COPIED for at in range(0, len(mine), cluster)]
        places = [entry(place) if entry else place for place in places]
        l1 = [0] * first
        for at in range(0, len(places), in_table):
            l1.append(add(be("%dQ" % len(places[at:at + in_table]), *places[at:at + in_table])) |
                      COPIED)
        l1 = [tables(place) if tables else place for place in l1]
        at = len(clusters) * cluster
        for piece in range(0, len(l1), in_table):
            add(be("%dQ" % len(l1[piece:piece + in_table]), *l1[piece:piece + in_table]))
        listed += snapshot(at, len(l1), len(mine), old_size or disk_size, b"%d" % number, name,
                           extra)
    at = add(listed[:cluster])
    for piece in range(cluster, len(listed), cluster):
        add(listed[piece:piece + cluster])
    # of the disk as it is now, with nothing in it
    spans = -(-disk_size // (cluster * in_table))
    now = add(b"")
    clusters += [b""] * ((spans - 1) // in_table)
    clusters[0] = be("4sIQIIQIIQQIIQ", b"QFI\xfb", version, 0, 0, bits, disk_size, 0, spans, now,
                     cluster, 1, len(names), at) + be("QQQII", 0, 0, 0, 4, 104)
    return b"".join(data.ljust(cluster, b"\0") for data in clusters)


def changed(data, place, form, value):
    new = be(form, value)
    return data[:place] + new + data[place + len(new):]


def disks(state):
    """Names, disks, and what tce-dump says: nothing of those that are whole."""
    good = disk(state)
    listed = int.from_bytes(good[SNAPSHOT_TABLE:SNAPSHOT_TABLE + 8], "big")
    yield "small-clusters", good, None
    yield "clusters-of-64k", disk(state, bits=16, disk_size=(1 << 32) + 512), None
    yield "version-2", disk(state, version=2, extra=False), None
    yield "disk-grown-since", disk(state, disk_size=1 << 30, old_size=1 << 16), None
    yield "others-without-a-state", disk(b"", names=(b"a", b"b" * 200, b"c"), last=state), None
    yield "two", disk(b"no stream", names=(b"\x1b[31m", b"two"), last=state), \
        r"2 snapshots .*: choose with --snapshot among 1 \(\\x1b\[31m\), 2 \(two\)"
    yield "named-like-an-id", disk(b"no stream", names=(b"2", b"one"), last=state), \
        r"choose with --snapshot among 1 \(2\), 2 \(one\)"
    yield "none", disk(b"", names=(b"a",)), "no snapshot in it has the state"
    yield "no-snapshots", disk(state, names=()), "no snapshot in it has the state"
    yield "no-stream", disk(b"text"), "the stream ends in its first bytes"
    yield "short", good[:60], "ends in its header"
    yield "version-1", changed(good, VERSION, "I", 1), "version 1 is not known"
    yield "encrypted", changed(good, ENCRYPTION, "I", 2), "it is encrypted"
    yield "data-elsewhere", changed(good, FEATURES, "Q", 5), "features 0x4 are not known"
    for bits in (0, 8, 22, 1 << 31):
        yield "bits-%x" % bits, changed(good, CLUSTER_BITS, "I", bits), "clusters have a size"
    yield "list-far", changed(good, SNAPSHOT_TABLE, "Q", (1 << 64) - 8), "list of snapshots"
    yield "list-past-end", changed(good, SNAPSHOT_TABLE, "Q", len(good) - 16), "list of snapshots"
    yield "list-long", changed(good, SNAPSHOTS, "I", 0xffffffff), "list of snapshots"
    yield "list-longer", changed(good, SNAPSHOTS, "I", 65536), "list of snapshots"
    yield "extra-long", changed(good, listed + 36, "I", 0xffffffff), "list of snapshots"
    yield "name-long", changed(good, listed + 14, "H", 0xffff), "list of snapshots"
    yield "l1-far", changed(good, listed, "Q", (1 << 64) - 512), "lead nowhere"
    yield "l1-short", changed(good, listed + 8, "I", 1), "lead nowhere"
    yield "state-huge", changed(good, listed + 40, "Q", 1 << 63), "larger than the file"
    yield "state-with-more-behind", changed(good, listed + 40, "Q", len(state) + 600), None
    yield "state-short", changed(good, listed + 40, "Q", len(state) - 40), "ends"
    yield "disk-size-huge", changed(good, listed + 48, "Q", (1 << 64) - 1), "lead nowhere"
    for name, change in (("hole", lambda _: 0), ("compressed", lambda e: e | COMPRESSED),
                         ("zero", lambda e: e | ZERO), ("past-end", lambda e: e + (1 << 40)),
                         ("far", lambda e: e | 0x00fffffffffffe00)):
        yield "cluster-" + name, disk(state, entry=change), "lead nowhere"
        yield "table-" + name, disk(state, tables=lambda e, c=change: c(e) if e else 0), \
            "lead nowhere"
    yield "torn", good[:1024 + 100], "list of snapshots"


def main():
    folder, state = sys.argv[1:3]
    with open(state, "rb") as f:
        state = f.read()
    for name, data, said in disks(state):
        with open(os.path.join(folder, name + ".qcow2"), "wb") as f:
            f.write(data)
        print("%s\t%s" % (name, said or ""))


if __name__ == "__main__":
    main()
