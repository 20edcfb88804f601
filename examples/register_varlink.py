#!/usr/bin/env python3
"""Runs a command as a machine, registered over Varlink: register_varlink.py NAME COMMAND [ARGUMENT…]

Needs nothing but Python: a Varlink message is JSON with a zero byte behind it.
"""

import json
import os
import socket
import subprocess
import sys

RUNTIME = os.environ.get("MACHINED_RUNTIME_DIRECTORY", "/run/systemd")


class VarlinkError(Exception):
    pass


def call(method, parameters):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.connect(f"{RUNTIME}/machine/io.systemd.Machine")
        stream.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
        message = b""
        while not message.endswith(b"\0"):
            part = stream.recv(65536)
            if not part:
                raise VarlinkError("the daemon closed the connection")
            message += part
    reply = json.loads(message[:-1])
    if "error" in reply:
        raise VarlinkError(f"{reply['error']} {reply.get('parameters', {})}")
    return reply.get("parameters", {})


if len(sys.argv) < 3:
    sys.exit("usage: register_varlink.py NAME COMMAND [ARGUMENT…]")
name, *command = sys.argv[1:]
leader = subprocess.Popen(command)
try:
    call(
        "io.systemd.Machine.Register",
        {
            "name": name,
            "class": "container",
            "service": "example",
            "leader": leader.pid,
            "allocateUnit": True,  # a scope of its own
        },
    )
except (OSError, VarlinkError) as error:
    leader.kill()
    leader.wait()
    sys.exit(str(error))
sys.exit(leader.wait())
