#!/usr/bin/python3
# machines.py create COUNT [PREFIX]   register sleeping processes as machines (CreateMachine), name them PREFIX1 …
# machines.py facts                   the properties of each machine that every release has, as JSON
import json
import subprocess
import sys

import dbus

BUS = dbus.SystemBus()
NAME = "org.freedesktop.machine1"
FACTS = ("Name", "Id", "Timestamp", "TimestampMonotonic", "Service", "Unit", "Leader", "Class", "RootDirectory",
         "NetworkInterfaces", "State")


def manager():
    # A new daemon has a new unique name, so that the object is looked up at each use.
    return dbus.Interface(BUS.get_object(NAME, "/org/freedesktop/machine1", introspect=False), NAME + ".Manager")


def plain(value):
    if isinstance(value, dbus.Array):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, str) else int(value)


def create(count, prefix):
    for i in range(1, count + 1):
        leader = subprocess.Popen(["sleep", "infinity"], start_new_session=True, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ident = dbus.ByteArray(bytes([i % 256] * 16))
        manager().CreateMachine(f"{prefix}{i}", ident, "test-suite", "vm" if i % 3 == 0 else "container",
                                dbus.UInt32(leader.pid), f"/srv/{prefix}{i}" if i % 2 else "",
                                dbus.Array([], signature="(sv)"))


def facts():
    found = {}
    for name, kind, _service, path in manager().ListMachines():
        if kind == "host":
            continue
        properties = dbus.Interface(BUS.get_object(NAME, path, introspect=False), "org.freedesktop.DBus.Properties")
        all_of_it = properties.GetAll(NAME + ".Machine")
        found[str(name)] = {key: plain(all_of_it[key]) for key in FACTS}
    print(json.dumps(found, sort_keys=True))


if sys.argv[1] == "create":
    create(int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "m")
elif sys.argv[1] == "facts":
    facts()
