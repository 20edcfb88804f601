#!/usr/bin/python3
# Sends a descriptor whose last close(2) waits: python3 waiting-descriptors.py SOCKET KIND [FILE]. KIND: "lingering", a TCP socket
# that lingers for a minute for a peer that reads nothing; "nested", the same on its way through a unix socket; "file", FILE. Prints
# "sent", or "refused" when the kernel takes no descriptors, and stays until its standard input ends.
import array
import os
import socket
import struct
import sys

MINUTE = 60


def lingering():
    """The socket, and what must stay for it to linger."""
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
        # Here it would wait as well, if it were the last one.
        if kind != "file":
            os.close(number)
        print("sent", flush=True)
    except PermissionError:
        print("refused", flush=True)
    sys.stdin.read()
    del kept


main()
