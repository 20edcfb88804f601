#!/usr/bin/python3
"""Terminals, shells, bind mounts and copies for running machines, called over D-Bus on a booted host.

Needs a booted container `deb1` (with a user namespace) in /var/lib/machines. Prints "PASS NAME" or "FAIL NAME: …".
"""
import os, re, subprocess, sys, time, traceback
import dbus

NAME, PATH = "org.freedesktop.machine1", "/org/freedesktop/machine1"
bus = dbus.SystemBus()
m = dbus.Interface(bus.get_object(NAME, PATH, introspect=False), NAME + ".Manager")
children, failures, CHECKS = [], 0, []
CONTAINERS = "/var/lib/machines/deb1"
VERSION = int(re.search(r"\d+", subprocess.run(["systemctl", "--version"], capture_output=True, text=True).stdout)[0])


def sh(*command):
    return subprocess.run(command, capture_output=True, text=True)


def error(call, *args):
    try:
        call(*args)
    except dbus.DBusException as e:
        return e.get_dbus_name().replace("org.freedesktop.DBus.Error.", "") + ": " + (e.get_dbus_message() or "")
    return "no error"


def equal(got, wanted):
    assert got == wanted, f"{got!r}, not {wanted!r}"


def has(text, *parts):
    for part in parts:
        assert part in str(text), f"{text!r} has no {part!r}"


def check(name):
    def add(f):
        CHECKS.append((name, f))
        return f
    return add


def register(name, cls="container", *prefix):
    child = subprocess.Popen([*prefix, "sleep", "900"], start_new_session=True)
    children.append(child)
    end = time.monotonic() + 240
    while open(f"/proc/{child.pid}/comm").read().strip() != "sleep":
        assert time.monotonic() < end
        time.sleep(.01)
    m.CreateMachine(name, dbus.Array([], signature="y"), "x", cls, dbus.UInt32(child.pid), "", dbus.Array([], signature="(sv)"))


def read(fd, until, seconds=240, hangups="end"):
    """Returns the output up to a text. A login prompt's terminal hangs up between two gettys, which is not its end."""
    fd = fd.take()
    os.set_blocking(fd, False)
    text, end = b"", time.monotonic() + seconds
    while until not in text and time.monotonic() < end:
        try:
            piece = os.read(fd, 4096)
            text += piece
        except BlockingIOError:
            time.sleep(.02)
        except OSError:
            if hangups == "end":
                break
            time.sleep(.05)
    os.close(fd)
    return text.decode(errors="replace")


def shell(user, path, args=(), env=()):
    return m.OpenMachineShell("deb1", user, path, dbus.Array(args, signature="s"), dbus.Array(env, signature="s"))


NOT = "NotSupported: Operation not supported"


@check("M106 M132 terminals and root directories are opened for a container and the host, not for a virtual machine")
def _():
    for name in ("deb1", ".host"):
        fd, path = m.OpenMachinePTY(name)
        assert re.fullmatch(r"/dev/pts/\d+", path), path
        os.close(fd.take())
        root = m.OpenMachineRootDirectory(name).take()
        assert "etc" in os.listdir(root)
        if name == ".host":
            equal(os.fstat(root).st_ino, os.stat("/").st_ino)
        os.close(root)
    equal(error(m.OpenMachinePTY, "vm"), NOT)
    equal(error(m.OpenMachineLogin, "vm"), NOT)
    equal(error(m.OpenMachineShell, "vm", "", "", dbus.Array([], signature="s"), dbus.Array([], signature="s")), NOT)
    has(error(m.OpenMachineRootDirectory, "vm"), "NotSupported: Opening the root directory is only supported on container machines.")


@check("M108 a login prompt runs in the container's getty service")
def _():
    fd, path = m.OpenMachineLogin("deb1")
    number = path.rsplit("/", 1)[1]
    has(read(fd, b"login:", hangups="wait"), "login:")
    has(sh("systemctl", "-M", "deb1", "show", "-P", "LoadState", f"container-getty@{number}.service").stdout, "loaded")


@check("M109 the error for a container without a bus says so")
def _():
    os.makedirs("/run/inside-root/bin", exist_ok=True)
    sh("cp", "/bin/busybox", "/run/inside-root/bin/sleep")
    os.makedirs("/run/inside-root/dev/pts", exist_ok=True)
    child = subprocess.Popen(["unshare", "--mount", "sh", "-c", "mount -t devpts -o newinstance,ptmxmode=666 d /run/inside-root/dev/pts;"
                              "ln -sf pts/ptmx /run/inside-root/dev/ptmx; exec chroot /run/inside-root /bin/sleep 900"], start_new_session=True)
    children.append(child)
    while open(f"/proc/{child.pid}/comm").read().strip() != "sleep":
        time.sleep(.01)
    m.CreateMachine("nobus", dbus.Array([], signature="y"), "x", "container", dbus.UInt32(child.pid), "", dbus.Array([], signature="(sv)"))
    equal(error(m.OpenMachineLogin, "nobus"), "FileNotFound: There is no system bus in container nobus.")


