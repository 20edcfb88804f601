#!/usr/bin/python3
# python3 hostile-file-system.py DIR NAME...: a FUSE file system with the file DIR/image, which answers close(2) (FLUSH)
# of processes with these names only. Mounts itself on DIR and prints "mounted", and "flush PID" for each request that
# it does not answer. Such a process cannot be killed, not even with SIGKILL, until this one ends. Needs root.
import ctypes
import os
import struct
import sys

LOOKUP, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT, OPENDIR, FORGET, INTERRUPT, BATCH_FORGET = (
    1, 3, 14, 15, 18, 25, 26, 27, 2, 36, 42)
ENOSYS, ENOENT = 38, 2
FILE = 2


def attributes(node):
    mode, size = (0o100644, 1000) if node == FILE else (0o40755, 0)
    return struct.pack("<6Q10I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(operation, node, body):
    if operation == INIT:
        return struct.pack("<4I2H2I8I", 7, 19, 65536, 0, 12, 10, 65536, 0, *[0] * 8)[:24]
    if operation == GETATTR:
        return struct.pack("<QII", 1000, 0, 0) + attributes(node)
    if operation == LOOKUP:
        if body.rstrip(b"\0") != b"image":
            return -ENOENT
        return struct.pack("<QQQQII", FILE, 0, 1000, 1000, 0, 0) + attributes(FILE)
    if operation in (OPEN, OPENDIR):
        return struct.pack("<QII", 0, 0, 0)
    if operation == READ:
        return b""
    return b"" if operation in (RELEASE, FLUSH) else -ENOSYS


def name_of(pid):
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


def main():
    directory, *answered = sys.argv[1:]
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"hostile", directory.encode(), b"fuse", 0, options) != 0:
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    print("mounted", flush=True)
    while True:
        request = os.read(device, 1 << 20)
        _, operation, unique, node, _, _, pid = struct.unpack_from("<IIQQIII", request)
        if operation in (FORGET, INTERRUPT, BATCH_FORGET):
            continue
        if operation == FLUSH and name_of(pid) not in answered:
            print("flush", pid, flush=True)
            continue
        reply = answer(operation, node, request[40:])
        error, data = (reply, b"") if isinstance(reply, int) else (0, reply)
        os.write(device, struct.pack("<IiQ", 16 + len(data), error, unique) + data)


main()
