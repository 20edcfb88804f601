#!/usr/bin/python3
# life.py kill COUNT     kills systemd-machined COUNT times while clients call it all the time; prints how calls ended
# life.py reexec COUNT   re-executes PID 1 COUNT times while machines are created and terminated; prints what failed
# Both print one JSON object.
import json
import subprocess
import sys
import threading
import time

import dbus
import dbus.bus

NAME = "org.freedesktop.machine1"
CALLERS = 4
SERVICE = "systemd-machined.service"


def ask_manager(bus, method, signature="", *arguments):
    # By the service's name: an object of the library looks up its owner first, which may be killed before the call.
    return bus.call_blocking(NAME, "/org/freedesktop/machine1", NAME + ".Manager", method, signature, arguments)


def call(outcomes, lock, work):
    begin = time.monotonic()
    try:
        work()
        name = "done"
    except dbus.DBusException as error:
        name = error.get_dbus_name().rsplit(".", 1)[-1]
    with lock:
        outcomes[name] = outcomes.get(name, 0) + 1
        outcomes["slowest"] = max(outcomes.get("slowest", 0), time.monotonic() - begin)


def main_pid():
    show = subprocess.run(["systemctl", "show", "-P", "MainPID", SERVICE], capture_output=True, text=True)
    return int(show.stdout.strip() or 0)


def kill(count):
    outcomes, lock, end = {}, threading.Lock(), threading.Event()

    def ask():
        bus = dbus.bus.BusConnection(dbus.bus.BusConnection.TYPE_SYSTEM)
        while not end.is_set():
            call(outcomes, lock, lambda: ask_manager(bus, "ListMachines"))

    callers = [threading.Thread(target=ask) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    killed = set()
    answered = -1
    # Each daemon has answered a call before it is killed; every third is killed while it starts.
    while len(killed) < count:
        pid = main_pid()
        done = outcomes.get("done", 0)
        if pid > 0 and pid not in killed and (done > answered or len(killed) % 3 == 0):
            answered = done
            subprocess.run(["kill", "-KILL", str(pid)], stderr=subprocess.DEVNULL)
            killed.add(pid)
    end.set()
    for caller in callers:
        caller.join()
    return outcomes


def reexec(count):
    outcomes, lock, end = {}, threading.Lock(), threading.Event()

    def work(index):
        bus = dbus.bus.BusConnection(dbus.bus.BusConnection.TYPE_SYSTEM)
        number = 0
        while not end.is_set():
            number += 1
            name = f"life-{index}-{number}"
            leader = subprocess.Popen(["sleep", "infinity"])
            call(outcomes, lock, lambda: ask_manager(
                bus, "CreateMachine", "sayssusa(sv)", name, bytes(16), "life", "container", leader.pid, "", []))
            call(outcomes, lock, lambda: ask_manager(bus, "TerminateMachine", "s", name))
            leader.wait()

    workers = [threading.Thread(target=work, args=(index,)) for index in range(CALLERS)]
    for worker in workers:
        worker.start()
    for _ in range(count):
        wanted = outcomes.get("done", 0) + 4 * CALLERS
        # 252 disconnects systemctl as well.
        subprocess.run(["systemctl", "daemon-reexec"], stderr=subprocess.DEVNULL)
        while outcomes.get("done", 0) < wanted and sum(map(int, outcomes.values())) < 100 * wanted:
            time.sleep(0.01)
    end.set()
    for worker in workers:
        worker.join()
    return outcomes


print(json.dumps({"kill": kill, "reexec": reexec}[sys.argv[1]](int(sys.argv[2]))))
