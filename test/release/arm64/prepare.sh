# Makes an x64 host run arm64 programs: the C library of arm64 at its paths, and the emulator as their interpreter.
set -e
libraries=/usr/aarch64-linux-gnu/lib
mkdir -p /usr/lib/aarch64-linux-gnu /root/bin
ln -sf $libraries/* /usr/lib/aarch64-linux-gnu/
ln -sf $libraries/ld-linux-aarch64.so.1 /usr/lib/
# The tests call "gcc", which has to be the compiler for arm64.
ln -sf /usr/bin/aarch64-linux-gnu-gcc /root/bin/gcc
# The kernel keeps such interpreters for each user namespace, so that the host is not changed.
cat > /root/arm64 <<'SCRIPT'
#!/bin/sh
exec unshare --user --map-root-user --mount --net --pid --fork --kill-child --mount-proc sh -c '
	mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
	printf "%s" ":arm64:M::\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:/usr/bin/qemu-aarch64:POCF" \
		> /proc/sys/fs/binfmt_misc/register
	mount -t tmpfs none /run
	exec "$@"' sh "$@"
SCRIPT
chmod +x /root/arm64
