// `machinectl clone`, `rename`, `remove`, `read-only`, `set-limit`, `clean`: what changes images
// (machinectl(1), "Image Commands").
import { formatBytes, UINT64_MAX } from "../../base/format.ts";
import { formatJson } from "../format/json.ts";
import { parseSize } from "../format/size.ts";
import { parseBoolean } from "../format/terminal.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { attempt, Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

const MANAGER = {
  destination: "org.freedesktop.machine1",
  path: "/org/freedesktop/machine1",
  interface: "org.freedesktop.machine1.Manager",
} as const;

/** Copying or removing a whole system takes as long as it takes. */
const NO_TIMEOUT_MS = 0x7fff_ffff;

async function change(session: Session, complaint: string, member: string, signature: string, ...body: unknown[]) {
  const call = { ...MANAGER, member, signature, body, timeoutMs: NO_TIMEOUT_MS };
  return attempt(complaint, () => session.callManager(call));
}

/** The verb `clone`. */
export async function clone(session: Session, [name, newName]: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  await change(session, "Could not clone image", "CloneImage", "ssb", name, newName, session.settings.readOnly);
  return 0;
}

/** The verb `rename`. */
export async function rename(session: Session, [name, newName]: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  await change(session, "Could not rename image", "RenameImage", "ss", name, newName);
  return 0;
}

/** The verb `remove`: in order, up to the first that cannot be removed. */
export async function remove(session: Session, names: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  for (const name of names) await change(session, "Could not remove image", "RemoveImage", "s", name);
  return 0;
}

/** The verb `read-only`: marks an image, or takes the mark away. */
export async function readOnly(session: Session, [name, wish]: readonly string[]): Promise<number> {
  const isWanted = wish === undefined ? true : parseBoolean(wish);
  if (isWanted === undefined) throw new Failure(`Failed to parse boolean argument: ${wish}`);
  await startPolkitAgent(session);
  await change(session, "Could not mark image read-only", "MarkImageReadOnly", "sb", name, isWanted);
  return 0;
}

const NO_LIMIT = ["-", "none", "infinity"];

/** The verb `set-limit`: of an image, or with one word of the pool. */
export async function setLimit(session: Session, words: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  const text = words.at(-1) ?? "";
  const bytes = NO_LIMIT.includes(text) ? UINT64_MAX : parseSize(text);
  if (bytes === undefined) throw new Failure(`Failed to parse size: ${text}`);
  const complaint = "Could not set limit";
  if (words.length > 1) await change(session, complaint, "SetImageLimit", "st", words[0], bytes);
  else await change(session, complaint, "SetPoolLimit", "t", bytes);
  return 0;
}

/** The verb `clean`: removes hidden images, with -a all; says which, and what that freed, or gives it with `--json=`. */
export async function clean(session: Session): Promise<number> {
  await startPolkitAgent(session);
  const mode = session.settings.all ? "all" : "hidden";
  const [images] = await change(session, "Could not clean pool", "CleanPool", "s", mode);
  // a(st) by definition of the interface.
  const removed = images as readonly (readonly [string, bigint])[];
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