@check("M110 M111 M115 invalid paths, environments and users are refused")
def _():
    has(error(shell, "root", "true"), "InvalidArgs: Specified path 'true' is not absolute")
    has(error(shell, "root", "/bin/true", (), ("FOO",)), "InvalidArgs: Invalid environment assignments")
    has(error(shell, "a:b", "/bin/true"), "InvalidArgs: Invalid user name 'a:b'")
    has(read(shell("0", "/usr/bin/id")[0], b"\n"), "uid=0")


@check("M112 M114 an empty path means the user's login shell without arguments; without arguments argv[0] is the path")
def _():
    fd, _path = shell("", "", ("echo", "not-this"))
    number = fd.take()
    os.set_blocking(number, False)
    text, end, sent = b"", time.monotonic() + 240, False
    while b"OUT=0" not in text and time.monotonic() < end:
        try:
            text += os.read(number, 4096)
        except BlockingIOError:
            if not sent and (b"#" in text or b"$" in text):
                os.write(number, b"shopt login_shell; echo OUT=$((1-1))\n")
                sent = True
            time.sleep(.05)
    os.close(number)
    assert re.search(r"login_shell\s+on", text.decode(errors="replace")), text
    assert b"not-this" not in text, text
    has(read(shell("root", "/bin/sh", ())[0], b"#"), "#")
    has(read(shell("root", "/usr/bin/printf", ("printf", "<%s>", "it's \"a\nb\""))[0], b">"), "<it's \"a", "b\">")


@check("M113 the shell's unit has the properties that a session needs")
def _():
    fd, path = shell("root", "/bin/sh", ("sh", "-c", "echo here; exec sleep 900"), ("A=b c",))
    unit = f"container-shell@{path.rsplit('/', 1)[1]}.service"
    show = dict(l.split("=", 1) for l in sh("systemctl", "-M", "deb1", "show", unit).stdout.splitlines() if "=" in l)
    for key, wanted in (("User", "root"), ("PAMName", "login"), ("KillMode", "mixed"), ("SendSIGHUP", "yes"), ("IgnoreSIGPIPE", "no"),
                        ("TTYPath", path), ("TTYReset", "yes"), ("UtmpMode", "user"), ("Description", "Shell for User root")):
        equal(show.get(key), wanted)
    has(show["Environment"], "A=b c")
    # It must have opened its terminal before that hangs up, or it does not end.
    has(read(fd, b"here"), "here")


@check("M117 M118 M119 M121 errors of impossible bind mounts have the reason")
def _():
    bind = lambda name, src, dst="": error(m.BindMountMachine, name, src, dst, False, False)
    for name in (".host", "vm"):
        has(bind(name, "/etc"), "NotSupported: Bind mounting is only supported on container machines.")
    has(bind("shared", "etc"), "InvalidArgs: Source path must be absolute and normalized.")
    has(bind("shared", "/etc/../x"), "InvalidArgs: Source path must be absolute and normalized.")
    has(bind("shared", "/etc"), "InvalidArgs: Failed to mount /etc on /etc in machine's namespace: Invalid argument")


@check("M122 without a destination a bind mount has the source's path, and read-only mounts cannot be written")
def _():
    register("own", "container", "unshare", "--mount", "--propagation", "private")
    os.makedirs("/run/inside-bind", exist_ok=True)
    open("/run/inside-bind/f", "w").write("here")
    pid = int(dbus.Interface(bus.get_object(NAME, m.GetMachine("own"), introspect=False), "org.freedesktop.DBus.Properties").Get(NAME + ".Machine", "Leader"))
    m.BindMountMachine("own", "/run/inside-bind", "", True, False)
    line = [l for l in open(f"/proc/{pid}/mountinfo") if " /run/inside-bind " in l][-1]
    has(line.split()[5], "ro")
    m.BindMountMachine("own", "/run/inside-bind", "/run/inside-new/place", False, True)
    equal(open(f"/proc/{pid}/root/run/inside-new/place/f").read(), "here")


