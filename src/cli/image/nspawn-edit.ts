// `machinectl edit`: edits `.nspawn` files with the user's editor (machinectl(1), "edit"). The editor changes temporary
// copies in the same directories, which are renamed over the files when it has exited with status 0.

import { chmodSync, mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { randomHex } from "../../base/random-hex.ts";
import { programPath } from "../../kernel/process/program-path.ts";
import type { Environment } from "../format/terminal.ts";
import { Failure, failed } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import {
  findSettings,
  ownPath,
  requireHostFiles,
  SETTINGS_DIRECTORIES,
  settingsFileName,
  withErrno,
} from "./nspawn-files.ts";

const DEFAULT_EDITORS = ["editor", "nano", "vim", "vi"];
const DEFAULT_MODE = 0o644;

/** Signals that do not end this process while the editor runs; all but ^C are passed on. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/** What systemd's edit strips from both ends of an edited file. */
const BLANKS_AROUND = /^[ \t\r\n]+|[ \t\r\n]+$/g;

/** A file to edit. */
interface Edited {
  /** The path of the edited file. */
  readonly target: string;
  /** The file whose text is edited; another one than `target` for settings that came with an image. */
  readonly source: string;
  /** The temporary copy that the editor opens. */
  readonly copy: string;
}

function edited(target: string, source = target): Edited {
  const copy = join(dirname(target), `.#${basename(target)}${randomHex(8)}`);
  return { target, source, copy };
}

/**
 * Returns the file that a word of the command line means: a path, or the settings of a machine. A machine without
 * settings has a new file in /etc; settings that came with an image are not changed, but copied to /etc.
 */
function choose(word: string, directories: typeof SETTINGS_DIRECTORIES): Edited {
  const path = ownPath(word);
  if (path !== null) return edited(path);
  const name = settingsFileName(word);
  const found = findSettings(name, directories);
  const own = join(directories.own, name);
  if (found === null) return edited(own);
  return found.startsWith(`${directories.images}/`) ? edited(own, found) : edited(found);
}

/**
 * Makes the temporary copy; it is empty if the source does not exist. Returns whether the directory of the file was
 * made for it.
 */
function prepare({ target, source, copy }: Edited): boolean {
  let [content, mode] = [Buffer.alloc(0), DEFAULT_MODE];
  try {
    content = readFileSync(source);
    mode = statSync(source).mode & 0o7777;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw failed(`Failed to read ${source}`, withErrno(error));
  }
  try {
    const made = mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
    writeFileSync(copy, content, { flag: "wx" });
    chmodSync(copy, mode);
    return made !== undefined;
  } catch (error) {
    throw failed(`Failed to create temporary file "${copy}"`, withErrno(error));
  }
}

/**
 * Returns the editor's command line: the environment's, or the first usual editor that is installed; null without one.
 */
export function editorOf(env: Environment, isInstalled: (program: string) => boolean): string[] | null {
  const named = env["SYSTEMD_EDITOR"] || env["EDITOR"] || env["VISUAL"] || "";
  const words = named.split(/\s+/).filter((word) => word !== "");
  if (words.length > 0) return words;
  const usual = DEFAULT_EDITORS.find(isInstalled);
  return usual === undefined ? null : [usual];
}

async function runEditor(session: Session, paths: readonly string[]): Promise<void> {
  const words = editorOf(session.ports.env, (program) => programPath(program) !== null);
  if (words === null) {
    throw new Failure("Cannot edit files, no editor available. Please set either $SYSTEMD_EDITOR, $EDITOR or $VISUAL.");
  }
  const [program = ""] = words;
  if (programPath(program) === null) throw new Failure(`Failed to execute '${program}': No such file or directory`);
  // ^C reaches the editor itself, which may go on; this process waits for it, and removes the copies.
  const passOn = (signal: NodeJS.Signals) => signal === "SIGINT" || child.kill(signal);
  for (const signal of SIGNALS) process.on(signal, passOn);
  const child = Bun.spawn([...words, ...paths], { stdio: ["inherit", "inherit", "inherit"] });
  const code = await child.exited;
  for (const signal of SIGNALS) process.off(signal, passOn);
  if (code !== 0) throw new Failure(`Editor '${program}' failed with exit status ${code}.`);
}

/** Removes the copy, and the directory that was made for a file that was not written after all. */
function cleanUp({ copy, target }: Edited, madeDirectory: boolean): void {
  rmSync(copy, { force: true });
  if (!madeDirectory) return;
  try {
    rmdirSync(dirname(target));
  } catch {
    // The file was written, or the directory has others by now.
  }
}

/** Renames the copy over the file, unless the copy is empty. */
function install(session: Session, { target, copy }: Edited): void {
  try {
    // Bytes, because a file in another encoding than UTF-8 is not to be changed by this.
    const text = readFileSync(copy, "latin1").replace(BLANKS_AROUND, "");
    if (text === "") {
      session.report.notice(`${target}: after editing, new contents are empty, not writing file.`);
      return;
    }
    writeFileSync(copy, `${text}\n`, "latin1");
    renameSync(copy, target);
  } catch (error) {
    throw failed(`Failed to install edited file '${target}'`, withErrno(error));
  }
  session.report.info(`Successfully installed edited file '${target}'.`);
}

/** The verb `edit`. */
export async function edit(
  session: Session,
  words: readonly string[],
  directories = SETTINGS_DIRECTORIES,
): Promise<number> {
  if (!session.terminal.isTty) throw new Failure("Cannot edit machine settings if not on a tty.");
  requireHostFiles(session, "Edit");
  // Two words may mean one file, which must not be edited in two copies: the second would replace the first.
  const byTarget = new Map<string, Edited>();
  for (const word of words) {
    const file = choose(word, directories);
    if (!byTarget.has(file.target)) byTarget.set(file.target, file);
  }
  const files = [...byTarget.values()];
  const made = new Set<Edited>();
  try {
    for (const file of files) if (prepare(file)) made.add(file);
    await runEditor(
      session,
      files.map(({ copy }) => copy),
    );
    for (const file of files) install(session, file);
  } finally {
    for (const file of files.toReversed()) cleanUp(file, made.has(file));
  }
  return 0;
}
