#!/sbin/openrc-run
description="@DESCRIPTION@"
program=@PROGRAM@
socket=@SOCKET@

# supervise-daemon(8) restarts the daemon. Older versions cannot pass its output to logger(1), so a named pipe does. The
# lines begin with their priority, which some versions of logger(1) do not parse. OpenRC joins the lines of the
# arguments.
supervisor=supervise-daemon
command=/bin/sh
command_args="-c '
	prio=--prio-prefix; logger \$prio -t \$0 </dev/null 2>/dev/null || prio=;
	rm -f \$2 && mkfifo -m 600 \$2 && { logger \$prio -t \$0 <\$2 & } && exec \$1 >\$2 2>&1' $RC_SVCNAME $program /run/$RC_SVCNAME.log"
pidfile=/run/$RC_SVCNAME.pid
respawn_delay=1
respawn_max=0
retry=TERM/15/KILL/5

depend() {
	# Debian's OpenRC has no localmount: there, file systems are mounted by scripts of sysvinit.
	use localmount mountall dbus logger cgroups
	after bootmisc@AFTER@
}

start_pre() {
	rm -f "$socket"
}

# The daemon is ready when its socket exists.
start_post() {
	tries=0
	until [ -S "$socket" ]; do
		tries=$((tries + 1))
		if [ "$tries" -gt 150 ]; then
			eerror "$RC_SVCNAME did not start: see the system log, or run $program by hand"
			return 1
		fi
		sleep 0.1 2>/dev/null || sleep 1
	done
}

stop_post() {
	rm -f "/run/$RC_SVCNAME.log"
}
