#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Every migration parameter that QEMU has: those that change a stream one by one, with each of their
# values and what they need; all others at once, each with another value than it has. Whatever
# stream QEMU makes of it, pack takes it and unpack gives it back to the byte. What QEMU itself
# refuses is named, and is not counted.
# usage: parameters.py TCE-STREAM [VERSION...]
import sys

sys.dont_write_bytecode = True
import capabilities
import vm

VERSIONS = sys.argv[2:] or ["10", "7.2"]

# What needs capabilities.
NEEDS = {"multifd-compression": ("multifd",), "zero-page-detection": ("multifd",),
         "direct-io": ("mapped-ram", "multifd"), "xbzrle-cache-size": ("xbzrle",),
         "max-postcopy-bandwidth": ("postcopy-ram",), "block-bitmap-mapping": ("dirty-bitmaps",),
         "compress-level": ("compress",), "multifd-channels": ("multifd",)}
# Of the other migration: it is to be as quick as it can be, and no program is to be started. TLS
# hides what is sent, and pack would have nothing to say of it.
LEFT = {"max-bandwidth", "cpr-exec-command", "tls-authz", "tls-creds", "tls-hostname"}
# Where one more than there is won't do.
VALUES = {"avail-switchover-bandwidth": 1 << 40, "block-bitmap-mapping": [],
          "max-cpu-throttle": 98, "x-rdma-chunk-size": 1 << 21, "xbzrle-cache-size": 1 << 20,
          "x-vcpu-dirty-limit-period": 999}
# A QEMU that knows one of these and takes none of its values has not been asked rightly.
MUST_BE_TAKEN = {"direct-io", "downtime-limit", "multifd-channels", "multifd-compression",
                 "xbzrle-cache-size", "zero-page-detection"}


def known(source):
    """Names, with the values of those that are a choice, or None."""
    types = {t["name"]: t for t in source.ask("query-qmp-schema")}
    members = types[types["migrate-set-parameters"]["arg-type"]]["members"]
    return {m["name"]: types[m["type"]].get("values") for m in members}


def other_value(name, now):
    if name in VALUES:
        return VALUES[name]
    return not now[name] if isinstance(now[name], bool) else now[name] + 1


def cases(choices, now):
    """What is set in each migration, and the capabilities that it needs."""
    rest = {}
    for name, values in choices.items():
        if name in LEFT:
            continue
        if values:
            yield from (({name: value}, NEEDS.get(name, ())) for value in values
                        if value != now.get(name))
        elif name in NEEDS:
            yield {name: other_value(name, now)}, NEEDS[name]
        else:
            rest[name] = other_value(name, now)
    yield rest, ()


def try_case(checks, machines, version, number, parameters, needed):
    """Returns the parameters that QEMU has taken."""
    source = capabilities.start(machines, version, "p%d" % number)
    why = capabilities.take(source, needed)
    if not why:
        data, why = capabilities.stream(machines, source, "s%d" % number, needed, **parameters)
    source.end()
    what = ["%s=%s" % p for p in parameters.items()]
    name = "%s of QEMU %s" % (what[0] if len(what) == 1 else "%d others" % len(what), version)
    if why:
        print("# refused by QEMU: %s: %s" % (name, " ".join(why.split())[:200]), flush=True)
        return set()
    why = capabilities.round_trip(data, needed)
    checks.check(name, not why, why)
    return set(parameters)


def main():
    checks = vm.Checks()
    for version in VERSIONS:
        with vm.Machines() as machines:
            first = capabilities.start(machines, version, "ask")
            choices, now = known(first), first.ask("query-migrate-parameters")
            first.end()
            taken = set()
            for number, (parameters, needed) in enumerate(cases(choices, now)):
                taken |= try_case(checks, machines, version, number, parameters, needed)
            lacking = sorted(MUST_BE_TAKEN & set(choices) - taken)
            checks.check("what must be taken is, by QEMU " + version, not lacking,
                         "not taken: %s" % ", ".join(lacking))
    checks.end()


if __name__ == "__main__":
    main()
