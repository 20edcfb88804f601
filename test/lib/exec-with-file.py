#!/usr/bin/python3
# python3 exec-with-file.py SOCKET MACHINE FILE [COUNT]: sends COUNT calls of io.machined.Exec.Run with a file as
# standard input, each on a connection of its own, prints "sent", and waits until it is killed.
import array
import json
import os
import signal
import socket
import sys

path, machine, file, *rest = sys.argv[1:]
null = os.open("/dev/null", os.O_RDWR)
opened = os.open(file, os.O_RDONLY)
connections = []
for _ in range(int(rest[0]) if rest else 1):
    call = {"method": "io.machined.Exec.Run", "parameters": {"machine": machine, "command": ["cat"]}}
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    numbers = array.array("i", [opened, null, null])
    connection.sendmsg([json.dumps(call).encode() + b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
    connections.append(connection)
print("sent", flush=True)
signal.pause()
