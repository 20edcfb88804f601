#!/bin/sh
# @DESCRIPTION@
exec 2>&1 </dev/null
cd / || exit 1
# It serves when its socket is there.
rm -f @SOCKET@
exec @PROGRAM@
