"""commands.py [FLOOR]: measures short commands of the machinectl in PATH: wall time and CPU time in milliseconds, and page
faults. Run as root in a bed whose daemon is the one to be measured; prints one line of JSON. FLOOR is a program that connects to a
unix socket and does nothing else: the minimum that Bun takes before a command can begin.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import dbus

NAME = "org.freedesktop.machine1"
RUNS = 5
IMAGE = "/var/lib/machines/bench-image"
FILE = "/run/bench-file"
HAS_EXEC = subprocess.run(["machinectl", "--version"], capture_output=True, text=True).stdout.find("\nmachined") >= 0
# A command in a machine, with the caller's descriptors: what users of the original call for it.
COMMAND = (["machinectl", "exec", "bench-1", "true"] if HAS_EXEC else
           ["systemd-run", "--quiet", "--machine=bench-1", "--pipe", "--wait", "true"])
bus = dbus.SystemBus()
leaders = []


def create(name):
    leader = subprocess.Popen(["/bin/sleep", "infinity"], start_new_session=True, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    leaders.append(leader)
    manager = dbus.Interface(bus.get_object(NAME, "/org/freedesktop/machine1", introspect=False), NAME + ".Manager")
    manager.CreateMachine(name, dbus.Array([], signature="y"), "bench", "container", dbus.UInt32(leader.pid), "",
                          dbus.Array([], signature="(sv)"))


def run(words):
    """Runs once, with posix_spawn(), because after fork() page faults of this process would be counted."""
    devices = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawnp(words[0], words, os.environ, file_actions=devices)
    _, status, used = os.wait4(pid, 0)
    wall = (time.perf_counter() - start) * 1e3
    if status != 0:
        sys.exit(f"{' '.join(words)}: {os.waitstatus_to_exitcode(status)}")
    return wall, (used.ru_utime + used.ru_stime) * 1e3, used.ru_minflt + used.ru_majflt


def cost(taken):
    """Returns the medians of some runs; the first one is left out."""
    wall, cpu, faults = (statistics.median(column) for column in zip(*taken[1:]))
    return {"wall": wall, "cpu": cpu, "faults": faults}


def measure(words):
    return cost([run(words) for _ in range(RUNS + 1)])


def measure_terminate():
    """Terminates another machine in each run, because one of the same name may still be ending."""
    taken = []
    for i in range(RUNS + 1):
        create(f"bench-end-{i}")
        taken.append(run(["machinectl", "terminate", f"bench-end-{i}"]))
    return cost(taken)


def measure_copy(kib):
    """Copies a file of this size into the machine, each time to another name. The machine has the bed's files."""
    with open(FILE, "wb") as file:
        file.write(os.urandom(1024) * kib)
    taken = []
    for i in range(RUNS + 1):
        target = f"{FILE}-{i}"
        taken.append(run(["machinectl", "copy-to", "bench-1", FILE, target]))
        os.unlink(target)
    return cost(taken)


def main():
    os.makedirs(f"{IMAGE}/usr/lib", exist_ok=True)
    with open(f"{IMAGE}/usr/lib/os-release", "w") as file:
        file.write("ID=bench\nPRETTY_NAME=Bench\n")
    create("bench-1")
    figures = {
        "list": measure(["machinectl", "list"]),
        "show": measure(["machinectl", "show", "bench-1"]),
        "status": measure(["machinectl", "status", "bench-1"]),
        "image-status": measure(["machinectl", "image-status", "bench-image"]),
        "kill": measure(["machinectl", "kill", "--signal=CONT", "bench-1"]),
        "terminate": measure_terminate(),
        "shell": measure(["machinectl", "--quiet", "shell", "bench-1", "/bin/true"]),
        "exec": measure(COMMAND),
        "copy-1k": measure_copy(1),
        "copy-100m": measure_copy(100 << 10),
    }
    if len(sys.argv) > 1:
        figures["floor"] = measure([sys.argv[1], "/run/systemd/machine/io.systemd.Machine"])
    run(["machinectl", "terminate", "bench-1"])
    for leader in leaders:
        leader.kill()
        leader.wait()
    print(json.dumps(figures))


main()
