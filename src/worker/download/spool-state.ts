// The state file beside an unfinished download, by which a later call resumes it.

import { renameSync, rmSync, writeFileSync } from "node:fs";
import { openPath, reopen, statFd } from "../../kernel/file/fd.ts";
import { readRegular } from "../../kernel/file/regular-file.ts";
import type { Part } from "./spool-parts.ts";

/** The validators of the file, by which it is checked later whether it is the same. */
export interface Origin {
  readonly url: string;
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** Null when the server sent none. */
  readonly size: number | null;
}

export interface SpoolState extends Origin {
  readonly bootId: string;
  /** How many bytes are synced to the disk: they survive a power cut. */
  readonly synced: number;
  /** How many bytes exist from the first one on. Only with later parts: otherwise it is the file's length. */
  readonly end?: number;
  readonly parts?: readonly Part[];
}

const STATE_LIMIT_BYTES = 1 << 20;

/** The id of this boot of the host. */
export function bootId(): string {
  return readOwn("/proc/sys/kernel/random/boot_id")?.toString().trim() ?? "";
}

/**
 * Reads a file of the pool or the kernel, whose file systems always answer. Returns null for a file that is not
 * regular.
 */
function readOwn(path: string): Buffer | null {
  using named = openPath(path, "path-no-follow");
  if (statFd(named).kind !== "regular") return null;
  using file = reopen(named, "read");
  return readRegular(file, STATE_LIMIT_BYTES);
}

/** Reads the state of an earlier call at `path`; returns null where there is no valid one. */
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

/** Returns what can be resumed of a file of `size` bytes: the length of its beginning, and the parts after that. */
export function usableOf(state: SpoolState | null, size: number): { usable: number; parts: readonly Part[] } {
  if (state === null) return { usable: 0, parts: [] };
  // After a reboot only the synced bytes count.
  if (state.bootId !== bootId()) return { usable: Math.min(state.synced, size), parts: [] };
  const { end } = state;
  if (end === undefined) return { usable: size, parts: [] };
  const parts = (state.parts ?? []).filter((part) => part.end > end && part.end <= size);
  return { usable: Math.min(end, size), parts };
}

/**
 * Writes a state, completely or not at all. The directory may be another user's, who could have put a link at any name.
 */
export function writeState(path: string, state: SpoolState): void {
  const temporary = `${path}.new`;
  rmSync(temporary, { force: true });
  writeFileSync(temporary, JSON.stringify(state), { mode: 0o600, flag: "wx" });
  renameSync(temporary, path);
}
