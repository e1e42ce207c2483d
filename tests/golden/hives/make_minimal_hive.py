#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a minimal SYSTEM hive (regf 1.5) from nothing: make_minimal_hive.py OUT.

libhivex cannot create a hive, so the tests and the quick start begin with this one.
Structure: windows-crash-dumps.md section 8.3 and msuhanov/regf."""
import struct
import sys

NONE = 0xFFFFFFFF
TIME = 0x01DA2DF52DFF4000  # one FILETIME for all, so that the file is the same every time


def text(value):
    return (value + "\0").encode("utf-16-le")


def multi(values):
    return "".join(v + "\0" for v in values).encode("utf-16-le") + b"\0\0"


def dword(number):
    return (4, struct.pack("<I", number))


CRASH_CONTROL = {
    "AutoReboot": dword(1),
    "CrashDumpEnabled": dword(7),
    "DumpFile": (2, text(r"%SystemRoot%\MEMORY.DMP")),
    "DumpFilters": (7, multi(["dumpfve.sys"])),
    "LogEvent": dword(1),
    "MinidumpDir": (2, text(r"%SystemRoot%\Minidump")),
    "MinidumpsCount": dword(5),
    "Overwrite": dword(1),
}
MEMORY_MANAGEMENT = {
    "ClearPageFileAtShutdown": dword(0),
    "ExistingPageFiles": (7, multi([r"\??\C:\pagefile.sys"])),
    "PagingFiles": (7, multi([r"?:\pagefile.sys"])),
}
SELECT = {"Current": dword(1), "Default": dword(1), "Failed": dword(0), "LastKnownGood": dword(1)}

# A key is (values, sub keys).
ROOT = ({}, {
    "ControlSet001": ({}, {
        "Control": ({}, {
            "CrashControl": (CRASH_CONTROL, {}),
            "Session Manager": ({}, {"Memory Management": (MEMORY_MANAGEMENT, {})}),
        }),
    }),
    "Select": (SELECT, {}),
})


class Cells:
    """The cells of one bin; offsets count from the first bin, as in the file."""

    def __init__(self):
        self.bytes = bytearray(32)  # the header of the bin comes last

    def add(self, data):
        offset = len(self.bytes)
        size = (4 + len(data) + 7) & ~7
        self.bytes += struct.pack("<i", -size) + data.ljust(size - 4, b"\0")
        return offset

    def patch(self, offset, at, data):
        self.bytes[offset + 4 + at:offset + 4 + at + len(data)] = data

    def finish(self):
        size = (len(self.bytes) + 4095) & ~4095
        free = size - len(self.bytes)
        if free:
            self.bytes += struct.pack("<i", free).ljust(free, b"\0")
        self.bytes[0:32] = struct.pack("<4sIIQQI", b"hbin", 0, size, 0, TIME, 0)
        return bytes(self.bytes)


def sid(*parts):
    return struct.pack("<BB6s", 1, len(parts) - 1, parts[0].to_bytes(6, "big")) + b"".join(
        struct.pack("<I", p) for p in parts[1:])


def descriptor():
    system, administrators = sid(5, 18), sid(5, 32, 544)
    entries = b"".join(struct.pack("<BBHI", 0, 2, 8 + len(s), 0xF003F) + s
                       for s in (system, administrators))
    acl = struct.pack("<BBHHH", 2, 0, 8 + len(entries), 2, 0) + entries
    owner = 20
    group = owner + len(administrators)
    dacl = group + len(system)
    return struct.pack("<BBHIIII", 1, 0, 0x8004, owner, group, 0, dacl) + administrators + system + acl


def add_value(cells, name, kind, data):
    size = len(data)
    if size <= 4:
        where, size = struct.unpack("<I", data.ljust(4, b"\0"))[0], size | 0x80000000
    else:
        where = cells.add(data)
    return cells.add(struct.pack("<2sHIIIHH", b"vk", len(name), size, where, kind, 1, 0) + name.encode())


def name_hash(name):
    total = 0
    for c in name.upper():
        total = (total * 37 + ord(c)) & 0xFFFFFFFF
    return total


def add_key(cells, name, key, parent, flags, security):
    values, children = key
    body = struct.pack("<2sHQIIIIIIIIIIIIIIIHH", b"nk", flags, TIME, 0, parent, len(children), 0, NONE, NONE,
                       len(values), NONE, security, NONE,
                       max((2 * len(n) for n in children), default=0), 0,
                       max((2 * len(n) for n in values), default=0),
                       max((len(d) for _, d in values.values()), default=0), 0, len(name), 0)
    offset = cells.add(body + name.encode())
    if values:
        refs = [add_value(cells, n, kind, data) for n, (kind, data) in values.items()]
        cells.patch(offset, 40, struct.pack("<I", cells.add(struct.pack(f"<{len(refs)}I", *refs))))
    if children:
        links = b""
        for child in sorted(children, key=str.upper):
            at = add_key(cells, child, children[child], offset, 0x20, security)
            links += struct.pack("<II", at, name_hash(child))
        cells.patch(offset, 28, struct.pack("<I", cells.add(struct.pack("<2sH", b"lh", len(children)) + links)))
    return offset


def count_keys(key):
    return 1 + sum(count_keys(child) for child in key[1].values())


def main(path):
    cells = Cells()
    security_size = len(descriptor())
    security = cells.add(struct.pack("<2sHIIII", b"sk", 0, 0, 0, count_keys(ROOT), security_size) + descriptor())
    cells.patch(security, 4, struct.pack("<II", security, security))
    root = add_key(cells, "ROOT", ROOT, 0, 0x2C, security)
    bins = cells.finish()
    base = bytearray(struct.pack("<4sIIQIIIIIII64s", b"regf", 1, 1, TIME, 1, 5, 0, 1, root, len(bins), 1,
                                 "SYSTEM".encode("utf-16-le")).ljust(4096, b"\0"))
    total = 0
    for (word,) in struct.iter_unpack("<I", base[:508]):
        total ^= word
    base[508:512] = struct.pack("<I", total)
    with open(path, "wb") as out:
        out.write(base + bins)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
