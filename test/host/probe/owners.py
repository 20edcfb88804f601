#!/usr/bin/python3
"""What a user that may register machines may do (CVE-2026-4105): every method of registering, with every class and
leader, and every call that opens something in a machine, for its owner, another user and root, over D-Bus and Varlink.

Prints "PASS NAME" or "FAIL NAME: what was seen". Run as root on a throw-away host whose systemd lets users register.
"""
import json, os, re, socket, subprocess, sys, time
import dbus, dbus.lowlevel

NAME, PATH = "org.freedesktop.machine1", "/org/freedesktop/machine1"
SOCKET = "/run/systemd/machine/io.systemd.Machine"
OWNER, OTHER = 1001, 1002
RULE = "/etc/polkit-1/rules.d/49-owners.rules"
children = []


def spawn(*command):
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    children.append(child)
    end = time.monotonic() + 240
    while open(f"/proc/{child.pid}/comm").read().strip() != "sleep":
        assert time.monotonic() < end, command
        time.sleep(.01)
    return child.pid


def as_user(uid, code, *args):
    """Runs Python as that user; returns its output."""
    command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "/usr/bin/python3", "-c", code, *map(str, args)]
    r = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return (r.stdout + r.stderr).strip().replace("\n", " | ")


BUS = f"""
import dbus, dbus.lowlevel, sys
b = dbus.SystemBus()
def call(member, *args):
    m = dbus.lowlevel.MethodCallMessage({NAME!r}, {PATH!r}, {NAME + ".Manager"!r}, member)
    for sig, value in args: m.append(value, signature=sig)
    try:
        b.send_message_with_reply_and_block(m, 20); print("ok")
    except dbus.DBusException as e:
        print(e.get_dbus_name().split(".")[-1] + ": " + (e.get_dbus_message() or ""))
"""
VARLINK = f"""
import socket, json, sys
s = socket.socket(socket.AF_UNIX); s.connect({SOCKET!r})
def call(method, params):
    s.sendall(json.dumps({{"method": "io.systemd.Machine." + method, "parameters": params}}).encode() + b"\\0")
    a = b""
    while not a.endswith(b"\\0"):
        c = s.recv(65536)
        if not c: print("closed"); return
        a += c
    a = json.loads(a[:-1]); print(a.get("error", "ok").split(".")[-1])
"""
A = "('s',{name!r}),('ay',[]),('s','x'),('s',{cls!r}),('u',{pid}),('s','')"
WAYS = {
    "RegisterMachine": BUS + f"call('RegisterMachine',{A})",
    "RegisterMachineWithNetwork": BUS + f"call('RegisterMachineWithNetwork',{A},('ai',[]))",
    "RegisterMachineEx": BUS + "import os\nfd=os.pidfd_open({pid}) if {pid} else None\n"
        "call('RegisterMachineEx',('s',{name!r}),('a(sv)',[('Class',dbus.String({cls!r}))]+([('LeaderPIDFD',dbus.types.UnixFd(fd))] if fd else [])))",
    "CreateMachine": BUS + f"call('CreateMachine',{A},('a(sv)',[]))",
    "CreateMachineWithNetwork": BUS + f"call('CreateMachineWithNetwork',{A},('ai',[]),('a(sv)',[]))",
    "CreateMachineEx": BUS + "call('CreateMachineEx',('s',{name!r}),('a(sv)',[('Class',dbus.String({cls!r}))]),('a(sv)',[]))",
    "varlink Register": VARLINK + "call('Register',dict(name={name!r},**{'class':{cls!r}},leader={pid}))",
    "varlink Register allocateUnit": VARLINK + "call('Register',dict(name={name!r},**{'class':{cls!r}},leader={pid},allocateUnit=True))",
}


def fill(code, **values):
    for key, value in values.items():
        code = code.replace("{%s!r}" % key, repr(value)).replace("{%s}" % key, str(value))
    return code


def attempt(uid, way, name, cls, pid):
    return as_user(uid, fill(WAYS[way], name=name, cls=cls, pid=pid))


def names():
    b = dbus.SystemBus()
    return {str(r[0]) for r in dbus.Interface(b.get_object(NAME, PATH, introspect=False), NAME + ".Manager").ListMachines()}


def unregister(name):
    subprocess.run(["busctl", "call", NAME, PATH, NAME + ".Manager", "UnregisterMachine", "s", name], capture_output=True)


ENTRIES = {
    "OpenMachineShell": BUS + "call('OpenMachineShell',('s',{name!r}),('s',''),('s','/bin/true'),('as',[]),('as',[]))",
    "OpenMachineLogin": BUS + "call('OpenMachineLogin',('s',{name!r}))",
    "OpenMachinePTY": BUS + "call('OpenMachinePTY',('s',{name!r}))",
    "OpenMachineRootDirectory": BUS + "call('OpenMachineRootDirectory',('s',{name!r}))",
    "BindMountMachine": BUS + "call('BindMountMachine',('s',{name!r}),('s','/etc'),('s','/mnt'),('b',False),('b',False))",
    "CopyFromMachine": BUS + "call('CopyFromMachine',('s',{name!r}),('s','/etc/hostname'),('s','/tmp/owners-stolen'))",
    "CopyToMachine": BUS + "call('CopyToMachine',('s',{name!r}),('s','/etc/hostname'),('s','/tmp/owners-planted'))",
    "varlink Open shell": VARLINK + "call('Open',dict(name={name!r},mode='shell',path='/bin/true'))",
    "varlink Open login": VARLINK + "call('Open',dict(name={name!r},mode='login'))",
    "varlink Open tty": VARLINK + "call('Open',dict(name={name!r},mode='tty'))",
    "varlink OpenRootDirectory": VARLINK + "call('OpenRootDirectory',dict(name={name!r}))",
    "varlink BindMount": VARLINK + "call('BindMount',dict(name={name!r},source='/etc',destination='/mnt'))",
    "varlink CopyFrom": VARLINK + "call('CopyFrom',dict(name={name!r},source='/etc/hostname',destination='/tmp/owners-stolen'))",
}
CONTROLS = {
    "KillMachine": BUS + "call('KillMachine',('s',{name!r}),('s','leader'),('i',18))",
    "varlink Kill": VARLINK + "call('Kill',dict(name={name!r},whom='leader',signal=18))",
}
failures = 0


