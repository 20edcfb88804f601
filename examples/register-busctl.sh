#!/bin/sh
# Runs a command as a machine, registered over D-Bus: register-busctl.sh NAME COMMAND [ARGUMENT…]
set -eu
[ $# -ge 2 ] || { echo "usage: register-busctl.sh NAME COMMAND [ARGUMENT…]" >&2; exit 1; }
name=$1
shift
# The shell itself would start a process in the background with an empty input.
exec 3<&0
"$@" <&3 3<&- &
leader=$!
# The name, no id, who manages it, its class, the leader, no root directory, no further properties of the scope.
if ! busctl call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager \
    CreateMachine 'sayssusa(sv)' "$name" 0 example container "$leader" '' 0 >/dev/null; then
    kill "$leader" 2>/dev/null || true
    exit 1
fi
wait "$leader"
