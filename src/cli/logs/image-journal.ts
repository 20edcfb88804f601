// The journal of a machine that has ended, in the tree of its image or where systemd-nspawn linked it on this host.
//
// The files are the machine's and may be made to harm who parses them. They are found below the tree's own root, without
// following links out of it, and journalctl reads them as nobody: without network, with one capability left, that to read.
import { listDirectory } from "../../kernel/file/directory-entry.ts";
import { type Fd, openBeneath, openInRoot, openPath, readFileIn, statPath } from "../../kernel/file/fd.ts";
import { Failure, orNull } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import type { Invocation } from "./invocation.ts";

const JOURNALS = "/var/log/journal";
const JOURNAL_FILE = /^[\w.@-]+\.journal~?$/;
const JOURNAL_DIRECTORY = /^[\w.-]+$/;
const MACHINE_ID = /^[0-9a-f]{32}$/;
const MACHINE_ID_LIMIT_BYTES = 64;
const TREES = ["directory", "subvolume"];
const MOST_FILES = 2000;

const NOBODY = "65534";
const CAPABILITIES = "-all,+dac_read_search";

/** Runs a program as nobody who may read every file and do nothing else: util-linux's unshare(1) and setpriv(1). */
const CONFINED = [
  ...["unshare", "--net", "--ipc", "--uts", "--"],
  ...["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "--no-new-privs"],
  ...[`--inh-caps=${CAPABILITIES}`, `--ambient-caps=${CAPABILITIES}`, `--bounding-set=${CAPABILITIES}`, "--"],
];

/** The journal files in a directory and its subdirectories, by their paths below it. Links and all else are left out. */
function journalFiles(directory: Fd): string[] {
  const files: string[] = [];
  for (const { name, kind } of listDirectory(directory)) {
    if (kind === "regular" && JOURNAL_FILE.test(name)) files.push(name);
    if (kind !== "directory" || !JOURNAL_DIRECTORY.test(name)) continue;
    using below = openBeneath(directory, name, "directory");
    const inside = listDirectory(below).filter((entry) => entry.kind === "regular" && JOURNAL_FILE.test(entry.name));
    files.push(...inside.map((entry) => `${name}/${entry.name}`));
  }
  return files;
}

interface Place {
  readonly directory: Fd;
  readonly files: readonly string[];
  readonly name: string;
}

/** A directory that has journal files; null for one that is not there, or has none. */
function placeOf(open: () => Fd, name: string): Place | null {
  let directory: Fd;
  try {
    directory = open();
  } catch {
    return null;
  }
  const files = journalFiles(directory);
  if (files.length > 0) return { directory, files, name };
  directory.close();
  return null;
}

function machineIdIn(root: Fd): string | null {
  try {
    return readFileIn(root, "/etc/machine-id", MACHINE_ID_LIMIT_BYTES).toString("latin1").trim();
  } catch {
    return null;
  }
}

/**
 * The directory of this host that systemd-nspawn --link-journal=host binds into the machine; a link leads into the tree. A tree
 * that says that it is this host would have the host's own journal shown as its own.
 */
function linkedPlace(root: Fd): Place | null {
  const id = machineIdIn(root);
  using host = openPath("/", "directory");
  if (id === null || id === machineIdIn(host)) return null;
  const path = `${JOURNALS}/${id}`;
  try {
    if (!MACHINE_ID.test(id) || statPath(path, "no-follow").kind !== "directory") return null;
  } catch {
    return null;
  }
  return placeOf(() => openPath(path, "directory"), path);
}

async function treeOf(session: Session, name: string): Promise<string | null> {
  const reply = await orNull(session.manager("GetImage", { name }));
  if (reply === null) return null;
  const properties = await orNull(session.properties(reply.image));
  const [path, type] = [properties?.get("Path")?.value, properties?.get("Type")?.value];
  return typeof path === "string" && TREES.includes(String(type)) ? path : null;
}

function confined({ directory, files }: Place, args: readonly string[]): Invocation {
  const sources = files.slice(-MOST_FILES).map((file) => `--file=/proc/self/fd/3/${file}`);
  return {
    command: [...CONFINED, "journalctl", ...args, ...sources],
    isForeign: true,
    fds: [directory.number],
    started: () => directory.close(),
  };
}

/** The place of the journal of a tree; the caller closes its directory. Null where there is none. */
function openPlace(tree: string): Place | null {
  let root: Fd;
  try {
    root = openPath(tree, "directory");
  } catch {
    return null;
  }
  try {
    return placeOf(() => openInRoot(root, JOURNALS, "directory"), `image '${tree}'`) ?? linkedPlace(root);
  } finally {
    root.close();
  }
}

/** The journal that a machine left behind; null where there is none. Nothing stays open until it is read. */
export async function findImageJournal(
  session: Session,
  name: string,
): Promise<{ place: string; start: (args: readonly string[]) => Invocation } | null> {
  const tree = await treeOf(session, name);
  const found = tree === null ? null : openPlace(tree);
  if (tree === null || found === null) return null;
  found.directory.close();
  for (const program of ["unshare", "setpriv"]) {
    if (Bun.which(program) === null)
      throw new Failure(`Files of a machine are read with reduced rights, which takes ${program}(1) of util-linux`);
  }
  return {
    place: found.name,
    start: (args) => {
      const place = openPlace(tree);
      if (place === null) throw new Failure(`The journal in ${found.name} is gone`);
      return confined(place, args);
    },
  };
}
