// systemd-import-fs run DIRECTORY [NAME]: makes an image of a directory tree, or with --direct a tree at any path: a
// snapshot of a subvolume, else a copy. A child process copies, because the copy is synchronous and must be
// cancellable.
import { basename, dirname, join } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { pathOf } from "../../kernel/file/attributes.ts";
import { type Fd, openPath, statAt, statFd } from "../../kernel/file/fd.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import { isSubvolume } from "../../kernel/tree/btrfs.ts";
import { lockPlace } from "../../registry/image/lock.ts";
import { copyInChild, copyInherited } from "../image/copy-tree.ts";
import { liftOsTree } from "../image/os-tree.ts";
import { Reservation } from "../image/reservation.ts";
import { exists, openImageRoot, Stage } from "../image/stage.ts";
import { directPath, imageRootOf, requireFree, requireTreeName } from "../image/target.ts";
import { log } from "../program/log.ts";
import type { CommandLine, WorkerOptions } from "../program/options.ts";
import { sweepOrphans } from "./remove-orphans.ts";
import { entryOf } from "./run-program.ts";

const STDIN = "/proc/self/fd/0";

async function importTree({ options, words }: CommandLine): Promise<void> {
  const [path = "", given = ""] = words;
  const hasPath = path !== "" && path !== "-";
  const name = given !== "" && given !== "-" ? given : hasPath ? basename(path) : "imported";
  if (!options.direct) requireFree(requireTreeName(name), options);
  using source = openPath(hasPath ? path : STDIN, "directory");
  if (statFd(source).kind !== "directory") throw new ErrnoError("ENOTDIR", `'${path}' is not a directory.`);
  log("info", `Importing '${hasPath ? path : pathOf(source)}', saving as '${name}'.`);
  if (options.direct) return importTo(directPath(name, options), source, options);
  using root = openImageRoot(imageRootOf(options));
  sweepOrphans(root, options.locks);
  using _reserved = new Reservation(root, name, "", options);
  await importInto(root, name, source, options);
}

/** Makes the tree, which appears at the path when it is complete, as systemd-sysupdate(8) expects. */
async function importTo(path: string, source: Fd, options: WorkerOptions): Promise<void> {
  using parent = openPath(dirname(path), "directory");
  const name = basename(path);
  if (exists(parent, name)) {
    if (!options.force) throw new ErrnoError("EEXIST", `'${path}' exists already.`);
    // A tree replaces only a tree: a device or a file of that name is taken for a mistake.
    if (statAt(parent, name, "no-follow").kind !== "directory") {
      throw new ErrnoError("ENOTDIR", `'${path}' is not a directory: it is not replaced.`);
    }
  }
  using _locked = lockPlace(options.locks, join(pathOf(parent), name));
  await importInto(parent, name, source, options);
}

async function importInto(root: Fd, name: string, source: Fd, options: WorkerOptions): Promise<void> {
  using stage = (options.btrfsSubvolume ? snapshot(source, root) : null) ?? (await copied(source, root, options));
  liftOsTree(stage.file);
  stage.install(name, options);
}

/** Makes a snapshot of a subvolume in the directory of images; returns null where that is not possible. */
function snapshot(source: Fd, root: Fd): Stage | null {
  if (!isSubvolume(source)) return null;
  try {
    return Stage.snapshot(root, "fs", source);
  } catch (error) {
    if (isErrno(error, "EXDEV", "EINVAL", "ENOTTY", "EPERM")) return null;
    throw error;
  }
}

function copied(source: Fd, root: Fd, { btrfsSubvolume }: WorkerOptions): Promise<Stage> {
  return Stage.tree(root, "fs", btrfsSubvolume).filledBy((tree) => copyInChild(source, tree, "live"));
}

const run = entryOf({
  name: "systemd-import-fs",
  summary: "Import container images from a file system tree.",
  verbs: { run: { words: [1, 2], usage: "DIRECTORY [NAME]", help: "Import a directory", run: importTree } },
});

/** Runs the program; returns its exit code. */
export async function main(args: string[]): Promise<number> {
  return copyInherited(args) ?? run(args);
}
