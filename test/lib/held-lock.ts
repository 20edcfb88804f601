// A lock of another process, by flock(2), which is there when a test gets it and gone when it is disposed of.

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
