#!/bin/sh
# @DESCRIPTION@
exec 2>&1 </dev/null
cd / || exit 1
# The socket is removed, because its existence means that the daemon is ready.
rm -f @SOCKET@
exec @PROGRAM@
