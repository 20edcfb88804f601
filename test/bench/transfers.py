"""transfers.py prepare | measure tmpfs|disk OPERATION: measures how long machinectl takes for a transfer, in seconds, and
the largest memory of the worker, in MiB. Run as root in a bed that runs the daemon to measure; prints one line of JSON.
(I136)

The archive is made once of the bed's own /usr, so that all programs get the same files. Sources are read from the page
cache; images are written to a tmpfs, or to the disk with fsync(2).
"""

import json
import os
import subprocess
import sys
import threading
import time

SAMPLE = "/var/tmp/sample"
MACHINES = "/var/lib/machines"
URL = "http://127.0.0.1:8000"
DISK_BYTES = 512 << 20
WORKERS = ("systemd-import", "systemd-pull")


def sh(script):
    return subprocess.run(["bash", "-ec", script], check=True, stdout=subprocess.PIPE, text=True).stdout


def prepare():
    """Makes the sample files and starts an HTTP server for them."""
    sh(f"""
        mkdir -p {SAMPLE}; cd {SAMPLE}
        tar --xattrs -cf tree.tar -C / usr
        gzip -k -6 tree.tar; zstd -q -3 tree.tar; xz -k -1 -T0 --block-size=16MiB tree.tar; bzip2 -k tree.tar
        python3 - <<'PYTHON'
import os, random
random.seed(1)
with open("disk.raw", "wb") as disk:
    for at in range(0, {DISK_BYTES}, 4 << 20):
        disk.seek(at)
        disk.write(random.randbytes(1 << 20) + bytes(range(256)) * 4096)
    disk.truncate({DISK_BYTES})
PYTHON
        gzip -k -1 disk.raw
        truncate -s 4G sparse; for at in 0 1000 2000 3000 4000; do
            dd if=disk.raw of=sparse bs=1M seek=$at count=8 conv=notrunc status=none; done
        sha256sum tree.* disk.* > SHA256SUMS
        cat tree.* disk.* > /dev/null
        mkdir -p /run/systemd/system/systemd-importd.service.d
        # Quota would stay enabled on the file system, which all beds share.
        printf '[Service]\\nEnvironment=SYSTEMD_IMPORT_BTRFS_QUOTA=0\\n' > /run/systemd/system/systemd-importd.service.d/bench.conf
        systemctl daemon-reload
        cat > /run/serve.py <<'PYTHON'
import http.server, os, socketserver
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def copyfile(self, source, target):
        target.flush()
        self.connection.sendfile(source)
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
os.chdir("{SAMPLE}")
Server(("127.0.0.1", 8000), Handler).serve_forever()
PYTHON
        systemd-run -q --unit=www python3 /run/serve.py
        for i in $(seq 50); do curl -sf {URL}/SHA256SUMS > /dev/null && exit 0; sleep .1; done; exit 1
    """)


