// The hidden verb `complete KIND [WORD…]` of both clients: prints the candidates for a word on a shell's command line,
// one on each line. Only the completion scripts in install/completions call it. It never asks for a password, prints no
// errors, and always exits with 0, because a completion must not disturb the command line.

import { onOneLine } from "../../base/text/control-characters.ts";
import { listDirectory } from "../../kernel/file/directory-entry.ts";
import { openInRoot } from "../../kernel/file/fd.ts";
import { type ClientProgram, type ColumnRow, findVerb } from "../command-line/verb-row.ts";
import type { Session } from "../session/session.ts";

type Find = (session: Session, words: readonly string[], program: ClientProgram) => Promise<readonly string[]>;

/**
 * Functions that return the candidates for a kind of word: those of `WordKind` and `OptionValueKind` that need a query.
 */
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

/** Returns the columns of a verb's list; for an empty word, those of the default verb. */
async function columnsOf([verb = ""]: readonly string[], { verbs }: ClientProgram): Promise<readonly ColumnRow[]> {
  const row = verb === "" ? verbs.find(({ isDefault }) => isDefault) : findVerb(verbs, verb);
  return (await row?.columns?.()) ?? [];
}

/** Returns candidates for a list `KEY,KEY`: the keys typed so far, followed by each key that is not among them. */
function keyCandidates([, typed = ""]: readonly string[], columns: readonly ColumnRow[], sign: string): string[] {
  const before = typed.slice(0, typed.lastIndexOf(",") + 1);
  const last = typed.slice(before.length);
  const mark = last.startsWith(sign) ? sign : "";
  const used = before.split(",").map((word) => word.replace(/^[+-]/, ""));
  const keys = columns.map(({ key }) => key).filter((key) => !used.includes(key));
  return keys.map((key) => `${before}${mark}${key}`);
}

/** Returns candidates for `KEY=GLOB`: the keys; after the `=`, the values of a column that has few. */
function filterCandidates([, typed = ""]: readonly string[], columns: readonly ColumnRow[]): string[] {
  const equals = typed.indexOf("=");
  if (equals < 0) return columns.map(({ key }) => `${key}=`);
  const column = columns.find(({ key }) => key === typed.slice(0, equals));
  return (column?.values ?? []).map((value) => `${column?.key}=${value}`);
}

// Without metadata, because for addresses and OS releases the daemon must enter each machine.
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

/** Returns the entries of the directory in the machine up to the last slash of `typed`. */
async function machinePaths(session: Session, [machine = "", typed = ""]: readonly string[]): Promise<string[]> {
  const slash = typed.lastIndexOf("/");
  if (slash < 0) return ["/"];
  const { fd } = await session.manager("OpenMachineRootDirectory", { name: machine });
  using root = fd;
  const directory = typed.slice(0, slash + 1);
  using opened = openInRoot(root, directory, "directory");
  return listDirectory(opened).map(({ name, kind }) => `${directory}${name}${kind === "directory" ? "/" : ""}`);
}

/**
 * Whether a candidate arrives at the shell as it is. Candidates are separated by newlines, other control characters and
 * marks of direction are printed escaped, and bytes that are not UTF-8 are replaced: with these, it would name another
 * file.
 */
function isUnchanged(candidate: string): boolean {
  return onOneLine(candidate) === candidate && !candidate.includes("\ufffd");
}

/** The verb `complete`. */
export async function complete(
  session: Session,
  [kind = "", ...words]: readonly string[],
  program: ClientProgram,
): Promise<number> {
  session.settings.askPassword = false;
  // Otherwise ssh(1) asks on the terminal itself, in the middle of the command line.
  session.settings.batch = true;
  const find = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (find === undefined) return 0;
  try {
    const candidates = await find(session, words, program);
    session.output.write(
      candidates
        .filter(isUnchanged)
        .map((line) => `${line}\n`)
        .join(""),
    );
  } catch {
    // No candidates.
  }
  return 0;
}
