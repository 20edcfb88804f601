// The verbs of machinectl that change images: `clone`, `rename`, `remove`, `read-only`, `set-limit`, `clean`
// (machinectl(1), "Image Commands").
import type { Manager } from "../../api/machine1.ts";
import { ERRORS } from "../../base/error.ts";
import { formatBytes, UINT64_MAX } from "../../base/text/format.ts";
import { shellQuoted } from "../../base/text/shell-quoted.ts";
import type { CallArguments, CallResult } from "../../ipc/bus/typed-call.ts";
import { formatJson } from "../format/json.ts";
import { parseSize } from "../format/size.ts";
import { parseBoolean } from "../format/terminal.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { attempt, Failure, isBusFailure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

/** The largest timeout, 24 days: copying or removing an operating system may take long. */
const NO_TIMEOUT = { timeoutMs: 0x7fff_ffff };

/**
 * Returns a hint for an image that is in use, or whose new name is taken; undefined for other errors, for calls about
 * the pool, and for `.host` as new name, which is always in use.
 */
function hintFor(error: unknown, member: string, args: Readonly<Record<string, unknown>>): string | undefined {
  const { name, new_name: newName } = args;
  const remove = `machinectl remove ${imageWord(String(newName))}`;
  if (!member.includes("Image") || newName === ".host") return undefined;
  if (isBusFailure(error, ERRORS.FileExists.bus) && newName !== undefined) {
    return `There is an image '${newName}' already: choose another name, or '${remove}' removes it.`;
  }
  if (!isBusFailure(error, "System.Error.EBUSY")) return undefined;
  return `Image '${name}' is in use. If a machine runs from it, 'machinectl poweroff ${imageWord(String(name))}' ends that machine.`;
}

/** Returns an image's name as a word of a command that is copied to a shell: it may have blanks, or begin with `-`. */
function imageWord(name: string): string {
  return name.startsWith("-") ? `-- ${shellQuoted(name)}` : shellQuoted(name);
}

/** Calls the manager without a time limit. An error reply becomes a Failure that begins with `complaint`. */
function change<Name extends Parameters<Session["manager"]>[0]>(
  session: Session,
  complaint: string,
  member: Name,
  args: CallArguments<typeof Manager, Name>,
): Promise<CallResult<typeof Manager, Name>> {
  return attempt(
    complaint,
    () => session.manager(member, args, NO_TIMEOUT),
    (error) => hintFor(error, member, args),
  );
}

/** The verb `clone`. */
export async function clone(session: Session, [name = "", newName = ""]: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  const args = { name, new_name: newName, read_only: session.settings.readOnly };
  await change(session, "Could not clone image", "CloneImage", args);
  return 0;
}

/** The verb `rename`. */
export async function rename(session: Session, [name = "", newName = ""]: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  await change(session, "Could not rename image", "RenameImage", { name, new_name: newName });
  return 0;
}

/** The verb `remove`. Stops at the first image that cannot be removed. */
export async function remove(session: Session, names: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  for (const name of names) await change(session, "Could not remove image", "RemoveImage", { name });
  return 0;
}

/** The verb `read-only`: makes an image read-only, or with a second word that is false, writable. */
export async function readOnly(session: Session, [name = "", wish]: readonly string[]): Promise<number> {
  const isWanted = wish === undefined ? true : parseBoolean(wish);
  if (isWanted === undefined) throw new Failure(`Failed to parse boolean argument: ${wish}`);
  await startPolkitAgent(session);
  await change(session, "Could not mark image read-only", "MarkImageReadOnly", { name, read_only: isWanted });
  return 0;
}

const NO_LIMIT = ["-", "none", "infinity"];

/** The verb `set-limit`: sets the limit of an image; with a single word, the limit of the pool. */
export async function setLimit(session: Session, words: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  const text = words.at(-1) ?? "";
  const bytes = NO_LIMIT.includes(text) ? UINT64_MAX : parseSize(text);
  if (bytes === undefined) throw new Failure(`Failed to parse size: ${text}`);
  const complaint = "Could not set limit";
  const [name = ""] = words;
  if (words.length > 1) await change(session, complaint, "SetImageLimit", { name, size: bytes });
  else await change(session, complaint, "SetPoolLimit", { size: bytes });
  return 0;
}

/** The verb `clean`: removes hidden images, with -a all images; prints their names and the space freed. */
export async function clean(session: Session): Promise<number> {
  await startPolkitAgent(session);
  const mode = session.settings.all ? "all" : "hidden";
  const { images: removed } = await change(session, "Could not clean pool", "CleanPool", { mode });
  const { settings, output, terminal } = session;
  if (settings.json !== "off") {
    const rows = removed.map(([name, bytes]) => ({ name, freed: bytes === UINT64_MAX ? null : bytes }));
    output.write(formatJson(rows, settings.json, terminal.paint));
    return 0;
  }
  let total: bigint | null = 0n;
  for (const [name, bytes] of removed) {
    const isKnown = bytes !== UINT64_MAX;
    session.report.info(
      `Removed image '${name}'${isKnown ? `. Freed exclusive disk space: ${formatBytes(bytes)}` : ""}`,
    );
    total = isKnown && total !== null ? total + bytes : null;
  }
  const freed = total === null ? "" : ` Total freed exclusive disk space: ${formatBytes(total)}.`;
  session.report.info(`Removed ${removed.length} images in total.${freed}`);
  return 0;
}
