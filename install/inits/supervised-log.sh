#!/bin/sh
# The lines of @NAME@ begin with their priority, which some versions of logger(1) do not parse.
if logger --prio-prefix --tag @NAME@ </dev/null 2>/dev/null; then
	exec logger --prio-prefix --tag @NAME@
fi
exec logger -t @NAME@
