#!/usr/bin/python3
# python3 file-on-bus.py SOCKET FILE HELLO CALL COUNT: connects to a bus, and sends the messages HELLO, and COUNT times
# CALL with a descriptor of FILE (both messages in hexadecimal). Prints "answered" when all were answered with an error,
# and waits until its standard input ends.
import array
import os
import socket
import struct
import sys


def line(connection):
    text = b""
    while not text.endswith(b"\r\n"):
        text += connection.recv(1)
    return text


def main():
    path, name, hello, call, count = sys.argv[1:]
    number = os.open(name, os.O_RDONLY)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    connection.send(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
    line(connection)
    connection.send(b"NEGOTIATE_UNIX_FD\r\n")
    line(connection)
    connection.send(b"BEGIN\r\n" + bytes.fromhex(hello))
    # dbus-daemon drops descriptors that arrive before it has begun to read messages.
    connection.recv(65536)
    message = bytearray.fromhex(call)
    for serial in range(2, 2 + int(count)):
        struct.pack_into("<I", message, 8, serial)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [number]))]
        connection.sendmsg([message], rights)
    received = b""
    while received.count(b"org.freedesktop.DBus.Error") < int(count):
        received += connection.recv(65536)
    print("answered", flush=True)
    sys.stdin.read()


main()
