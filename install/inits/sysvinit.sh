#!/bin/sh
### BEGIN INIT INFO
# Provides:          @NAME@
# Required-Start:    $local_fs
# Required-Stop:     $local_fs
# Should-Start:      $syslog dbus cgroupfs-mount@AFTER@
# Should-Stop:       $syslog dbus cgroupfs-mount@AFTER@
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: @DESCRIPTION@
### END INIT INFO

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
NAME=@NAME@
PROGRAM=@PROGRAM@
SOCKET=@SOCKET@
PIDFILE=/run/$NAME.pid

# Prints the daemon's process number; fails if the daemon does not run. The number in the file may belong to another
# process now.
running() {
	pid=$(cat "$PIDFILE" 2>/dev/null) && [ -n "$pid" ] || return 1
	case $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") in
	"$PROGRAM "*) echo "$pid" ;;
	*) return 1 ;;
	esac
}

nap() {
	sleep 0.1 2>/dev/null || sleep 1
}

# Passes the daemon's lines to the system log. They begin with their priority, which some versions of logger(1) do not
# parse.
log() {
	if logger --prio-prefix --tag "$NAME" </dev/null 2>/dev/null; then
		exec logger --prio-prefix --tag "$NAME"
	elif command -v logger >/dev/null; then
		exec logger -t "$NAME"
	else
		exec cat
	fi
}

start() {
	if running >/dev/null; then
		echo "$NAME runs already."
		return 0
	fi
	rm -f "$SOCKET" "$PIDFILE"
	cd / || return 1
	{
		setsid "$PROGRAM" </dev/null 2>&1 &
		echo $! >"$PIDFILE"
	} | log >/dev/null 2>&1 &
	# The daemon is ready when its socket exists.
	tries=0
	until [ -S "$SOCKET" ]; do
		tries=$((tries + 1))
		if [ "$tries" -gt 150 ] || { [ "$tries" -gt 10 ] && ! running >/dev/null; }; then
			echo "$NAME did not start: see the system log, or run $PROGRAM by hand." >&2
			return 1
		fi
		nap
	done
	echo "$NAME started."
}

stop() {
	pid=$(running) || return 0
	kill -TERM "$pid" 2>/dev/null
	tries=0
	while running >/dev/null; do
		tries=$((tries + 1))
		[ "$tries" -ne 150 ] || kill -KILL "$pid" 2>/dev/null
		# A process that waits for a disk or a network file system ends only when that answers.
		if [ "$tries" -gt 200 ]; then
			echo "$NAME did not stop: process $pid did not end after SIGKILL." >&2
			return 1
		fi
		nap
	done
	rm -f "$PIDFILE"
	echo "$NAME stopped."
}

case "$1" in
start) start ;;
stop) stop ;;
restart | force-reload)
	stop && start
	;;
try-restart)
	running >/dev/null || exit 0
	stop && start
	;;
status)
	if pid=$(running); then
		echo "$NAME runs as process $pid."
	else
		echo "$NAME does not run."
		exit 3
	fi
	;;
*)
	echo "Usage: $0 {start|stop|restart|try-restart|force-reload|status}" >&2
	exit 2
	;;
esac