@check("M123 M124 M125 M126 M127 M128 M130 errors of impossible copies have the reason")
def _():
    copy = lambda *a: error(m.CopyToMachine, *a)
    open("/tmp/inside-f", "w").write("one")
    sh("rm", "-f", CONTAINERS + "/root/inside-f")
    m.CopyToMachine("deb1", "/tmp/inside-f", "/root/inside-f")
    equal(copy("deb1", "/tmp/inside-f", "/root/inside-f"), "FileExists: File exists")
    open("/tmp/inside-f", "w").write("two")
    m.CopyToMachineWithFlags("deb1", "/tmp/inside-f", "/root/inside-f", dbus.UInt64(1))
    equal(open(CONTAINERS + "/root/inside-f").read(), "two")
    equal(error(m.CopyToMachineWithFlags, "deb1", "/tmp/inside-f", "/root/x", dbus.UInt64(2)), "InvalidArgs: Invalid argument")
    has(copy("deb1", "/", "/root/x"), "BadAddress")
    has(copy("deb1", "/nonexist", "/root/x"), "FileNotFound")
    has(error(m.CopyFromMachine, "deb1", "/etc/hostname", "/nonexistdir/x"), "FileNotFound: Failed to open host directory /nonexistdir")
    has(copy("deb1", "etc/hostname", "/root/x"), "InvalidArgs: Source path must be absolute")
    # Before 258 paths are resolved by the kernel.
    refusal = "InvalidArgs" if VERSION >= 258 else "no error"
    has(copy("deb1", "/etc/../etc/hostname", "/root/up"), refusal)
    equal(os.path.exists(CONTAINERS + "/root/up"), VERSION < 258)
    for name in (".host", "vm"):
        has(copy(name, "/etc/hostname", "/tmp/x"), "NotSupported: Copying files is only supported on container machines.")


@check("M129 copied files belong to the container's root inside, and to root outside")
def _():
    shift = int(m.GetMachineUIDShift("deb1"))
    assert shift > 0
    os.chown("/tmp/inside-f", 1234, 1234)
    m.CopyToMachineWithFlags("deb1", "/tmp/inside-f", "/root/inside-f", dbus.UInt64(1))
    st = os.stat(CONTAINERS + "/root/inside-f")
    # The container's tree may be an idmapped mount: then the owner here is 0.
    assert (st.st_uid, st.st_gid) in ((shift, shift), (0, 0)), st
    sh("rm", "-f", "/tmp/inside-back")
    m.CopyFromMachine("deb1", "/root/inside-f", "/tmp/inside-back")
    st = os.stat("/tmp/inside-back")
    equal((st.st_uid, st.st_gid), (0, 0))


@check("two hundred shells leave no descriptor, unit or process behind")
def _():
    daemon = sh("systemctl", "show", "-P", "MainPID", "systemd-machined.service").stdout.strip()
    count = lambda: len(os.listdir(f"/proc/{daemon}/fd"))
    read(shell("root", "/bin/true")[0], b"never")
    before = count()
    for _ in range(200):
        fd, _path = shell("root", "/bin/true")
        os.close(fd.take())
    left = lambda: sh("systemctl", "-M", "deb1", "list-units", "--no-legend", "--state=running", "container-shell@*")
    look = lambda: (count() <= before + 2, left().returncode, left().stdout.strip(), sh("pgrep", "-f", "machined-worker").stdout)
    end = time.monotonic() + 240
    while look() != (True, 0, "", "") and time.monotonic() < end:
        time.sleep(.05)
    equal(look(), (True, 0, "", ""))


@check("a stopped container does not block calls for others")
def _():
    pid = int(dbus.Interface(bus.get_object(NAME, m.GetMachine("deb1"), introspect=False), "org.freedesktop.DBus.Properties").Get(NAME + ".Machine", "Leader"))
    pids = [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()] + [pid]
    for p in pids:
        os.kill(p, 19)
    try:
        began = time.perf_counter()
        pending = subprocess.Popen(["busctl", "--timeout=20", "call", NAME, PATH, NAME + ".Manager", "OpenMachineShell", "sssasas", "deb1", "", "/bin/true", "0", "0"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        worst = 0
        while pending.poll() is None:
            a = time.perf_counter()
            m.ListMachines()
            m.GetMachineAddresses("deb1")
            worst = max(worst, time.perf_counter() - a)
        held = time.perf_counter() - began
        print(f"the slowest call meanwhile: {worst * 1e3:.1f} ms of {held * 1e3:.0f}")
        assert pending.returncode != 0
        # A call that it blocks would wait as long as the container is stopped.
        assert worst < held / 2, (worst, held)
    finally:
        for p in pids:
            os.kill(p, 18)


def main():
    global failures
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    register("vm", "vm")
    register("shared")
    for name, body in CHECKS:
        if pattern not in name:
            continue
        try:
            body()
            print("PASS", name, flush=True)
        except Exception as e:
            failures += 1
            where = traceback.extract_tb(e.__traceback__)
            line = next((f.lineno for f in reversed(where) if f.filename == __file__), 0)
            print("FAIL", name + ":", f"line {line}:", type(e).__name__, str(e).replace("\n", " | ")[:500], flush=True)
    for child in children:
        child.kill()
        child.wait()
    sys.exit(failures > 0)


main()