class Watcher(threading.Thread):
    """Records the largest memory of the workers; polls only them and rarely, so as not to influence the measurement."""

    PROCESSES = "/sys/fs/cgroup/system.slice/systemd-importd.service/cgroup.procs"

    def __init__(self):
        super().__init__(daemon=True)
        self.peak = 0
        self.stopped = threading.Event()

    def run(self):
        while not self.stopped.wait(0.05):
            try:
                with open(self.PROCESSES) as file:
                    pids = file.read().split()
            except OSError:
                continue
            for pid in pids:
                self.look(pid)

    def look(self, pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                name = os.path.basename(file.read().split(b"\0")[0].decode())
            if name in WORKERS:
                with open(f"/proc/{pid}/status") as file:
                    peaks = [line for line in file if line.startswith("VmHWM")]
                self.peak = max(self.peak, *(int(line.split()[1]) for line in peaks))
        except (OSError, ValueError, TypeError):
            pass

    def stop(self):
        self.stopped.set()
        self.join()
        return self.peak / 1024


def clean():
    sh(f"""shopt -s dotglob nullglob; chattr -R -i {MACHINES} 2>/dev/null || true
        for path in {MACHINES}/*; do
            btrfs subvolume delete "$path" > /dev/null 2>&1 || rm -rf "$path"
        done; sync""")


OPERATIONS = {
    "import-gz": ["import-tar", f"{SAMPLE}/tree.tar.gz"],
    "import-xz": ["import-tar", f"{SAMPLE}/tree.tar.xz"],
    "import-bz2": ["import-tar", f"{SAMPLE}/tree.tar.bz2"],
    "import-tar": ["import-tar", f"{SAMPLE}/tree.tar"],
    "import-pipe": ["import-tar", "-"],
    "pull-gz": ["pull-tar", "--verify=checksum", f"{URL}/tree.tar.gz"],
    "pull-xz": ["pull-tar", "--verify=checksum", f"{URL}/tree.tar.xz"],
    "import-raw-gz": ["import-raw", f"{SAMPLE}/disk.raw.gz"],
    "pull-raw": ["pull-raw", "--verify=checksum", f"{URL}/disk.raw"],
}
# Work on an image that is there: what is made before, and what is timed.
TREE = ["import-tar", f"{SAMPLE}/tree.tar", "image"]
EXPORT = f"{SAMPLE}/../export.tar.gz"
ON_IMAGES = {
    "export-gz": (TREE, ["export-tar", "image", EXPORT]),
    "clone": (TREE, ["clone", "image", "copy"]),
    "remove": (TREE, ["remove", "image"]),
}
# Copies into a machine, which has the files of the bed, so that the target is in the pool.
COPIES = {
    "copy-tree": "/usr/share",
    "copy-sparse": f"{SAMPLE}/sparse",
}


def quietly(*words):
    subprocess.run(["machinectl", "-q", *words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def timed(*words):
    begin = time.monotonic()
    quietly(*words)
    return time.monotonic() - begin


def once_on_image(before, words):
    clean()
    quietly(*before)
    seconds = timed(*words)
    if os.path.exists(EXPORT):
        os.unlink(EXPORT)
    return seconds


def once_copied(source):
    clean()
    leader = subprocess.Popen(["/bin/sleep", "infinity"], start_new_session=True, stdout=subprocess.DEVNULL)
    sh(f"""busctl -q call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager \
        CreateMachine 'sayssusa(sv)' bench 0 bench container {leader.pid} '' 0""")
    try:
        return timed("copy-to", "bench", source, f"{MACHINES}/copied")
    finally:
        leader.kill()
        leader.wait()
        sh("until ! machinectl show bench >/dev/null 2>&1; do sleep .1; done")


def once(words):
    clean()
    begin = time.monotonic()
    writer = subprocess.Popen(["cat", f"{SAMPLE}/tree.tar"], stdout=subprocess.PIPE) if "-" in words else None
    source = subprocess.DEVNULL if writer is None else writer.stdout
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(["machinectl", "-q", *words, "image"], check=True, stdin=source, **quiet)
    seconds = time.monotonic() - begin
    if writer is not None:
        writer.wait()
    return seconds


def go_to(place):
    """Puts the pool on a tmpfs or on the disk, and starts the daemon."""
    is_tmpfs = subprocess.run(["mountpoint", "-q", MACHINES]).returncode == 0
    if place == "tmpfs" and not is_tmpfs:
        sh(f"mount -t tmpfs -o size=3G tmpfs {MACHINES}")
    elif place == "disk" and is_tmpfs:
        sh(f"systemctl stop systemd-importd.service; umount {MACHINES}")
    sh("machinectl -q list-transfers")


def measure(place, operation):
    go_to(place)
    watcher = Watcher()
    watcher.start()
    if operation in ON_IMAGES:
        seconds = once_on_image(*ON_IMAGES[operation])
    elif operation in COPIES:
        seconds = once_copied(COPIES[operation])
    else:
        seconds = once(OPERATIONS[operation])
    resident = watcher.stop()
    clean()
    print(json.dumps({"seconds": seconds, "resident": resident}))


if sys.argv[1] == "prepare":
    prepare()
else:
    measure(sys.argv[2], sys.argv[3])
