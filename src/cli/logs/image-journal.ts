// Finds the journal of a machine that has ended: in the tree of its image, or in the directory of this host that
// systemd-nspawn has bound into the machine (--link-journal=host).
//
// The files were written by the machine and may exploit bugs of a parser. So symbolic links are resolved below the root
// of the tree, and journalctl reads the files as user nobody without network, with CAP_DAC_READ_SEARCH as only
// capability.

import { meansNoFile, unlessNoFile } from "../../base/absence.ts";
import { errnoNameOf } from "../../base/error.ts";
import { listDirectory } from "../../kernel/file/directory-entry.ts";
import { type Fd, openBeneath, openInRoot, openPath, statPath } from "../../kernel/file/fd.ts";
import { readFileIn } from "../../kernel/file/regular-file.ts";
import { programPath } from "../../kernel/process/program-path.ts";
import { Failure, orNull } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import type { Invocation } from "./invocation.ts";

const JOURNALS = "/var/log/journal";
const JOURNAL_FILE = /^[\w.@-]+\.journal~?$/;
const JOURNAL_DIRECTORY = /^[\w.-]+$/;
const MACHINE_ID = /^[0-9a-f]{32}$/;
const MACHINE_ID_LIMIT_BYTES = 64;
const TREES = ["directory", "subvolume"];
/** The largest number of files that are passed to journalctl. */
const MOST_FILES = 2000;

const NOBODY = "65534";
const CAPABILITIES = "-all,+dac_read_search";

/** Command line that runs a program as nobody, with the capability to read every file: unshare(1) and setpriv(1). */
const CONFINED = [
  ...["unshare", "--net", "--ipc", "--uts", "--"],
  ...["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "--no-new-privs"],
  ...[`--inh-caps=${CAPABILITIES}`, `--ambient-caps=${CAPABILITIES}`, `--bounding-set=${CAPABILITIES}`, "--"],
];

/**
 * Returns the journal files in a directory and its subdirectories, as paths relative to it. Only regular files count.
 */
function journalFiles(directory: Fd): string[] {
  const files: string[] = [];
  for (const { name, kind } of listDirectory(directory)) {
    if (kind === "regular" && JOURNAL_FILE.test(name)) files.push(name);
    if (kind !== "directory" || !JOURNAL_DIRECTORY.test(name)) continue;
    using below = openBeneath(directory, name, "directory");
    for (const entry of listDirectory(below)) {
      if (entry.kind === "regular" && JOURNAL_FILE.test(entry.name)) files.push(`${name}/${entry.name}`);
    }
  }
  return files;
}

/** A directory with journal files. */
interface Place {
  readonly directory: Fd;
  /** Paths relative to the directory. */
  readonly files: readonly string[];
  /** The name of the directory in messages. */
  readonly name: string;
}

/** Opens a directory by `open` and lists its journal files; null if it cannot be opened or has none. */
function placeOf(open: () => Fd, name: string): Place | null {
  const directory = unlessNoFile(open, null);
  if (directory === null) return null;
  const files = journalFiles(directory);
  if (files.length > 0) return { directory, files, name };
  directory.close();
  return null;
}

function machineIdIn(root: Fd): string | null {
  try {
    return readFileIn(root, "/etc/machine-id", MACHINE_ID_LIMIT_BYTES).toString("latin1").trim();
  } catch (error) {
    if (meansNoFile(error) || errnoNameOf(error) === "EFBIG") return null;
    throw error;
  }
}

/**
 * Returns the directory of this host that systemd-nspawn --link-journal=host has bound into the machine. It is named
 * after the machine id in the tree. A tree with the id of this host is ignored, because the host's own journal would be
 * shown; so is a symbolic link (--link-journal=guest), which leads into the tree.
 */
function linkedPlace(root: Fd): Place | null {
  const id = machineIdIn(root);
  using host = openPath("/", "directory");
  if (id === null || id === machineIdIn(host)) return null;
  const path = `${JOURNALS}/${id}`;
  if (!MACHINE_ID.test(id) || unlessNoFile(() => statPath(path, "no-follow").kind, null) !== "directory") return null;
  return placeOf(() => openPath(path, "directory"), path);
}

/** Returns the path of the image's tree; null without an image or for a disk image. */
async function treeOf(session: Session, name: string): Promise<string | null> {
  const reply = await orNull(session.manager("GetImage", { name }));
  if (reply === null) return null;
  const properties = await orNull(session.properties(reply.image));
  const [path, type] = [properties?.get("Path")?.value, properties?.get("Type")?.value];
  return typeof path === "string" && TREES.includes(String(type)) ? path : null;
}

/** Returns the invocation of journalctl for the files of a place, whose directory is passed as descriptor 3. */
function confined({ directory, files }: Place, args: readonly string[]): Invocation {
  const sources = files.slice(-MOST_FILES).map((file) => `--file=/proc/self/fd/3/${file}`);
  return {
    command: [...CONFINED, "journalctl", ...args, ...sources],
    isForeign: true,
    fds: [directory.number],
    started: () => directory.close(),
  };
}

/** Opens the journal of a tree; the caller closes the directory. Returns null if there is none. */
function openPlace(tree: string): Place | null {
  const root = unlessNoFile(() => openPath(tree, "directory"), null);
  if (root === null) return null;
  try {
    return placeOf(() => openInRoot(root, JOURNALS, "directory"), `image '${tree}'`) ?? linkedPlace(root);
  } finally {
    root.close();
  }
}

/**
 * Finds the journal that a machine has left. Returns its place for messages, and a function that opens it and returns
 * the invocation of journalctl; null if there is none. Throws a Failure if unshare(1) or setpriv(1) is not installed.
 */
export async function findImageJournal(
  session: Session,
  name: string,
): Promise<{ place: string; start: (args: readonly string[]) => Invocation } | null> {
  const tree = await treeOf(session, name);
  const found = tree === null ? null : openPlace(tree);
  if (tree === null || found === null) return null;
  found.directory.close();
  for (const program of ["unshare", "setpriv"]) {
    if (programPath(program) === null)
      throw new Failure(`Files of a machine are read with reduced privileges, which needs ${program}(1) of util-linux`);
  }
  return {
    place: found.name,
    start: (args) => {
      const place = openPlace(tree);
      if (place === null) throw new Failure(`The journal in ${found.name} has been removed`);
      return confined(place, args);
    },
  };
}
