// machined install --nss: makes names of machines known to the C library. If the distribution has no libnss_mymachines,
// the module (src/nss/module.c) is installed beside the C library; nsswitch.conf is changed to name it. Both are
// recorded in a file, so that uninstall can restore nsswitch.conf exactly; from one that was edited in the meantime, it
// removes only the word, and only from lines that did not have it before.
import { readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { databaseLine, namesService, withoutService, withService } from "../base/text/nsswitch.ts";
import {
  NSS_LIBRARY as LIBRARY,
  LIBRARY_DIRECTORIES,
  NSSWITCH,
  NSS_WORD as WORD,
} from "../base/vocabulary/installation.ts";
import type { Say } from "./apply.ts";
import { exists, hashOfFile, hashOfText, removeTemporary, writeBytes, writeText } from "./disk.ts";
import { attempt, SetupError } from "./error.ts";
import type { Host } from "./host.ts";

/** The compiled module in base64, set by the build; "" in a build for musl or without a C compiler. */
declare const NSS_MODULE: string | undefined;

const RECORD = "/usr/local/lib/machined/nss.json";
/**
 * By database, the services before which the word is inserted, so that names of machines precede those of the network.
 */
const BEFORE: Readonly<Record<string, readonly string[]>> = {
  hosts: ["resolve", "dns", "myhostname"],
  passwd: ["systemd"],
  group: ["systemd"],
};

/** The installed module. */
interface InstalledLibrary {
  readonly path: string;
  readonly sha256: string;
  /** The hash of the older module that it replaces, which may still be there after an interruption. */
  readonly was?: string;
}

/** The record. Each part is null if it was not changed. */
interface NssRecord {
  readonly library: InstalledLibrary | null;
  /** The text of nsswitch.conf without our changes, and the hash of the changed text. */
  readonly nsswitch: { readonly before: string; readonly sha256: string } | null;
}

/** Installs the module and adds it to nsswitch.conf, where that has not been done. Throws a SetupError. */
export function installNss(host: Host, say: Say): void {
  const old = readRecord(host);
  let { library, nsswitch }: NssRecord = old ?? { library: null, nsswitch: null };
  const record = () => writeRecord(host, { library, nsswitch });
  // Each change is recorded before it is made, so that an interrupted one can be reverted.
  putLibrary(host, say, (made) => {
    library = made;
    record();
  });
  nameInNsswitch(host, nsswitch, say, (made) => {
    nsswitch = made;
    record();
  });
}

/**
 * Replaces the module of an earlier installation by that of this executable. One that was changed or removed since then
 * stays so. Throws a SetupError.
 */
export function renewNss(host: Host, say: Say): void {
  const renewal = renewalOn(host);
  if (renewal === null) return;
  const { record, library, bytes } = renewal;
  const path = host.locate(library.path);
  writeRecord(host, { ...record, library });
  attempt(`write '${path}'`, () => writeBytes(path, bytes));
  say(`replaced ${path}`);
}

/** Prints what renewNss() would do. */
export function describeRenewNss(host: Host, say: Say): void {
  const renewal = renewalOn(host);
  if (renewal !== null) say(`would replace ${host.locate(renewal.library.path)}`);
}

/** Returns the new module and its record; null where the host has none of an earlier installation, or the same. */
function renewalOn(host: Host): { record: NssRecord; library: InstalledLibrary; bytes: Buffer } | null {
  const record = readRecord(host);
  const bytes = ownModule();
  if (record === null || record.library === null || bytes.length === 0) return null;
  const { path } = record.library;
  if (!exists(host.locate(path))) return null;
  const [found, sha256] = [hashOfFile(host.locate(path)), hashOfBytes(bytes)];
  if (found === sha256 || !isInstalled(found, record.library)) return null;
  return { record, library: { path, sha256, was: found }, bytes };
}

/** Whether a module with this hash is the installed one, or the one before it that was not replaced yet. */
function isInstalled(hash: string, { sha256, was }: InstalledLibrary): boolean {
  return hash === sha256 || hash === was;
}

function hashOfBytes(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

/** Returns the module that this executable contains; empty if it contains none. */
function ownModule(): Buffer {
  return Buffer.from(typeof NSS_MODULE === "string" ? NSS_MODULE : "", "base64");
}

/** Reverts installNss(), as far as the record lists changes. */
export function uninstallNss(host: Host, say: Say): void {
  const record = readRecord(host);
  if (record === null) return;
  if (record.nsswitch !== null) restoreNsswitch(host, record.nsswitch, say);
  if (record.library !== null) removeLibrary(host, record.library, say);
  rmSync(host.locate(RECORD), { force: true });
}

/** Prints what uninstallNss() would do. */
export function describeUninstallNss(host: Host, say: Say): void {
  const record = readRecord(host);
  if (record?.nsswitch) say(`would change ${nsswitchOf(host)} back`);
  if (record?.library) say(`would remove ${host.locate(record.library.path)}`);
}

function writeRecord(host: Host, record: NssRecord): void {
  attempt(`write '${host.locate(RECORD)}'`, () => writeText(host.locate(RECORD), `${JSON.stringify(record)}\n`));
}

function readRecord(host: Host): NssRecord | null {
  const path = host.locate(RECORD);
  if (!exists(path)) return null;
  const help = `move it away, and remove ${WORD} from ${NSSWITCH} yourself`;
  try {
    const record: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (isRecord(record)) return record;
  } catch (error) {
    throw new SetupError(`Cannot parse '${path}', which lists the changes of --nss: ${help}`, { cause: error });
  }
  throw new SetupError(`'${path}' is not a list of the changes of --nss: ${help}`);
}

function isRecord(value: unknown): value is NssRecord {
  if (typeof value !== "object" || value === null || !("library" in value && "nsswitch" in value)) return false;
  return isPart(value.library, "path") && isPart(value.nsswitch, "before");
}

/** Whether a part of the record is null, or has the texts `field` and `sha256`. */
function isPart(value: unknown, field: string): boolean {
  if (typeof value !== "object" || value === null) return value === null;
  const texts = value as Readonly<Record<string, unknown>>;
  return typeof texts[field] === "string" && typeof texts["sha256"] === "string";
}

/** Installs the module unless the host has one; calls `record` before. */
function putLibrary(host: Host, say: Say, record: (made: NssRecord["library"]) => void): void {
  const there = LIBRARY_DIRECTORIES.map((directory) => `${directory}/${LIBRARY}`).find((path) => host.hasAny([path]));
  if (there !== undefined) {
    say(`exists   ${host.locate(there)}`);
    return;
  }
  const bytes = ownModule();
  if (bytes.length === 0) {
    throw new SetupError(
      "This executable has no NSS module: it was built for musl, which cannot load NSS modules, or without a C compiler",
    );
  }
  const libc = LIBRARY_DIRECTORIES.map((directory) => `${directory}/libc.so.6`).find((path) => host.hasAny([path]));
  if (libc === undefined) {
    throw new SetupError("Cannot install the NSS module: it needs the GNU C library, which this host does not have");
  }
  const path = `${dirname(libc)}/${LIBRARY}`;
  record({ path, sha256: hashOfBytes(bytes) });
  attempt(`write '${host.locate(path)}'`, () => writeBytes(host.locate(path), bytes));
  say(`made     ${host.locate(path)}`);
}

/** Returns the path of nsswitch.conf, or of the file that it links to: authselect(8) keeps it elsewhere. */
function nsswitchOf(host: Host): string {
  return host.locate(host.follow(NSSWITCH));
}

/** Adds the word where it is missing; `old` is the record of an earlier installation. Calls `record` before. */
function nameInNsswitch(
  host: Host,
  old: NssRecord["nsswitch"],
  say: Say,
  record: (made: NssRecord["nsswitch"]) => void,
): void {
  const path = nsswitchOf(host);
  if (!exists(path))
    throw new SetupError(
      `Cannot add ${WORD} to '${path}', because the file does not exist: make it, or leave out --nss`,
    );
  removeTemporary(path);
  const now = readFileSync(path, "utf8");
  const after = addWord(now);
  const left = Object.keys(BEFORE).filter((database) => !namesService(after, database, WORD));
  if (left.length > 0) say(`left     ${path}: it has no services for ${left.join(", ")}`);
  if (after === now) {
    if (left.length === 0) say(`exists   ${path} names ${WORD} already`);
    return;
  }
  // An edited file may still have words that the earlier installation has added.
  const before = old === null ? now : withoutOurs(now, old.before);
  record({ before, sha256: hashOfText(after) });
  attempt(`write '${path}'`, () => writeText(path, after));
  say(`changed  ${path}: ${WORD} resolves hosts, users and groups`);
}

/**
 * Returns the text of nsswitch.conf(5) with the word added. Lines that have it already do not change, and no line is
 * added.
 */
export function addWord(text: string): string {
  return onLines(text, (services, database) => withService(services, WORD, BEFORE[database] ?? []));
}

/** Calls `change` with the services of each database of BEFORE, and returns the text with the services it returns. */
function onLines(text: string, change: (services: string, database: string) => string): string {
  return text
    .split("\n")
    .map((line) => {
      const parts = databaseLine(line);
      if (parts === null || !Object.hasOwn(BEFORE, parts.database)) return line;
      return parts.start + change(parts.services, parts.database) + parts.end;
    })
    .join("\n");
}

/**
 * Returns a text of nsswitch.conf(5) without the word on the lines of those databases to which it was added in
 * `before`.
 */
function withoutOurs(text: string, before: string): string {
  const [had, got] = [before.split("\n"), addWord(before).split("\n")];
  const changed = new Set(had.filter((line, at) => line !== got[at]).map((line) => databaseLine(line)?.database));
  return onLines(text, (services, database) => (changed.has(database) ? withoutService(services, WORD) : services));
}

function restoreNsswitch(host: Host, { before, sha256 }: NonNullable<NssRecord["nsswitch"]>, say: Say): void {
  const path = nsswitchOf(host);
  removeTemporary(path);
  if (!exists(path)) return;
  const now = readFileSync(path, "utf8");
  const isOurs = hashOfText(now) === sha256;
  const text = isOurs ? before : withoutOurs(now, before);
  attempt(`write '${path}'`, () => writeText(path, text));
  say(`${isOurs ? "restored" : "changed "} ${path}`);
}

function removeLibrary(host: Host, library: InstalledLibrary, say: Say): void {
  const located = host.locate(library.path);
  removeTemporary(located);
  if (!exists(located)) return;
  if (!isInstalled(hashOfFile(located), library)) {
    say(`left     ${located} (it is not what was installed)`);
    return;
  }
  attempt(`remove '${located}'`, () => rmSync(located));
  say(`removed  ${located}`);
}
