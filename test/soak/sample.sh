# Prints one line of NAME=NUMBER words: what the daemons and the host hold now.
set -u
of() { # PREFIX UNIT
    local pid; pid=$(systemctl show -P MainPID "$2")
    if [[ $pid == 0 ]]; then echo -n "${1}Memory=0 ${1}Files=0 ${1}Threads=0 ${1}Children=0 "; return; fi
    echo -n "${1}Memory=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status") "
    echo -n "${1}Files=$(ls "/proc/$pid/fd" | wc -l) "
    echo -n "${1}Threads=$(ls "/proc/$pid/task" | wc -l) "
    echo -n "${1}Children=$(cat /proc/"$pid"/task/*/children | wc -w) "
}
of machined systemd-machined.service
of importd systemd-importd.service
echo -n "rounds=$(cat /run/soak/rounds 2>/dev/null || echo 0) "
echo -n "failures=$(cat /run/soak/failures 2>/dev/null | wc -l) "
echo -n "units=$(systemctl list-units --all --no-legend 'machine-*' '*.scope' 'systemd-nspawn@*' | wc -l) "
echo -n "stateFiles=$(find /run/systemd/machines /run/systemd/machine /run/systemd/import /run/systemd/nspawn | wc -l) "
echo -n "images=$(ls -A /var/lib/machines | wc -l) "
echo "temporaryFiles=$(find /tmp /var/tmp -mindepth 1 -maxdepth 1 | wc -l)"
