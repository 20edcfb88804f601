#!/usr/bin/python3
# measure.py COUNT [FOLDER]   measures the running machined and the machinectl in PATH with COUNT machines, and the NSS
#                             module in FOLDER (default: the installed one). Prints a JSON object with the measured
#                             values by name. Runs inside a bed; see run.ts.
#
# The machines are `sleep` processes in scopes that CreateMachine() makes. RegisterMachine() cannot be used: it
# registers the caller's unit, and a unit can belong to one machine only.
import fcntl
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import time

import dbus
import dbus.bus
import dbus.lowlevel

COUNT = int(sys.argv[1])
MODULES = sys.argv[2] if len(sys.argv) > 2 else ""
IMAGES = 1000
BTRFS_IOC_SUBVOL_CREATE = 0x5000940E
NAME = "org.freedesktop.machine1"
bus = dbus.SystemBus()
figures = {}


def manager(connection=bus):
    return dbus.Interface(connection.get_object(NAME, "/org/freedesktop/machine1", introspect=False), NAME + ".Manager")


def run(*command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode


def median_ms(action, times, warm_up=1):
    for _ in range(warm_up):
        action()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        taken.append((time.perf_counter() - start) * 1e3)
    return statistics.median(taken)


def daemon():
    shown = subprocess.run(["systemctl", "show", "-P", "MainPID", "systemd-machined.service"], capture_output=True, text=True)
    return int(shown.stdout)


def memory_mib(key):
    for line in open(f"/proc/{daemon()}/status"):
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


# The original requests a reference to each scope from systemd, for which systemd adds a match rule to its connection,
# so that dbus-daemon's default limit of 512 rules is reached at about 500 machines. Both programs are measured with a
# higher limit.
def widen_bus_limits():
    with open("/etc/dbus-1/system-local.conf", "w") as file:
        file.write('<busconfig><limit name="max_match_rules_per_connection">20000</limit>'
                   '<limit name="max_replies_per_connection">4096</limit></busconfig>\n')
    run("busctl", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ReloadConfig")


leaders = []


def create(until):
    for i in range(len(leaders), until):
        # Without the standard streams of this script, so that its output ends when it fails, even if these processes
        # run.
        leader = subprocess.Popen(["/bin/sleep", "infinity"], start_new_session=True, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        manager().CreateMachine(f"bench-{i}", dbus.Array([], signature="y"), "bench", "container",
                                dbus.UInt32(leader.pid), "", dbus.Array([], signature="(sv)"))
        leaders.append(leader)


POOL = "/var/lib/machines"


# Makes equal numbers of trees and disk images.
def make_images():
    for i in range(IMAGES // 2):
        os.makedirs(f"{POOL}/tree-{i}/etc")
        with open(f"{POOL}/tree-{i}/etc/os-release", "w") as file:
            file.write("ID=bench\nPRETTY_NAME=Bench\n")
        with open(f"{POOL}/disk-{i}.raw", "w") as file:
            file.truncate(1 << 20)


# Makes subvolumes, which clones and imports are in a pool on btrfs such as that of a bed.
def make_subvolumes():
    pool = os.open(POOL, os.O_RDONLY)
    for i in range(IMAGES):
        fcntl.ioctl(pool, BTRFS_IOC_SUBVOL_CREATE, bytearray(struct.pack("<q4088s", 0, f"tree-{i}".encode())))
    os.close(pool)


def remove_images():
    for entry in os.scandir(POOL):
        shutil.rmtree(entry) if entry.is_dir() else os.unlink(entry)


def fork(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


# A client has a connection of its own, and is a function that makes one call.
def machine_client():
    own = manager(dbus.bus.BusConnection(dbus.bus.BusConnection.TYPE_SYSTEM))
    return lambda: own.GetMachine("bench-0")


def list_client():
    own = manager(dbus.bus.BusConnection(dbus.bus.BusConnection.TYPE_SYSTEM))
    return lambda: own.ListMachines()


# Waits for the reply, whose thousands of values are not made objects of Python.
def list_reply():
    call = dbus.lowlevel.MethodCallMessage(NAME, "/org/freedesktop/machine1", NAME + ".Manager", "ListMachines")
    bus.send_message_with_reply_and_block(call)


def properties_client():
    connection = dbus.bus.BusConnection(dbus.bus.BusConnection.TYPE_SYSTEM)
    path = manager(connection).GetMachine("bench-0")
    machine = dbus.Interface(connection.get_object(NAME, path, introspect=False), "org.freedesktop.DBus.Properties")
    return lambda: machine.GetAll(NAME + ".Machine")


MACHINE_SOCKET = "/run/systemd/machine/io.systemd.Machine"
USER_SOCKET = "/run/systemd/userdb/io.systemd.Machine"


# Returns a function that calls a method over Varlink and returns the reply.
def varlink(path, method, **parameters):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    call = json.dumps({"method": method, "parameters": parameters}).encode() + b"\0"

    def ask():
        connection.sendall(call)
        reply = b""
        while not reply.endswith(b"\0"):
            part = connection.recv(1 << 20)
            if not part:
                sys.exit(f"{method}: the connection was closed")
            reply += part
        return json.loads(reply[:-1])

    return ask


def varlink_list_client():
    return varlink(MACHINE_SOCKET, "io.systemd.Machine.List", name="bench-0")


# Whether the daemon has the method: the original has it since systemd 257.
def has_varlink_list():
    return os.path.exists(MACHINE_SOCKET) and "error" not in varlink_list_client()()


def throughput(new_client, clients, calls):
    def work():
        call = new_client()
        for _ in range(calls):
            call()

    start = time.perf_counter()
    for pid in [fork(work) for _ in range(clients)]:
        os.waitpid(pid, 0)
    return clients * calls / (time.perf_counter() - start)


# The time that 99 of 100 calls of GetMachine take at most while other clients list all machines, read properties and
# call over Varlink without a pause.
def under_load():
    others = [list_client, list_client, properties_client] + ([varlink_list_client] if has_varlink_list() else [])

    def work(new_client):
        call = new_client()
        while True:
            call()

    children = [fork(lambda one=one: work(one)) for one in others]
    try:
        call = machine_client()
        taken = []
        for _ in range(500):
            start = time.perf_counter()
            call()
            taken.append((time.perf_counter() - start) * 1e3)
        return sorted(taken[10:])[int(len(taken[10:]) * 0.99)]
    finally:
        for pid in children:
            os.kill(pid, 9)
            os.waitpid(pid, 0)


LOOK_UP = """
import ctypes, statistics, sys, time
class Buffer(ctypes.Structure): _fields_ = [("data", ctypes.c_char * 65536)]
module = ctypes.CDLL("libnss_mymachines.so.2")
look_up = module._nss_mymachines_gethostbyname2_r
taken = []
for _ in range(400):
    buffer, hostent, errno_, h_errno = ctypes.create_string_buffer(4096), ctypes.create_string_buffer(64), ctypes.c_int(), ctypes.c_int()
    start = time.perf_counter()
    status = look_up(b"bench-net", 2, hostent, buffer, 4096, ctypes.byref(errno_), ctypes.byref(h_errno))
    taken.append((time.perf_counter() - start) * 1e3)
    if status != 1: sys.exit(f"no address: {status}")
print(statistics.median(taken[20:]))
"""


# Measures look-ups of the address of a machine with its own network, by a process that loads the module.
def name_lookup():
    network = "ip link add v0 type veth peer name v1; ip addr add 10.9.8.7/24 dev v0; ip link set v0 up; ip link set v1 up"
    leader = subprocess.Popen(["unshare", "--net", "sh", "-c", network + "; exec sleep infinity"], start_new_session=True)
    time.sleep(0.5)
    manager().CreateMachine("bench-net", dbus.Array([], signature="y"), "bench", "container", dbus.UInt32(leader.pid), "",
                            dbus.Array([], signature="(sv)"))
    shown = subprocess.run([sys.executable, "-c", LOOK_UP], capture_output=True, text=True, check=True,
                           env={**os.environ, **({"LD_LIBRARY_PATH": MODULES} if MODULES else {})})
    manager().TerminateMachine("bench-net")
    leader.wait()
    # Under load, the original misses the end of a scope now and then, and lists the machine until its next start.
    given_up = time.perf_counter() + 10
    while time.perf_counter() < given_up and "bench-net" in [str(row[0]) for row in manager().ListMachines()]:
        time.sleep(0.05)
    return float(shown.stdout)


widen_bus_limits()
run("systemctl", "stop", "systemd-machined.service")
start = time.perf_counter()
manager().ListMachines()
figures["activation"] = (time.perf_counter() - start) * 1e3
# An idle daemon frees compiled code after twenty seconds.
time.sleep(26)
figures["anonymous-0"] = memory_mib("RssAnon")
figures["resident-0"] = memory_mib("VmRSS")
figures["version"] = median_ms(lambda: run("machinectl", "--version"), 40, 3)

for machines in sorted({1, min(100, COUNT), COUNT}):
    before = len(leaders)
    start = time.perf_counter()
    create(machines)
    if machines == COUNT:
        figures["create"] = (machines - before) / (time.perf_counter() - start)
    figures[f"list-{machines}"] = median_ms(lambda: run("machinectl", "list", "--no-pager"), 5 if machines > 200 else 15)

own = manager()

figures["ListMachines"] = median_ms(lambda: own.ListMachines(), 40, 5)
figures["ListMachines-reply"] = median_ms(list_reply, 40, 5)
figures["GetMachine"] = median_ms(lambda: own.GetMachine(f"bench-{COUNT - 1}"), 300, 20)
own_pid = dbus.UInt32(leaders[0].pid)
figures["GetMachineByPID"] = median_ms(lambda: own.GetMachineByPID(own_pid), 300, 20)
figures["GetAll"] = median_ms(properties_client(), 300, 20)
figures["throughput"] = throughput(machine_client, 4, 1000)
figures["GetAll-4"] = throughput(properties_client, 4, 500)
if has_varlink_list():
    figures["Varlink-List"] = median_ms(varlink_list_client(), 300, 20)
    figures["Varlink-List-4"] = throughput(varlink_list_client, 4, 500)
user = varlink(USER_SOCKET, "io.systemd.UserDatabase.GetUserRecord", userName="vu-bench-0-1", service="io.systemd.Machine")
figures["user"] = median_ms(user, 300, 20)
figures["under-load"] = under_load()
importer = dbus.Interface(bus.get_object("org.freedesktop.import1", "/org/freedesktop/import1", introspect=False),
                          "org.freedesktop.import1.Manager")
figures["ListTransfers"] = median_ms(importer.ListTransfers, 300, 20)
# Some seconds after the last call, the daemon has collected the garbage of the burst, and twenty seconds after it
# compiled code; its engine gives the memory back to the system some more seconds later.
time.sleep(30)
figures["anonymous-all"] = memory_mib("RssAnon")
figures["resident-all"] = memory_mib("VmRSS")

make_images()
figures["images"] = median_ms(lambda: run("machinectl", "list-images", "--no-pager"), 15)
figures["image-status"] = median_ms(lambda: run("machinectl", "image-status", "--no-pager", "tree-0"), 15)
figures["ListImages"] = median_ms(lambda: own.ListImages(), 40, 5)
remove_images()
make_subvolumes()
figures["subvolumes"] = median_ms(lambda: run("machinectl", "list-images", "--no-pager"), 5)
remove_images()

figures["name"] = name_lookup()

start = time.perf_counter()
run("systemctl", "restart", "systemd-machined.service")
listed = len(manager().ListMachines())
figures["restart"] = (time.perf_counter() - start) * 1e3
if listed != COUNT + 1:
    sys.exit(f"{listed} machines after the restart, {COUNT + 1} expected")

start = time.perf_counter()
for leader in leaders:
    leader.kill()
for leader in leaders:
    leader.wait()
while len(manager().ListMachines()) > 1:
    if time.perf_counter() - start > 120:
        sys.exit("the machines did not end within 120 s")
    time.sleep(0.02)
figures["killed"] = (time.perf_counter() - start) * 1e3
print(json.dumps(figures))
