#!/bin/sh
# @DESCRIPTION@
exec 2>&1 </dev/null
# The socket is removed, because its existence means that the daemon is ready.
rm -f @SOCKET@
# Repeats data/check until it succeeds, and then notifies s6-supervise(8), while the daemon takes the place of this
# script.
exec s6-notifyoncheck -d -n 0 -w 100 @PROGRAM@
