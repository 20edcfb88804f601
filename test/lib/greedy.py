"""A greedy peer for the tests: greedy.py UID ATTACK SOCKET [COUNT [OTHER]]

Becomes the user, does what the attack says, prints "ready" and holds on to what it has got until its standard input ends. Everything that it
sends is well-formed. COUNT is how many connections it opens, OTHER a second word that some attacks take.
"""

import array
import json
import os
import select
import socket
import struct
import sys
import time

HELD = []


def connect(path):
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(path)
    peer.setblocking(False)
    HELD.append(peer)
    return peer


def connections(path, count):
    """As many as the service lets in."""
    made = []
    for _ in range(count):
        try:
            made.append(connect(path))
        except OSError:
            break
    return made


def send_all(peers, payload):
    """Sends to all of them for as long as anything goes; whoever is disconnected is left out."""
    left = {peer.fileno(): (peer, memoryview(payload)) for peer in peers}
    while left:
        _, ready, _ = select.select([], list(left), [], 0.5)
        if not ready:
            return
        for number in ready:
            peer, rest = left[number]
            try:
                rest = rest[peer.send(rest[:65536]) :]
            except BlockingIOError:
                continue
            except OSError:
                rest = b""
            if rest:
                left[number] = (peer, rest)
            else:
                del left[number]


def frame(method, **fields):
    return json.dumps({"method": method, **fields}).encode() + b"\0"


INFO = frame("org.varlink.service.GetInfo")


def hold(path, count, _other):
    """Connections without a word."""
    connections(path, count)


def burst(path, count, method):
    """One short call on each of many connections at once; all of them have to be answered."""
    peers = []
    for _ in range(count):
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(path)
        peers.append(peer)
        peer.sendall(frame(method, parameters={"name": ".host"}))
    failed = 0
    for peer in peers:
        try:
            answer = b""
            while not answer.endswith(b"\0"):
                part = peer.recv(65536)
                if not part:
                    raise OSError("closed")
                answer += part
        except OSError:
            failed += 1
        peer.close()
    if failed:
        sys.exit(f"{failed} of {count} calls failed")


def pipeline(path, count, method):
    """Calls behind each other, and not one answer read."""
    call = frame(method or "org.varlink.service.GetInfo", more=True) if method else INFO
    send_all(connections(path, count), call * 30000)


def unfinished(path, count, _other):
    """Messages that do not come to an end."""
    send_all(connections(path, count), b'{"method":"' + b"x" * (15 << 20))


def numbers(path, count, _other):
    """One message after the other that is long and takes its time to be read."""
    body = b'{"method":"a.B","parameters":{"x":[' + b"0," * 120000 + b"0]}}\0"
    send_all(connections(path, count), body * 8)


def descriptors(path, count, method):
    """Messages with as many descriptors as the kernel takes."""
    null = os.open("/dev/null", os.O_RDONLY)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * 250))]
    for peer in connections(path, count):
        for _ in range(40):
            try:
                peer.sendmsg([frame(method or "org.varlink.service.GetInfo")], rights)
            except OSError:
                break


def leave(path, count, method):
    """Subscribes and goes, half of the time after the writing end alone was closed."""
    for index in range(count):
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(path)
        peer.sendall(frame(method, more=True))
        if index % 2:
            peer.shutdown(socket.SHUT_WR)
            peer.recv(10)
        peer.close()


def subscribe(path, count, method):
    """Subscribes, and does not read."""
    send_all(connections(path, count), frame(method, more=True))


def lines(path, count, line):
    """Questions on the name socket, unfinished and finished."""
    for index, peer in enumerate(connections(path, count)):
        try:
            peer.send(line.encode() + (b"\n" if index % 2 else b""))
        except OSError:
            pass


class Bus:
    """A connection to a bus, as far as sending goes."""

    def __init__(self, path):
        self.peer = socket.socket(socket.AF_UNIX)
        self.peer.connect(path)
        identity = str(os.geteuid()).encode().hex().encode()
        self.peer.sendall(b"\0AUTH EXTERNAL " + identity + b"\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n")
        self.serial = 0
        self.peer.sendall(self.message(1, "Hello", "", b"", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"))
        answer = b""
        while b"NameAcquired" not in answer:
            answer += self.peer.recv(65536)
        HELD.append(self.peer)

    def message(self, kind, member, signature, body, destination, path, interface, flags=0, fds=0):
        self.serial += 1
        fields = [(1, "o", path), (2, "s", interface), (3, "s", member), (6, "s", destination)]
        head = b""
        for code, sort, value in fields:
            head += b"\0" * (-len(head) % 8) + bytes([code, 1]) + sort.encode() + b"\0"
            head += struct.pack("<I", len(value)) + value.encode() + b"\0"
        if signature:
            head += b"\0" * (-len(head) % 8) + bytes([8, 1]) + b"g\0" + bytes([len(signature)]) + signature.encode() + b"\0"
        if fds:
            head += b"\0" * (-len(head) % 8) + bytes([9, 1]) + b"u\0" + struct.pack("<I", fds)
        start = struct.pack("<cBBBIII", b"l", kind, flags, 1, len(body), self.serial, len(head))
        return start + head + b"\0" * (-len(head) % 8) + body


MANAGER = ("org.freedesktop.machine1", "/org/freedesktop/machine1", "org.freedesktop.machine1.Manager")


def text(value):
    return struct.pack("<I", len(value)) + value.encode() + b"\0"


def bus_calls(path, count, member):
    """Calls behind each other, and no answer read."""
    buses = [Bus(path) for _ in range(count)]
    for bus in buses:
        bus.peer.setblocking(False)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        for bus in buses:
            calls = b"".join(bus.message(1, member, "", b"", *MANAGER) for _ in range(20))
            try:
                bus.peer.send(calls)
            except BlockingIOError:
                pass


def bus_descriptors(path, count, _other):
    """Signals and calls with descriptors that nobody asked for."""
    null = os.open("/dev/null", os.O_RDONLY)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * 16))]
    for bus in [Bus(path) for _ in range(count)]:
        body = b"".join(struct.pack("<I", index) for index in range(16))
        for index in range(40):
            kind = 4 if index % 2 else 1
            member = "MachineNew" if index % 2 else "GetMachine"
            bus.peer.sendmsg([bus.message(kind, member, "h" * 16, body, *MANAGER, fds=16)], rights)


def main():
    uid, attack, path, *rest = sys.argv[1:]
    os.setgroups([])
    os.setgid(int(uid))
    os.setuid(int(uid))
    count = int(rest[0]) if rest else 1
    globals()[attack](path, count, rest[1] if len(rest) > 1 else "")
    print("ready", flush=True)
    sys.stdin.read()


main()