def report(name, problems):
    global failures
    failures += bool(problems)
    print(f"FAIL {name}: {'; '.join(problems)[:900]}" if problems else f"PASS {name}", flush=True)


def main():
    for uid in (OWNER, OTHER):
        subprocess.run(["useradd", "-u", str(uid), f"u{uid}"], capture_output=True)
    os.makedirs(os.path.dirname(RULE), exist_ok=True)
    open(RULE, "w").write('polkit.addRule(function(a,s){ if ((a.id=="%s.register-machine"||a.id=="%s.create-machine") && '
                          '(s.user=="u%d"||s.user=="u%d")) return polkit.Result.YES; });' % (NAME, NAME, OWNER, OTHER))
    subprocess.run(["systemctl", "restart", "polkit"], check=True)
    me = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups"]
    own, others, roots = spawn(*me, "sleep", "900"), spawn("setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups", "sleep", "900"), spawn("sleep", "900")
    userns = spawn(*me, "unshare", "--user", "--map-root-user", "sleep", "900")

    problems = []
    for way in WAYS:
        for cls in ("host", "bogus", ""):
            for pid in (0, own):
                r = attempt(OWNER, way, "evil", cls, pid)
                if r == "ok" or "evil" in names():
                    problems.append(f"{way} as {cls!r} with {pid}: {r}")
                    unregister("evil")
    report("no method registers a machine of class host, of an unknown class, or without one", problems)

    problems = []
    for way in (w for w in WAYS if w != "CreateMachineEx"):
        for what, pid in (("another user's", others), ("root's", roots), ("PID 1", 1)):
            r = attempt(OWNER, way, "evil", "container", pid)
            if r == "ok" or "evil" in names():
                problems.append(f"{way} of {what}: {r}")
                unregister("evil")
    report("no method registers a process of another user", problems)

    problems = []
    for number, way in enumerate(w for w in WAYS if w != "CreateMachineEx"):
        # A scope exists longer than its registration, so that each machine needs its own name and scope.
        r = attempt(OWNER, way, f"mine-{number}", "container", own)
        if r != "ok":
            problems.append(f"{way}: {r}")
        unregister(f"mine-{number}")
    report("every method registers a process of the caller", problems)

    kinds = (
        ("in the host's user namespace", own, "are refused, also for its owner"),
        ("in its own user namespace", userns, "are opened for its owner only"),
    )
    for kind, pid, allowed in kinds:
        attempt(OWNER, "RegisterMachine", "mine", "container", pid)
        problems = []
        for entry, code in ENTRIES.items():
            for who, uid in (("the owner", OWNER), ("another user", OTHER)):
                r = as_user(uid, fill(code, name="mine"))
                # Its owner gets terminals and shells (which fail here, because there is no bus), but none of the host's
                # root.
                isOwners = who == "the owner" and re.search("PTY|Login|login|tty|hell", entry)
                if isOwners and not kind.startswith("in the host's"):
                    if re.search("Authoriz|Authentic|AccessDenied: Access denied|PermissionDenied", r):
                        problems.append(f"{entry} by {who}: {r}")
                elif not re.search("AccessDenied|Authoriz|Authentic|PermissionDenied", r):
                    problems.append(f"{entry} by {who}: {r}")
        report(f"a machine {kind}: terminals and shells {allowed}", problems)
        problems = []
        for control, code in CONTROLS.items():
            if as_user(OWNER, fill(code, name="mine")) != "ok":
                problems.append(f"{control} by the owner")
            if as_user(OTHER, fill(code, name="mine")) == "ok":
                problems.append(f"{control} by another user")
        report(f"a machine {kind}: its owner can send signals to it, another user cannot", problems)
        unregister("mine")
        while subprocess.run(["systemctl", "is-active", "-q", "machine-mine.scope"]).returncode == 0:
            time.sleep(.02)

    problems = [p for p in ("/tmp/owners-stolen", "/tmp/owners-planted") if os.path.exists(p)]
    report("no file was copied", problems)
    problems = []
    for entry, code in {**ENTRIES, **CONTROLS}.items():
        r = as_user(OWNER, fill(code, name=".host"))
        if not re.search("AccessDenied|Authoriz|Authentic|PermissionDenied|NotSupported", r):
            problems.append(f"{entry}: {r}")
    report("all calls for the host itself are refused for a user", problems)
    os.unlink(RULE)
    for child in children:
        child.kill(); child.wait()
    sys.exit(failures > 0)


main()
