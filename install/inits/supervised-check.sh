#!/bin/sh
# sv(8) asks whether @NAME@ serves: then its socket is there.
exec test -S @SOCKET@
