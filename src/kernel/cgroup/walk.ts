// A walk through a control group and the groups below it. A machine may nest its groups deeper than a path can be long,
// and give them names that are not UTF-8: each step opens one name, as bytes, in an open directory. See cgroups(7).

import { listDirectory } from "../file/directory-entry.ts";
import { Fd, OPEN_FLAGS, openAt, openUnless } from "../file/fd.ts";
import { readRegular } from "../file/regular-file.ts";
import { AT_REMOVEDIR } from "../syscall/constants.ts";
import { scratchString } from "../syscall/mem.ts";
import { check, trySys, unlessErrno } from "../syscall/sys.ts";

/** What a group or a file of it that was removed meanwhile is answered with. */
export const GROUP_GONE = ["ENOENT", "ENODEV", "ENOTDIR"] as const;
const LIMIT_BYTES = 16 * 1024 * 1024;

interface GroupStep {
  /** The group, which is open until the next step. */
  readonly group: Fd;
  /** The names from the top to the group, without the top's own, one character for each byte. */
  readonly names: readonly string[];
  /** The name of the group below that has been visited with all below it; null where the walk enters the group. */
  readonly left: string | null;
}

/** Visits the group at `directory` and all below it, each before those below it. No steps for a missing group. */
export function* walkGroups(directory: string): Generator<GroupStep> {
  const top = openUnless(GROUP_GONE, null, directory, "directory");
  if (top === null) return;
  let group = top;
  const names: string[] = [];
  /** The groups that are still to visit, for each group from the top to the current one. */
  const pending: string[][] = [];
  try {
    for (;;) {
      if (pending.length === names.length) {
        yield { group, names, left: null };
        pending.push(childNames(group));
      }
      const name = pending.at(-1)?.pop();
      const next = name === undefined ? openAt(group, "..", "directory") : openChild(group, name);
      if (next === null) continue;
      group.close();
      group = next;
      if (name !== undefined) names.push(name);
      else {
        pending.pop();
        const left = names.pop();
        if (left === undefined) return;
        yield { group, names, left };
      }
    }
  } finally {
    group.close();
  }
}

/** Returns the names of the groups directly below, the last one first. */
function childNames(group: Fd): string[] {
  const entries = unlessErrno(() => listDirectory(group, "latin1"), [], ...GROUP_GONE);
  return entries
    .filter(({ kind }) => kind === "directory")
    .map(({ name }) => name)
    .reverse();
}

/** Returns null where the group was removed meanwhile. */
function openChild(group: Fd, name: string): Fd | null {
  return unlessErrno(
    () => {
      const opened = trySys("openat", group.number, scratchString(name, "latin1"), OPEN_FLAGS.directory);
      return Fd.adopt(check(opened, "open"));
    },
    null,
    ...GROUP_GONE,
  );
}

/** Removes the group `name` below `group`, if it exists. Throws `EBUSY` where a process or another group is in it. */
export function removeChild(group: Fd, name: string): void {
  const remove = () => check(trySys("unlinkat", group.number, scratchString(name, "latin1"), AT_REMOVEDIR), "rmdir");
  unlessErrno(remove, null, ...GROUP_GONE);
}

/**
 * Returns the processes in the group itself, without those outside of our pid namespace. None for a removed group, and
 * for a threaded one: the threads there belong to processes of the group that is the root of its threads.
 */
export function processesIn(group: Fd): number[] {
  const read = () => {
    using file = openAt(group, "cgroup.procs", "read");
    return readRegular(file, LIMIT_BYTES).toString();
  };
  const numbers = unlessErrno(read, "", ...GROUP_GONE, "EOPNOTSUPP")
    .split("\n")
    .map(Number);
  return numbers.filter((pid) => pid > 0);
}
