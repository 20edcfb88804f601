// The line about a file's mount in the kernel's list of mounts, which can be read without accessing the file system.
import { readFileSync } from "node:fs";
import type { Fd } from "./fd.ts";
import { mountIdOf } from "./open-cached.ts";

/** Returns the line of /proc/self/mountinfo about the mount that a file is on; null before Linux 5.8. */
export function mountLineOf(file: Fd): string | null {
  const id = mountIdOf(file);
  if (id === null) return null;
  const lines = readFileSync("/proc/self/mountinfo", "latin1").split("\n");
  return lines.find((line) => line.startsWith(`${id} `)) ?? null;
}
