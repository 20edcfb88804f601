"""Greedy peers as a user without privileges on every socket of a booted host: greedy_host.py, with greedy.py beside it.

Prints PASS or FAIL for each check. Another caller's GetMachine is measured over the system bus, alternately with and without the attack.
"""

import glob
import os
import re
import statistics
import struct
import subprocess
import sys
import time

sys.argv = ["greedy.py"]
import greedy

NOBODY = 65534
SYSTEM_BUS = "/run/dbus/system_bus_socket"
MACHINE = "/run/systemd/machine/io.systemd.Machine"
HOOK = "/run/systemd/resolve.hook/io.systemd.Machine"
FILTER = "io.systemd.Resolve.Hook.QueryFilter"
ATTACKS = [
    ("hold", MACHINE, 600, ""),
    ("pipeline", MACHINE, 100, ""),
    ("pipeline", MACHINE, 20, "io.systemd.Machine.List"),
    ("unfinished", MACHINE, 60, ""),
    ("numbers", MACHINE, 20, ""),
    ("descriptors", MACHINE, 40, ""),
    ("pipeline", "/run/systemd/userdb/io.systemd.Machine", 50, "io.systemd.UserDatabase.GetUserRecord"),
    ("hold", "/run/systemd/machine/names", 600, ""),
    ("lines", "/run/systemd/machine/names", 600, "HOST"),
    ("subscribe", HOOK, 200, FILTER),
    ("leave", HOOK, 50, FILTER),
    ("bus_calls", SYSTEM_BUS, 20, "ListMachines"),
    ("bus_calls", SYSTEM_BUS, 20, "ListImages"),
    ("bus_descriptors", SYSTEM_BUS, 5, ""),
]
PATIENCE_MS, PATIENCE_TIMES = 100, 20
MEANWHILE_MIB, AFTERWARDS_MIB = 150, 24


class Caller(greedy.Bus):
    def ask(self):
        """Calls GetMachine for the host, and repeats it while the broker has no room for the message."""
        name = greedy.text(".host")
        while True:
            self.peer.sendall(self.message(1, "GetMachine", "s", name, *greedy.MANAGER))
            error = self.answer()
            if error is None:
                return
            if b"LimitsExceeded" not in error:
                raise OSError(error)

    def answer(self):
        while True:
            head = self.read(16)
            kind = head[1]
            body, _serial, fields = struct.unpack("<III", head[4:16])
            rest = self.read((fields + 7) // 8 * 8 + body)
            if kind in (2, 3):
                return None if kind == 2 else rest

    def read(self, size):
        data = b""
        while len(data) < size:
            part = self.peer.recv(size - len(data))
            if not part:
                raise OSError("the bus hung up")
            data += part
        return data


def pid():
    return int(subprocess.check_output(["systemctl", "show", "-P", "MainPID", "systemd-machined"]))


def resources(number):
    status = open(f"/proc/{number}/status").read()
    children = sum(len(open(path).read().split()) for path in glob.glob(f"/proc/{number}/task/*/children"))
    memory = int(re.search("RssAnon:\\s+(\\d+)", status)[1]) / 1024
    return len(os.listdir(f"/proc/{number}/fd")), children, memory


def latency(caller):
    times = []
    for _ in range(21):
        start = time.monotonic()
        caller.ask()
        times.append((time.monotonic() - start) * 1000)
    return statistics.median(times)


def survive(caller, attack, socket, count, word):
    alone = latency(caller)
    daemon = pid()
    before = resources(daemon)
    command = ["python3", "/root/greedy.py", str(NOBODY), attack, socket, str(count), word]
    peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    early = latency(caller)
    assert peer.stdout.readline() == b"ready\n", "the greedy peer failed"
    late = latency(caller)
    now = resources(daemon)
    peer.kill()
    peer.wait()
    figures = f"alone {alone:.1f} ms, early {early:.1f} ms, late {late:.1f} ms, before {before}, meanwhile {now}"
    assert max(early, late) < max(PATIENCE_MS, PATIENCE_TIMES * alone), figures
    assert now[2] - before[2] < MEANWHILE_MIB and now[0] - before[0] < count + 8, figures
    end = time.monotonic() + 30
    while True:
        after = resources(daemon)
        if after[0] <= before[0] and after[1] <= before[1] and after[2] - before[2] < AFTERWARDS_MIB:
            break
        assert time.monotonic() < end, f"{figures}, after {after}"
        time.sleep(0.1)
    assert pid() == daemon, "another daemon"
    return f"{figures}, after {after}"


def main():
    caller = Caller(SYSTEM_BUS)
    for _ in range(20):
        latency(caller)
    for attack, socket, count, word in ATTACKS:
        name = f"{attack} {word} on {socket}".replace("  ", " ")
        if not os.path.exists(socket):
            print(f"FAIL {name}: no such socket", flush=True)
            continue
        try:
            figures = survive(caller, attack, socket, count, word)
            print(f"PASS {name}\n     {figures}", flush=True)
        except Exception as error:
            print(f"FAIL {name}: {type(error).__name__} {error}", flush=True)


main()
