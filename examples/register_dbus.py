#!/usr/bin/python3
"""Runs a command as a machine, registered over D-Bus: register_dbus.py NAME COMMAND [ARGUMENT…]

Needs python3-dbus.
"""

import subprocess
import sys

import dbus

if len(sys.argv) < 3:
    sys.exit("usage: register_dbus.py NAME COMMAND [ARGUMENT…]")
name, *command = sys.argv[1:]
bus = dbus.SystemBus()
manager = dbus.Interface(
    bus.get_object("org.freedesktop.machine1", "/org/freedesktop/machine1"),
    "org.freedesktop.machine1.Manager",
)
leader = subprocess.Popen(command)
try:
    manager.CreateMachine(
        name,
        dbus.Array([], signature="y"),  # no id
        "example",
        "container",
        dbus.UInt32(leader.pid),
        "",  # no root directory
        dbus.Array([], signature="(sv)"),  # no further properties of the scope
    )
except dbus.DBusException as error:
    leader.kill()
    leader.wait()
    sys.exit(f"{error.get_dbus_name()}: {error.get_dbus_message()}")
sys.exit(leader.wait())
