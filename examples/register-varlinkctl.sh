#!/bin/sh
# Runs a command as a machine, registered over Varlink: register-varlinkctl.sh NAME COMMAND [ARGUMENT…]
set -eu
[ $# -ge 2 ] || { echo "usage: register-varlinkctl.sh NAME COMMAND [ARGUMENT…]" >&2; exit 1; }
socket=${MACHINED_RUNTIME_DIRECTORY:-/run/systemd}/machine/io.systemd.Machine
name=$1
shift
case $name in *[!A-Za-z0-9.-]*) echo "'$name' is no name of a machine" >&2; exit 1 ;; esac
# The shell itself would start a process in the background with an empty input.
exec 3<&0
"$@" <&3 3<&- &
leader=$!
if ! varlinkctl call "$socket" io.systemd.Machine.Register "{\"name\":\"$name\",\"class\":\"container\",\
\"service\":\"example\",\"leader\":$leader,\"allocateUnit\":true}" >/dev/null; then
    kill "$leader" 2>/dev/null || true
    exit 1
fi
wait "$leader"
