#!/usr/bin/python3
# python3 silent-file-system.py DIR OPERATION: a FUSE file system with two entries that stops answering. Needs root.
# Mounts itself on DIR and prints "mounted". DIR/image has 1 MiB of zeros, DIR/link is a dangling symbolic link.
# Before OPERATION ("getattr", "open", "read", "flush"; "rest": a second "read") of the image, it stops reading
# requests, which then stay in the kernel's queue, and prints "silent" at the first one. (A process whose request the
# server has read could not be killed, not even
# with SIGKILL.) With "never" it continues. It implements rename, but without the flags of renameat2(2).
import ctypes
import os
import select
import struct
import sys

LOOKUP, GETATTR, RENAME, OPEN, READ, RELEASE, INIT, OPENDIR = 1, 3, 12, 14, 15, 18, 26, 27
# The last request that is answered.
LAST = {"getattr": LOOKUP, "open": LOOKUP, "read": OPEN, "rest": READ, "flush": OPEN}
ENOSYS, ENOENT = 38, 2
# FOPEN_NOFLUSH: otherwise close(2) would wait for the file system, so that a process could not exit.
NO_FLUSH = 1 << 5
FILE, LINK, SIZE = 2, 3, 1 << 20
NAMES = {b"image": FILE, b"link": LINK}
KINDS = {FILE: (0o100644, SIZE), LINK: (0o120777, 7)}


def attributes(node):
    mode, size = KINDS.get(node, (0o40755, 0))
    return struct.pack("<6Q10I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(operation, node, body, valid, silent):
    if operation == INIT:
        return struct.pack("<4I2H2I8I", 7, 19, 65536, 0, 12, 10, 65536, 0, *[0] * 8)[:24]
    if operation == GETATTR:
        return struct.pack("<QII", valid, 0, 0) + attributes(node)
    if operation == LOOKUP:
        found = NAMES.get(body.rstrip(b"\0"))
        if found is None:
            return -ENOENT
        return struct.pack("<QQQQII", found, 0, 1000, valid, 0, 0) + attributes(found)
    if operation == RENAME:
        old, new = body[8:].split(b"\0")[:2]
        NAMES[new] = NAMES.pop(old)
        return b""
    if operation in (OPEN, OPENDIR):
        return struct.pack("<QII", 0, 0 if silent == "flush" else NO_FLUSH, 0)
    if operation == READ:
        at, size = struct.unpack_from("<8xQI", body)
        return bytes(max(0, min(size, SIZE - at)))
    return b"" if operation == RELEASE else -ENOSYS


def serve(device, silent):
    while True:
        request = os.read(device, 1 << 20)
        _, operation, unique, node = struct.unpack_from("<IIQQ", request)
        if operation in (2, 36, 42):  # forget, interrupt, batch_forget: no reply
            continue
        reply = answer(operation, node, request[40:], 0 if silent == "getattr" else 1000, silent)
        error, data = (reply, b"") if isinstance(reply, int) else (0, reply)
        os.write(device, struct.pack("<IiQ", 16 + len(data), error, unique) + data)
        if error == 0 and operation == LAST.get(silent):
            select.select([device], [], [])
            print("silent", flush=True)
            select.select([], [], [])


def main():
    directory, silent = sys.argv[1:]
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"silent", directory.encode(), b"fuse", 0, options) != 0:
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    print("mounted", flush=True)
    serve(device, silent)


main()
