#!/usr/bin/python3
# scale.py COUNT   registers COUNT machines with the running machined, with the host's default limits, and lets them
#                  end. Prints a JSON object with the measured values by name. Runs inside a bed, in a unit with
#                  Delegate=, below which it makes a control group for each machine; see scale.ts.
import json
import os
import statistics
import subprocess
import sys
import time

import dbus

COUNT = int(sys.argv[1])
NAME = "org.freedesktop.machine1"
UNIT = "systemd-machined.service"
CALL_SECONDS = 120
SETTLED_SECONDS = 30
GROUP = "/sys/fs/cgroup" + open("/proc/self/cgroup").read().strip().split("::", 1)[1]
bus = dbus.SystemBus()
figures = {}


def manager():
    return dbus.Interface(bus.get_object(NAME, "/org/freedesktop/machine1", introspect=False), NAME + ".Manager")


# The number of machines without the host itself.
def machines():
    return len([row for row in manager().ListMachines(timeout=CALL_SECONDS) if row[0] != ".host"])


def require_machines(wanted, when):
    found = machines()
    if found != wanted:
        sys.exit(f"{found} machines {when}, {wanted} expected")


def daemon():
    return int(subprocess.run(["systemctl", "show", "-P", "MainPID", UNIT], capture_output=True, text=True).stdout)


# The processor time of the daemon's threads until now.
def daemon_cpu_ms():
    fields = open(f"/proc/{daemon()}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


# The memory of the daemon some seconds after its last call: it has collected garbage, and its engine has given the
# memory back to the system.
def memory_mib():
    time.sleep(SETTLED_SECONDS)
    for line in open(f"/proc/{daemon()}/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    sys.exit("the daemon has no RssAnon")


# Makes a control group below the unit's, and moves a process into it.
def move(pid, group):
    os.mkdir(f"{GROUP}/{group}")
    with open(f"{GROUP}/{group}/cgroup.procs", "w") as file:
        file.write(str(pid))


def taken_ms(action):
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


def listed():
    subprocess.run(["machinectl", "list", "--no-pager"], stdout=subprocess.DEVNULL, check=True)


def restart():
    subprocess.run(["systemctl", "restart", UNIT], check=True)
    require_machines(COUNT, "after the restart")


def end_all(leaders):
    for leader in leaders:
        leader.kill()
    for leader in leaders:
        leader.wait()
    start = time.perf_counter()
    while machines() > 0:
        if time.perf_counter() - start > CALL_SECONDS:
            sys.exit(f"the machines did not end within {CALL_SECONDS} s")
        time.sleep(0.1)


subprocess.run(["systemctl", "restart", UNIT], check=True)
require_machines(0, "before the first")
figures["memory-before"] = memory_mib()

move(os.getpid(), "manager")
leaders = []
start = time.perf_counter()
cpu_before = daemon_cpu_ms()
for i in range(COUNT):
    # Without the standard streams of this script, so that its output ends when it fails, even if these processes run.
    leader = subprocess.Popen(["/bin/sleep", "infinity"], start_new_session=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    leaders.append(leader)
    move(leader.pid, f"machine-{i}")
    manager().RegisterMachine(f"many-{i}", dbus.Array([], signature="y"), "bench", "container",
                              dbus.UInt32(leader.pid), "", timeout=CALL_SECONDS)
figures["create"] = COUNT / (time.perf_counter() - start)
figures["create-cpu"] = (daemon_cpu_ms() - cpu_before) / COUNT
require_machines(COUNT, "after registering them")

figures["list"] = statistics.median(taken_ms(listed) for _ in range(5))
figures["ListMachines"] = statistics.median(taken_ms(machines) for _ in range(9))
figures["memory-all"] = memory_mib()
figures["restart"] = statistics.median(taken_ms(restart) for _ in range(3))
figures["memory-restarted"] = memory_mib()
figures["ended"] = taken_ms(lambda: end_all(leaders))
figures["memory-after"] = memory_mib()
print(json.dumps(figures))
