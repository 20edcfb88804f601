// The verbs that start transfers: pull-tar, pull-raw, pull-oci, import-tar, import-raw, import-fs, export-tar,
// export-raw (importctl(1)). The newest call of the daemon is tried first; if the daemon lacks it, an older equivalent
// is used.
import { CLASS_DIRECTORIES, IMAGE_CLASSES, type ImageClass } from "../../base/vocabulary/image-class.ts";
import { TRANSFER_FLAGS } from "../../base/vocabulary/transfer.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { attempt, Failure, isBusFailure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { follow, type OnInterrupt, type StartCall } from "./follow.ts";
import { pathOfImage } from "./list.ts";
import { exportName, formatOf, given, importName, type Payload, pullName } from "./names.ts";

/** Returns the class of --class=. Without the option, throws a Failure that lists the classes. */
export function classOf(session: Session): ImageClass {
  const { imageClass } = session.settings;
  if (imageClass !== undefined) return imageClass;
  const choices = IMAGE_CLASSES.values.map((name) => `${name} (downloads to /var/lib/${CLASS_DIRECTORIES[name]}/)`);
  throw new Failure(`No image class specified, retry with --class= set to one of: ${choices.join(", ")}.`);
}

function flagsOf(session: Session, keepDownload: boolean): bigint {
  const { force, readOnly } = session.settings;
  const keep = keepDownload ? TRANSFER_FLAGS.keepDownload : 0n;
  return (force ? TRANSFER_FLAGS.force : 0n) | (readOnly ? TRANSFER_FLAGS.readOnly : 0n) | keep;
}

/** Returns the older call, which has no class, if it can do the same: for machines, and if `isPossible`. */
function olderCalls(imageClass: ImageClass, isPossible: boolean, call: StartCall): StartCall[] {
  return imageClass === "machine" && isPossible ? [call] : [];
}

const MEMBERS = { tar: "Tar", raw: "Raw", fs: "FileSystem" } as const;

/** The verbs `pull-tar`, `pull-raw` and `pull-oci`, and the pull of `run`. */
export async function pull(
  session: Session,
  payload: "tar" | "raw" | "oci",
  words: readonly string[],
  onInterrupt: OnInterrupt = "leave",
): Promise<number> {
  const { settings } = session;
  const imageClass = classOf(session);
  const [remote = "", word] = words;
  const local = pullName(remote, word, payload);
  if (payload === "oci") {
    const args = { ref: remote, local_name: local, class: imageClass, flags: flagsOf(session, false) };
    return follow(session, [{ member: "PullOci", args }], onInterrupt);
  }
  const member = `Pull${MEMBERS[payload]}` as const;
  const args = { url: remote, local_name: local };
  const verify = settings.verify ?? "signature";
  // Several machines are often made from one download; for other classes that is rare, so the download is not kept.
  const flags = flagsOf(session, settings.keepDownload ?? imageClass === "machine");
  const calls: StartCall[] = [
    { member: `${member}Ex`, args: { ...args, class: imageClass, verify_mode: verify, flags } },
    ...olderCalls(imageClass, !settings.readOnly, {
      member,
      args: { ...args, verify_mode: verify, force: settings.force },
    }),
  ];
  return follow(session, calls, onInterrupt);
}

/**
 * Throws a Failure with -H: ssh(1) passes no files on. To be called before a file is opened, which would be truncated;
 * a call without its file would never be answered.
 */
function requireFiles({ settings: { transport } }: Session): void {
  if (transport.kind !== "remote") return;
  throw new Failure(`Failed to transfer image: A file of this host cannot be passed to '${transport.host}'`, {
    hint: "Over ssh: 'ssh HOST importctl -m import-tar - NAME <FILE', 'ssh HOST importctl -m export-tar NAME >FILE'.",
  });
}

/** The verbs `import-tar`, `import-raw` and `import-fs`. */
export async function importImage(
  session: Session,
  payload: "tar" | "raw" | "fs",
  words: readonly string[],
): Promise<number> {
  const { settings } = session;
  const imageClass = classOf(session);
  const path = given(words[0]);
  const local = importName(path, words[1], payload);
  requireFiles(session);
  using file = await openSource(session, path, payload);
  const member = `Import${MEMBERS[payload]}` as const;
  const args = { fd: file, local_name: local };
  return await follow(session, [
    { member: `${member}Ex`, args: { ...args, class: imageClass, flags: flagsOf(session, false) } },
    ...olderCalls(imageClass, true, {
      member,
      args: { ...args, force: settings.force, read_only: settings.readOnly },
    }),
  ]);
}

/** Opens the file or directory to import; `path` is null for standard input. */
async function openSource(session: Session, path: string | null, payload: Payload): Promise<Fd> {
  if (path === null) return session.ports.openFile(0);
  const isTree = payload === "fs";
  return attempt(isTree ? `Failed to open directory '${path}'` : `Failed to open ${path}`, () =>
    session.ports.openFile(path, isTree ? "directory" : "read"),
  );
}

/** The replies to a call that the daemon does not have; the bus of 252 refuses such calls of users. */
const NOT_OFFERED = ["UnknownMethod", "AccessDenied"].map((name) => `org.freedesktop.DBus.Error.${name}`);

/**
 * Throws a Failure if no image has this name, if the file at `path` is that image, or if the daemon cannot be asked,
 * before the file is truncated. If the daemon does not list its images, as those before 256, the export itself finds
 * out.
 */
async function requireImage(session: Session, name: string, path: string): Promise<void> {
  const found = await attempt("Failed to transfer image", () => pathOfImage(session, name)).catch((error: unknown) => {
    if (error instanceof Failure && isBusFailure(error.cause, ...NOT_OFFERED)) return null;
    throw error;
  });
  if (found === null) return;
  const hint = `The content of '${path}' was not changed.`;
  if (found === undefined) throw new Failure(`Image ${name} not found.`, { hint });
  if (await session.ports.isSameFile(path, found)) throw new Failure(`'${path}' is the image itself.`, { hint });
}

/** The verbs `export-tar` and `export-raw`. */
export async function exportImage(session: Session, payload: "tar" | "raw", words: readonly string[]): Promise<number> {
  const imageClass = classOf(session);
  const local = exportName(words[0] ?? "");
  requireFiles(session);
  const path = given(words[1]);
  const format = session.settings.format ?? formatOf(path);
  if (path !== null && (await session.ports.hasContent(path))) await requireImage(session, local, path);
  using file = await (path === null
    ? session.ports.openFile(1)
    : attempt(`Failed to open ${path}`, () => session.ports.openFile(path, "create")));
  const member = `Export${MEMBERS[payload]}` as const;
  const args = { local_name: local, fd: file, format };
  return await follow(session, [
    { member: `${member}Ex`, args: { ...args, class: imageClass, flags: 0n } },
    ...olderCalls(imageClass, true, { member, args }),
  ]);
}
