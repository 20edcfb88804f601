// The notes beside an unfinished download, by which a later call resumes it.
import { renameSync, writeFileSync } from "node:fs";
import { openPath, readRegular, reopen, statFd } from "../../kernel/file/fd.ts";
import type { Part } from "./spool-parts.ts";

/** What a server said of the file, to find out later whether it is still the same. */
export interface Origin {
  readonly url: string;
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** Null when the server did not say. */
  readonly size: number | null;
}

export interface SpoolState extends Origin {
  readonly bootId: string;
  /** So many bytes are synced to the disk: they survive a power cut. */
  readonly synced: number;
  /** So many bytes are there from the first on. Only where there are later parts: else the file's length says it. */
  readonly end?: number;
  readonly parts?: readonly Part[];
}

const STATE_LIMIT_BYTES = 1 << 20;

/** This boot of the machine. */
export function bootId(): string {
  return readOwn("/proc/sys/kernel/random/boot_id")?.toString().trim() ?? "";
}

/** What the pool or the kernel has: these answer, or nothing works at all. Null for what is no regular file. */
function readOwn(path: string): Buffer | null {
  using named = openPath(path, "path-no-follow");
  if (statFd(named).kind !== "regular") return null;
  using file = reopen(named, "read");
  return readRegular(file, STATE_LIMIT_BYTES);
}

/** The state that an earlier call noted at `path`; null where there is none that makes sense. */
export function readState(path: string): SpoolState | null {
  try {
    const state = JSON.parse(readOwn(path)?.toString() ?? "{}") as Partial<SpoolState>;
    const isWhole =
      typeof state.url === "string" && typeof state.synced === "number" && typeof state.bootId === "string";
    return isWhole ? (state as SpoolState) : null;
  } catch {
    return null;
  }
}

/** What of a file of `size` bytes can be resumed: the length of its beginning, and the parts behind that. */
export function usableOf(state: SpoolState | null, size: number): { usable: number; parts: readonly Part[] } {
  if (state === null) return { usable: 0, parts: [] };
  // After a reboot only what was safe on the disk counts.
  if (state.bootId !== bootId()) return { usable: Math.min(state.synced, size), parts: [] };
  const { end } = state;
  if (end === undefined) return { usable: size, parts: [] };
  const parts = (state.parts ?? []).filter((part) => part.end > end && part.end <= size);
  return { usable: Math.min(end, size), parts };
}

/** Notes a state, whole or not at all. */
export function writeState(path: string, state: SpoolState): void {
  writeFileSync(`${path}.new`, JSON.stringify(state), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
