// Has another process hold a lock by flock(2).

/** Locks a file; resolves when the lock is held. Disposing of the result releases it. */
export async function holdLock(path: string): Promise<AsyncDisposable> {
  const command = ["flock", "--no-fork", "--nonblock", path, "sh", "-c", "echo held; exec sleep 1000"];
  const holder = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const { value } = await holder.stdout.getReader().read();
  if (Buffer.from(value ?? []).toString() !== "held\n") throw new Error(`flock(1) did not lock '${path}'`);
  return {
    [Symbol.asyncDispose]: async () => {
      holder.kill("SIGKILL");
      await holder.exited;
    },
  };
}
