// Runs programs for a release.

/** Runs a command to its end and returns its stdout; throws an error with its output if it fails. */
export function run(words: readonly string[], options: { cwd?: string; env?: Record<string, string> } = {}): string {
  const child = Bun.spawnSync([...words], {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, LC_ALL: "C.UTF-8", TZ: "UTC", ...options.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  if (child.exitCode !== 0) {
    throw new Error(`'${words.join(" ")}' ended with ${child.exitCode}:\n${child.stdout}${child.stderr}`);
  }
  return child.stdout.toString();
}
