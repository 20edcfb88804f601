#!/bin/sh
# Runs a command as a machine: register-machinectl.sh NAME COMMAND [ARGUMENT…]
# machinectl starts the command when the machine is registered, waits for it and returns its exit status. The machine is in
# the unit of the caller, and terminating it ends that: where there is systemd, the caller should be a unit of its own
# (systemd-run --scope register-machinectl.sh …).
set -eu
[ $# -ge 2 ] || { echo "usage: register-machinectl.sh NAME COMMAND [ARGUMENT…]" >&2; exit 1; }
name=$1
shift
exec machinectl register --class=container --service=example "$name" "$@"
