// The id of this boot of the host: PIDs, and the ids of pidfds, are those of processes of this boot alone.
import { readFileSync } from "node:fs";

let boot: string | null = null;

/** Returns it as 32 hexadecimal digits. */
export function bootId(): string {
  boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim().replaceAll("-", "");
  return boot;
}
