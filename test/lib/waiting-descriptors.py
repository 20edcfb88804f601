#!/usr/bin/python3
# python3 waiting-descriptors.py SOCKET KIND [FILE]: sends a descriptor whose last close(2) blocks. KIND is
# "lingering", a TCP socket with SO_LINGER of a minute and a peer that reads nothing; "nested", the same queued in a
# unix socket; or "file", FILE. Prints "sent", or "refused" if the kernel refuses descriptors, and waits until its
# standard input ends.
import array
import os
import socket
import struct
import sys

MINUTE = 60


def lingering():
    """Returns the socket, and its peer, which must stay open."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    mine = socket.socket()
    mine.connect(listener.getsockname())
    peer, _ = listener.accept()
    mine.setblocking(False)
    try:
        while True:
            mine.send(b"x" * 65536)
    except BlockingIOError:
        pass
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, MINUTE))
    return mine.detach(), peer


def rights(number):
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [number]))]


def main():
    path, kind, *rest = sys.argv[1:]
    kept = None
    if kind == "file":
        number = os.open(rest[0], os.O_RDONLY)
    else:
        number, kept = lingering()
    if kind == "nested":
        outer, inner = socket.socketpair()
        outer.sendmsg([b"x"], rights(number))
        os.close(number)
        outer.close()
        number = inner.detach()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    try:
        connection.sendmsg([b"x"], rights(number))
        # close(2) does not block here, because the sent descriptor is still open.
        if kind != "file":
            os.close(number)
        print("sent", flush=True)
    except PermissionError:
        print("refused", flush=True)
    sys.stdin.read()
    del kept


main()
