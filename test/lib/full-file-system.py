#!/usr/bin/python3
# python3 full-file-system.py DIR: a FUSE file system that takes all bytes and says only when a file is closed that it
# had no room for them (ENOSPC), as a server of NFS does. Mounts itself on DIR and prints "mounted". Needs root.
import ctypes
import os
import struct
import sys

FORGET, INTERRUPT, BATCH_FORGET = 2, 36, 42
LOOKUP, GETATTR, SETATTR, MKDIR, UNLINK, RMDIR, RENAME = 1, 3, 4, 9, 10, 11, 12
WRITE, RELEASE, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, CREATE = 16, 18, 25, 26, 27, 28, 29, 35
ENOENT, ENOSPC, ENOSYS = 2, 28, 38
ROOT = 1

# The mode of each node, and the node of each name in each directory.
modes = {ROOT: 0o40755}
names = {}


def attributes(node):
    return struct.pack("<6Q10I", node, 0, 0, 0, 0, 0, 0, 0, 0, modes[node], 1, 0, 0, 0, 4096, 0)


def entry(node):
    return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + attributes(node)


def make(directory, name, mode):
    node = len(modes) + 1
    modes[node] = mode
    names[directory, name] = node
    return entry(node)


def listing(directory, offset):
    found = [(name, node) for (place, name), node in names.items() if place == directory]
    rows = b""
    for index, (name, node) in enumerate(found[offset:], offset + 1):
        row = struct.pack("<QQII", node, index, len(name), modes[node] >> 12) + name
        rows += row + bytes(-len(row) % 8)
    return rows


def answer(operation, node, body):
    if operation == INIT:
        return struct.pack("<4I2H2I8I", 7, 19, 65536, 0, 12, 10, 65536, 0, *[0] * 8)[:24]
    if operation in (GETATTR, SETATTR):
        return struct.pack("<QII", 0, 0, 0) + attributes(node)
    if operation == LOOKUP:
        found = names.get((node, body.rstrip(b"\0")))
        return -ENOENT if found is None else entry(found)
    if operation == MKDIR:
        return make(node, body[8:].rstrip(b"\0"), 0o40700)
    if operation == CREATE:
        return make(node, body[16:].rstrip(b"\0"), 0o100600) + struct.pack("<QII", 0, 0, 0)
    if operation in (UNLINK, RMDIR):
        del names[node, body.rstrip(b"\0")]
        return b""
    if operation == RENAME:
        old, new = body[8:].split(b"\0")[:2]
        names[struct.unpack_from("<Q", body)[0], new] = names.pop((node, old))
        return b""
    if operation == WRITE:
        return struct.pack("<II", struct.unpack_from("<QQI", body)[2], 0)
    if operation == FLUSH:
        return -ENOSPC
    if operation == READDIR:
        return listing(node, struct.unpack_from("<QQ", body)[1])
    if operation == OPENDIR:
        return struct.pack("<QII", 0, 0, 0)
    return b"" if operation in (RELEASE, RELEASEDIR) else -ENOSYS


def main():
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"full", sys.argv[1].encode(), b"fuse", 0, options) != 0:
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    print("mounted", flush=True)
    while True:
        request = os.read(device, 1 << 20)
        _, operation, unique, node = struct.unpack_from("<IIQQ", request)
        if operation in (FORGET, INTERRUPT, BATCH_FORGET):
            continue
        reply = answer(operation, node, request[40:])
        error, data = (reply, b"") if isinstance(reply, int) else (0, reply)
        os.write(device, struct.pack("<IiQ", 16 + len(data), error, unique) + data)


main()
