throw new Error("usocket is not used: descriptors travel through src/kernel/socket/unix.ts");
