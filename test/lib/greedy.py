"""A greedy peer for the tests: greedy.py UID ATTACK SOCKET [COUNT [OTHER]]

Changes to the user, carries out the attack, prints "ready" and keeps its connections open until its standard input ends. All
messages that it sends are well-formed. COUNT is the number of connections; OTHER is a parameter of some attacks.
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
    """Opens connections until COUNT is reached or the service refuses one."""
    made = []
    for _ in range(count):
        try:
            made.append(connect(path))
        except OSError:
            break
    return made


def send_all(peers, payload):
    """Sends the payload to all peers until everything is sent or no peer takes any for half a second. Skips closed ones."""
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
    """Opens connections and sends nothing."""
    connections(path, count)


def burst(path, count, method):
    """Sends one short call on each of many connections; fails unless all are answered."""
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
    """Sends many calls on each connection and reads no reply."""
    call = frame(method or "org.varlink.service.GetInfo", more=True) if method else INFO
    send_all(connections(path, count), call * 30000)


def unfinished(path, count, _other):
    """Sends the beginnings of long messages."""
    send_all(connections(path, count), b'{"method":"' + b"x" * (15 << 20))


def numbers(path, count, _other):
    """Sends long messages that take time to parse."""
    body = b'{"method":"a.B","parameters":{"x":[' + b"0," * 120000 + b"0]}}\0"
    send_all(connections(path, count), body * 8)


def descriptors(path, count, method):
    """Sends messages with the largest number of descriptors that the kernel allows."""
    null = os.open("/dev/null", os.O_RDONLY)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * 250))]
    for peer in connections(path, count):
        for _ in range(40):
            try:
                peer.sendmsg([frame(method or "org.varlink.service.GetInfo")], rights)
            except OSError:
                break


def leave(path, count, method):
    """Subscribes and closes the connection; every other time it shuts down the sending side first."""
    for index in range(count):
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(path)
        peer.sendall(frame(method, more=True))
        if index % 2:
            peer.shutdown(socket.SHUT_WR)
            peer.recv(10)
        peer.close()


def subscribe(path, count, method):
    """Subscribes and reads no reply."""
    send_all(connections(path, count), frame(method, more=True))


def lines(path, count, line):
    """Sends requests to the name socket, every other one without the final newline."""
    for index, peer in enumerate(connections(path, count)):
        try:
            peer.send(line.encode() + (b"\n" if index % 2 else b""))
        except OSError:
            pass


class Bus:
    """A connection to a message bus that can only send."""

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
    """Sends many calls on each connection for two seconds and reads no reply."""
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
    """Sends signals and calls with descriptors that their signatures do not have."""
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


if __name__ == "__main__":
    main()
