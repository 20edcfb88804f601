// machined install --divert: puts links to the clients in place of the distribution's machinectl and importctl in
// /usr/bin, for programs that search no other directory (cron, scripts that set PATH or use the whole path). The
// distribution's files get the suffix .distrib: by dpkg-divert(1), so that package updates write there, too; on hosts
// without dpkg, by rename(2). The diversions are recorded in a file, so that undivert() can revert them.
//
// dpkg compares paths as texts. A package may have a client as /bin/machinectl, where /bin is a link to /usr/bin (that
// of Debian 12 has): then that path is diverted.
import { lstatSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { Say } from "./apply.ts";
import { exists, type Found, look, removeTemporary, writeLink, writeText } from "./disk.ts";
import { attempt, isDiskFull, SetupError } from "./error.ts";
import type { Host } from "./host.ts";
import type { Run } from "./run-command.ts";

const RECORD = "/usr/local/lib/machined/divert.json";
const CLIENTS = ["/usr/bin/machinectl", "/usr/bin/importctl"];

/** A diverted file, and how it was renamed. */
interface Diversion {
  readonly path: string;
  readonly by: "dpkg" | "rename";
}

function movedTo(path: string): string {
  return `${path}.distrib`;
}

/**
 * Puts links to `program` in place of the distribution's clients. Existing diversions are kept; one that a package
 * update has overwritten, or whose making was interrupted, is made again. A link to the program of an earlier
 * installation, which may have been a package's, is replaced. Throws a SetupError; a diversion that has failed is
 * reverted.
 */
export function divert(host: Host, program: string, say: Say, command: Run, paths: readonly string[] = CLIENTS): void {
  const present = host.hasAny(["/usr/bin/dpkg-divert"]) ? "dpkg" : "rename";
  for (const path of paths) {
    const found = look(host.locate(path));
    const recorded = readRecord(host).find((one) => one.path === path);
    const [known, by] = [recorded !== undefined, recorded?.by ?? present];
    if (found === null && !(known && isThere(host.locate(movedTo(path))))) continue;
    if (found?.kind === "link" && found.target === program) {
      if (known && by === "dpkg") addToDpkg(host, command, path);
      say(`exists   ${host.locate(path)}`);
      continue;
    }
    const isLinked = known && isOurLink(found);
    if (!known) moveAway(host, { path, by }, command);
    else if (!isLinked) moveAgain(host, { path, by }, command);
    try {
      attempt(`make '${host.locate(path)}' a link`, () => writeLink(host.locate(path), program));
    } catch (error) {
      if (isLinked) throw error;
      moveBack(host, { path, by }, command);
      forget(host, path);
      throw error;
    }
    say(`diverted ${host.locate(path)} (the distribution's is ${movedTo(path)})`);
  }
}

/**
 * Completes the diversions whose clients were moved away by a run that was interrupted before it made the links, and
 * those whose links lead to the program of an earlier installation, which is gone.
 */
export function mendDiversions(host: Host, program: string, say: Say, command: Run): void {
  const isLacking = (path: string): boolean => {
    const found = look(host.locate(path));
    return found === null || isOurLink(found);
  };
  const paths = readRecord(host).map(({ path }) => path);
  divert(host, program, say, command, paths.filter(isLacking));
}

/** Reverts all diversions: the distribution's clients get their names back. */
export function undivert(host: Host, say: Say, command: Run): void {
  for (const diversion of readRecord(host)) {
    const { path } = diversion;
    removeTemporary(host.locate(path));
    const found = look(host.locate(path));
    const isOthers = found !== null && !isOurLink(found) && isThere(host.locate(movedTo(path)));
    // Also then the diversion ends, or a later package would write its client to the other name.
    moveBack(host, diversion, command);
    if (isOurLink(look(host.locate(path)))) rmSync(host.locate(path));
    if (isOthers) say(`left     ${host.locate(path)} (it is not what was installed)`);
    else say(`restored ${host.locate(path)}`);
    forgetWhereThereIsRoom(host, path);
  }
  attempt(`remove '${host.locate(RECORD)}'`, () => rmSync(host.locate(RECORD), { force: true }));
}

/** Prints what divert() would do. */
export function describeDivert(host: Host, say: Say): void {
  for (const path of CLIENTS) {
    if (look(host.locate(path)) !== null) say(`would divert ${host.locate(path)} to ${movedTo(path)}`);
  }
}

/** Prints what undivert() would do. */
export function describeUndivert(host: Host, say: Say): void {
  for (const { path } of readRecord(host)) say(`would restore ${host.locate(path)}`);
}

/** Whether what was found is a link to the program of an installation, copied or from a package. */
function isOurLink(found: Found | null): found is Found & { readonly kind: "link" } {
  return found?.kind === "link" && found.target.endsWith("/machined/machined");
}

function readRecord(host: Host): Diversion[] {
  const path = host.locate(RECORD);
  if (!exists(path)) return [];
  const help = "move it away, and rename files with the suffix .distrib in /usr/bin back yourself";
  try {
    const diversions: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (Array.isArray(diversions) && diversions.every(isDiversion)) return diversions;
  } catch (error) {
    throw new SetupError(`Cannot parse '${path}', which lists the diverted files: ${help}`, { cause: error });
  }
  throw new SetupError(`'${path}' is not a list of diverted files: ${help}`);
}

function isDiversion(value: unknown): value is Diversion {
  if (typeof value !== "object" || value === null || !("path" in value && "by" in value)) return false;
  return CLIENTS.some((path) => path === value.path) && (value.by === "dpkg" || value.by === "rename");
}

function record(host: Host, diversions: readonly Diversion[]): void {
  attempt(`write '${host.locate(RECORD)}'`, () => writeText(host.locate(RECORD), `${JSON.stringify(diversions)}\n`));
}

function forget(host: Host, path: string): void {
  record(
    host,
    readRecord(host).filter((one) => one.path !== path),
  );
}

/** A full disk is no reason not to uninstall, which frees space: the record of what is restored already goes then. */
function forgetWhereThereIsRoom(host: Host, path: string): void {
  try {
    forget(host, path);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
  }
}

/**
 * Diverts a file again that exists although its diversion is recorded: a package manager without diversions has written
 * it, a package that had it under another path, and then the older .distrib is replaced; or an earlier run was
 * interrupted before the renaming.
 */
function moveAgain(host: Host, { path, by }: Diversion, command: Run): void {
  if (by === "dpkg") addToDpkg(host, command, path);
  if (isThere(host.locate(path)))
    attempt(`rename '${host.locate(path)}'`, () => renameSync(host.locate(path), host.locate(movedTo(path))));
}

/** Renames a client. The diversion is recorded first, so that an interrupted run can be reverted, too. */
function moveAway(host: Host, diversion: Diversion, command: Run): void {
  const { path, by } = diversion;
  const [from, to] = [host.locate(path), host.locate(movedTo(path))];
  if (exists(to))
    throw new SetupError(`Cannot rename '${from}': '${to}' is in the way; move it away and run this again`);
  record(host, [...readRecord(host), diversion]);
  try {
    if (by === "dpkg") addToDpkg(host, command, path);
  } catch (error) {
    forget(host, path);
    throw error;
  }
  try {
    attempt(`rename '${from}' to '${to}'`, () => renameSync(from, to));
  } catch (error) {
    moveBack(host, diversion, command);
    forget(host, path);
    throw error;
  }
}

/**
 * Ends a diversion, and gives the distribution's client its name back unless something else has that. In one step, and
 * first: where dpkg cannot write its database, because a disk is full for example, the host still has its client.
 */
function moveBack(host: Host, { path, by }: Diversion, command: Run): void {
  const [from, to] = [host.locate(movedTo(path)), host.locate(path)];
  if (isThere(from) && (!isThere(to) || isOurLink(look(to))))
    attempt(`rename '${from}' to '${to}'`, () => renameSync(from, to));
  if (by === "dpkg") removeFromDpkg(host, command, path);
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Returns the other path of a client, below /bin, where that is a link to /usr/bin; else null. */
function aliasOf(host: Host, path: string): string | null {
  return host.follow("/bin") === dirname(path) ? path.replace(/^\/usr/, "") : null;
}

/** Diverts the path by which a package has the client; renames nothing. */
function addToDpkg(host: Host, command: Run, path: string): void {
  const alias = aliasOf(host, path);
  // It is removed first, because dpkg-query(1) finds diversions, too.
  if (alias !== null) dpkgDivert(host, command, "--remove", alias);
  const database = `--admindir=${host.locate("/var/lib/dpkg")}`;
  if (alias !== null && command("dpkg-query", database, "--search", alias).code === 0) {
    dpkgDivert(host, command, "--remove", path);
    dpkgDivert(host, command, "--add", alias);
  } else dpkgDivert(host, command, "--add", path);
}

function removeFromDpkg(host: Host, command: Run, path: string): void {
  const alias = aliasOf(host, path);
  for (const one of alias === null ? [path] : [path, alias]) dpkgDivert(host, command, "--remove", one);
}

/** Without a renaming, which dpkg-divert(1) refuses where both files exist. */
function dpkgDivert(host: Host, command: Run, action: "--add" | "--remove", path: string): void {
  const tree = host.isLive ? [] : ["--root", host.root];
  const words = ["dpkg-divert", ...tree, "--quiet", "--local", "--no-rename", "--divert", movedTo(path), action, path];
  const { code, output } = command(...words);
  if (code !== 0) throw new SetupError(`'${words.join(" ")}' failed: ${output}`);
}
