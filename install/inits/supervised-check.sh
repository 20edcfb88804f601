#!/bin/sh
# Run by sv(8) or s6-notifyoncheck(8) to find out whether @NAME@ is ready, which it is when its socket exists.
exec test -S @SOCKET@
