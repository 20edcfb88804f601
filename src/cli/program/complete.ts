// `machinectl complete KIND [WORD…]` and the same of importctl: what a shell offers at the cursor, one candidate a line.
// The completion scripts of install/completions call it and nothing else does. It never asks for a password, prints
// nothing where something fails, and always exits with 0: a completion must not disturb the command line.

import { listDirectory } from "../../kernel/file/directory-entry.ts";
import { openInRoot } from "../../kernel/file/fd.ts";
import { type ClientProgram, type ColumnRow, findVerb } from "../command-line/verb-row.ts";
import type { Session } from "../session/session.ts";

type Find = (session: Session, words: readonly string[], program: ClientProgram) => Promise<readonly string[]>;

/** Candidates for a kind of word (`WordKind` of verb-row.ts, as far as the scripts do not know them themselves). */
const KINDS: Readonly<Record<string, Find>> = {
  machine: machines,
  "machine-or-host": async (session) => [...(await machines(session)), ".host"],
  image: images,
  transfer: transfers,
  "machine-path": machinePaths,
  column: async (_session, words, program) => keyCandidates(words, await columnsOf(words, program), "+"),
  "column-sort": async (_session, words, program) => keyCandidates(words, await columnsOf(words, program), "-"),
  "column-filter": async (_session, words, program) => filterCandidates(words, await columnsOf(words, program)),
};

/** The columns of the list that a verb prints; without a verb, of the one that runs then. */
async function columnsOf([verb = ""]: readonly string[], { verbs }: ClientProgram): Promise<readonly ColumnRow[]> {
  const row = verb === "" ? verbs.find(({ isDefault }) => isDefault) : findVerb(verbs, verb);
  return (await row?.columns?.()) ?? [];
}

/** The whole list of keys that has been typed, with each key that it does not have yet at its end. */
function keyCandidates([, typed = ""]: readonly string[], columns: readonly ColumnRow[], sign: string): string[] {
  const before = typed.slice(0, typed.lastIndexOf(",") + 1);
  const last = typed.slice(before.length);
  const mark = last.startsWith(sign) ? sign : "";
  const used = before.split(",").map((word) => word.replace(/^[+-]/, ""));
  const keys = columns.map(({ key }) => key).filter((key) => !used.includes(key));
  return keys.map((key) => `${before}${mark}${key}`);
}

/** Keys of filters; behind one of a column with few values, these. */
function filterCandidates([, typed = ""]: readonly string[], columns: readonly ColumnRow[]): string[] {
  const equals = typed.indexOf("=");
  if (equals < 0) return columns.map(({ key }) => `${key}=`);
  const column = columns.find(({ key }) => key === typed.slice(0, equals));
  return (column?.values ?? []).map((value) => `${column?.key}=${value}`);
}

// The list without metadata: addresses and OS releases cost the daemon a look into each machine.
async function machines(session: Session): Promise<string[]> {
  const { machines: listed } = await session.manager("ListMachines", {});
  const names = listed.map(([name]) => name);
  return names.filter((name) => !name.startsWith("."));
}

async function images(session: Session, [program]: readonly string[]): Promise<string[]> {
  if (program === "importctl") return (await import("../transfer/list.ts")).imageNames(session);
  const { listedImages } = await import("../image/list-rows.ts");
  const names = (await listedImages(session)).map(({ name }) => name);
  return names.filter((name) => !name.startsWith("."));
}

async function transfers(session: Session): Promise<string[]> {
  return (await import("../transfer/list.ts")).transferIds(session);
}

/** The entries of the directory that `typed` names or begins, as a process of the machine would see them. */
async function machinePaths(session: Session, [machine = "", typed = ""]: readonly string[]): Promise<string[]> {
  const slash = typed.lastIndexOf("/");
  if (slash < 0) return ["/"];
  const { fd } = await session.manager("OpenMachineRootDirectory", { name: machine });
  using root = fd;
  const directory = typed.slice(0, slash + 1);
  using opened = openInRoot(root, directory, "directory");
  return listDirectory(opened).map(({ name, kind }) => `${directory}${name}${kind === "directory" ? "/" : ""}`);
}

function isControl(character: string): boolean {
  return character < " " || character === "\u007f";
}

/** The verb `complete`. */
export async function complete(
  session: Session,
  [kind = "", ...words]: readonly string[],
  program: ClientProgram,
): Promise<number> {
  session.settings.askPassword = false;
  const find = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (find === undefined) return 0;
  try {
    const candidates = await find(session, words, program);
    // A name with a line end in it cannot be offered by a protocol of lines.
    const lines = candidates.filter((candidate) => ![...candidate].some(isControl));
    session.output.write(lines.map((line) => `${line}\n`).join(""));
  } catch {
    // Nothing to offer.
  }
  return 0;
}
