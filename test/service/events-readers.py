"""Callers of io.machined.Events: events-readers.py UID SOCKET COUNT [CALL]

Subscribes over COUNT connections as the user, or makes the CALL, prints how many were not refused, and keeps them open.
"""

import json
import os
import socket
import sys

uid, path, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
SUBSCRIBE = '{"method":"io.machined.Events.Subscribe","more":true}'
CALL = (sys.argv[4] if len(sys.argv) > 4 else SUBSCRIBE).encode() + b"\0"
held = []
good = 0
for _ in range(count):
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(path)
    peer.sendall(CALL)
    answer = b""
    while not answer.endswith(b"\0"):
        answer += peer.recv(4096)
    reply = json.loads(answer[:-1])
    good += "error" not in reply
    held.append(peer)
print(f"{good} of {count}", flush=True)
sys.stdin.read()
