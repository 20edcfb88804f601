# Works as many users would, round after round, until /run/soak/stop exists. A round takes some seconds, and a pause.
# Each failed command is a line in /run/soak/failures; the number of rounds is in /run/soak/rounds. Runs in a bed, where
# the machine deb1 runs, an image called `small` exists, and /srv/www has small.tar.gz on http://127.0.0.1:8000.
set -u
export TERM=dumb SYSTEMD_PAGER=
mkdir -p /run/soak
try() { local out; out=$("$@" 2>&1 </dev/null) || echo "$(date +%T) $*: $out" >>/run/soak/failures; }

# Machines that are registered and end in the two ways: by a call, and with their unit.
machines() {
    local i pids=()
    for i in {1..15}; do
        sleep 100000 & pids+=($!)
        try machinectl register "soak-$i" --leader="${pids[-1]}"
    done
    for i in {16..20}; do
        try systemd-run -q --collect --unit="soak-$i" sleep 100000
        try machinectl register "soak-$i" --leader="$(systemctl show -P MainPID "soak-$i.service")"
    done
    try machinectl list --json=short
    for i in {1..15}; do try machinectl unregister "soak-$i"; done
    kill "${pids[@]}"; wait "${pids[@]}" 2>/dev/null
    for i in {16..20}; do try systemctl kill --signal=KILL "soak-$i.service"; done
    until ! machinectl list --no-legend | grep -q '^soak-'; do sleep .1; done
}

users() {
    try machinectl list
    try machinectl show deb1
    try machinectl status -n 3 deb1
    try machinectl stats deb1
    try machinectl shell deb1 /bin/true
    try machinectl exec deb1 true
    for i in {1..5}; do try bash -c 'seq 1 10000 | machinectl exec deb1 cat | cmp - <(seq 1 10000)'; done
    # Part of systemd since 255.
    if command -v varlinkctl >/dev/null; then
        try varlinkctl call /run/systemd/machine/io.systemd.Machine io.systemd.Machine.List '{"name":"deb1"}'
    fi
    try busctl call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager ListMachines
    try getent ahosts deb1
    try getent passwd 0
    try systemctl -M deb1 is-active dbus.service
}

files() {
    try machinectl copy-to deb1 /usr/share/doc /root/soak-doc
    try machinectl copy-from deb1 /root/soak-doc /tmp/soak-doc
    try machinectl exec deb1 rm -rf /root/soak-doc
    rm -rf /tmp/soak-doc
}

images() {
    try machinectl clone small soak-clone
    try machinectl list-images
    try machinectl image-status soak-clone
    try machinectl remove soak-clone
    try importctl -m --verify=no pull-tar http://127.0.0.1:8000/small.tar.gz soak-pulled
    try machinectl export-tar soak-pulled /tmp/soak.tar
    try machinectl remove soak-pulled
    try machinectl import-tar /tmp/soak.tar soak-imported
    try machinectl remove soak-imported
    try machinectl clean
    rm -f /tmp/soak.tar
}

# Subscribers that leave: one that reads, one that never reads, and one that is killed.
subscribers() {
    timeout 3 machinectl events >/dev/null 2>&1 &
    timeout 3 bash -c 'machinectl events --json=short > >(sleep 3)' >/dev/null 2>&1 &
    timeout -s KILL 2 machinectl top >/dev/null 2>&1 </dev/null &
    timeout 3 busctl monitor org.freedesktop.machine1 >/dev/null 2>&1 &
    try curl -sf --unix-socket /run/systemd/machine/metrics http://localhost/metrics -o /dev/null
}

rounds=0
while [[ ! -e /run/soak/stop ]]; do
    subscribers
    machines
    users
    files
    images
    # A container's whole life, now and then.
    if ((rounds % 10 == 9)); then
        try machinectl clone deb1 soak-life
        try machinectl start soak-life
        try machinectl wait --for=booted soak-life
        try machinectl terminate soak-life
        until ! machinectl show soak-life &>/dev/null; do sleep .1; done
        until machinectl remove soak-life 2>/dev/null; do sleep .1; done
    fi
    wait
    echo $((++rounds)) >/run/soak/rounds
    sleep "${SOAK_PAUSE:-10}"
done
