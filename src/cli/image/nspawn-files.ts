// Finds the `.nspawn` files of machines (systemd.nspawn(5), ".nspawn File Discovery"), and prints them for `machinectl
// cat` (machinectl(1), "cat").

import { accessSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { unlessNoFile } from "../../base/absence.ts";
import { isNormalizedPath } from "../../base/names.ts";
import { imagePool } from "../../base/vocabulary/image-class.ts";
import { linked } from "../format/table.ts";
import type { Paint } from "../format/terminal.ts";
import { Failure, failed } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

const SUFFIX = ".nspawn";
const LONGEST_NAME = 255;

/**
 * The search directories, in order: the administrator's settings, those for this boot, those that came with an image.
 */
interface SettingsDirectories {
  readonly own: string;
  readonly runtime: string;
  readonly images: string;
}

export const SETTINGS_DIRECTORIES: SettingsDirectories = {
  own: "/etc/systemd/nspawn",
  runtime: "/run/systemd/nspawn",
  images: imagePool("machine"),
};

/**
 * Throws a Failure if the files would not be those of this host's systemd-nspawn. `verb` is its name in the message.
 */
export function requireHostFiles(session: Session, verb: "Cat" | "Edit"): void {
  const { transport, runner } = session.settings;
  if (transport.kind !== "local") throw new Failure(`${verb} is only supported on the host machine.`);
  if (runner !== "nspawn") throw new Failure(`${verb} is only supported for --runner=nspawn`);
}

/**
 * Returns the word if it is an absolute path, null for a machine name. Throws a Failure for a path that is not
 * normalized.
 */
export function ownPath(word: string): string | null {
  if (!word.startsWith("/")) return null;
  if (!isNormalizedPath(word)) throw new Failure(`Invalid settings file path '${word}'.`);
  return word;
}

/** Returns the name of a machine's settings file. Throws a Failure for a word that cannot be a file name. */
export function settingsFileName(word: string): string {
  const name = word.endsWith(SUFFIX) ? word : word + SUFFIX;
  if (name.includes("/") || name.includes("\0") || Buffer.byteLength(name) > LONGEST_NAME) {
    throw new Failure(`Invalid settings file name '${name}'.`);
  }
  return name;
}

/** Returns the path of the first settings file of that name in the directories, or null. */
export function findSettings(name: string, { own, runtime, images }: SettingsDirectories): string | null {
  const paths = [own, runtime, images].map((directory) => join(directory, name));
  return paths.find(exists) ?? null;
}

function exists(path: string): boolean {
  return unlessNoFile(() => {
    accessSync(path);
    return true;
  }, false);
}

/** Returns the lines of a settings file with sections, keys, comments and continuations in colours. */
function highlighted(lines: readonly string[], paint: Paint): string {
  let isContinued = false;
  const painted = lines.map((line) => {
    const isComment = /^\s*[#;]/.test(line);
    if (isComment) return paint.brightGrey + line + paint.normal;
    const [, key = "", value = line] = isContinued ? [] : (/^([^=]*=)(.*)$/s.exec(line) ?? []);
    if (!isContinued && line.trimStart().startsWith("[")) return paint.brightCyan + line + paint.normal;
    isContinued = line.endsWith("\\");
    const rest = isContinued ? `${value.slice(0, -1)}${paint.red}\\${paint.normal}` : value;
    return key === "" ? rest : paint.brightGreen + key + paint.normal + rest;
  });
  return painted.map((line) => `${line}\n`).join("");
}

/** Prints a file with its path as heading. */
function print(session: Session, path: string): void {
  const { terminal } = session;
  const { paint } = terminal;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw failed(`Failed to cat ${path}`, withErrno(error));
  }
  const shown = terminal.links ? linked(path, `file://${hostname()}${encodeURI(path)}`) : path;
  const lines = text.replace(/\n$/, "").split("\n");
  session.output.write(`${paint.brightBlue}# ${shown}${paint.normal}\n${text === "" ? "" : highlighted(lines, paint)}`);
}

/** Converts an error of node:fs to one with `errnoName`, which failed() prints as the text of strerror(3). */
export function withErrno(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  return code === undefined ? error : Object.assign(new Error(code), { errnoName: code });
}

/** The verb `cat`. A machine without settings is reported, the others are printed, and the exit status is 1. */
export async function cat(
  session: Session,
  words: readonly string[],
  directories = SETTINGS_DIRECTORIES,
): Promise<number> {
  requireHostFiles(session, "Cat");
  await session.openPager();
  let status = 0;
  for (const word of words) {
    const path = ownPath(word) ?? findSettings(settingsFileName(word), directories);
    if (path !== null) print(session, path);
    else {
      session.report.error(`No settings file found for machine '${word}'.`);
      status = 1;
    }
  }
  return status;
}
