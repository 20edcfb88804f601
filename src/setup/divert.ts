// machined install --divert: the clients under the distribution's names in /usr/bin, for whoever searches nowhere else (cron,
// scripts that set PATH or name the file). The distribution's files get the ending .distrib: by dpkg-divert(1), so that
// updates of its packages go there too, and by a plain rename where there is no dpkg. What was done stands in a record.
import { existsSync, lstatSync, readFileSync, renameSync, rmSync } from "node:fs";
import type { Say } from "./apply.ts";
import { look, writeLink, writeText } from "./disk.ts";
import type { Host } from "./host.ts";
import { attempt, SetupError } from "./setup-error.ts";
import type { Run } from "./takeover.ts";

const RECORD = "/usr/local/lib/machined/divert.json";
const CLIENTS = ["/usr/bin/machinectl", "/usr/bin/importctl"];

interface Diversion {
  readonly path: string;
  readonly by: "dpkg" | "rename";
}

function movedTo(path: string): string {
  return `${path}.distrib`;
}

/** Puts links to `program` in place of the distribution's clients. What is done already is left, what a package update undid is done again. */
export function divert(host: Host, program: string, say: Say, command: Run): void {
  const by = host.hasAny(["/usr/bin/dpkg-divert"]) ? "dpkg" : "rename";
  for (const path of CLIENTS) {
    const found = look(host.locate(path));
    if (found === null) continue;
    if (found.kind === "link" && found.target === program) {
      say(`is there ${host.locate(path)}`);
      continue;
    }
    const known = readRecord(host).some((one) => one.path === path);
    if (known) moveAgain(host, { path, by }, command);
    else moveAway(host, { path, by }, command);
    try {
      attempt(`make '${host.locate(path)}' a link`, () => writeLink(host.locate(path), program));
    } catch (error) {
      moveBack(host, { path, by }, command);
      forget(host, path);
      throw error;
    }
    say(`diverted ${host.locate(path)} (the distribution's is ${movedTo(path)})`);
  }
}

/** Lets the distribution's clients have their names again. */
export function undivert(host: Host, say: Say, command: Run): void {
  for (const diversion of readRecord(host)) {
    const { path } = diversion;
    const found = look(host.locate(path));
    if (found?.kind === "link" && isOurs(found.target)) rmSync(host.locate(path));
    if (isThere(host.locate(path))) say(`left     ${host.locate(path)} (it is not what was made)`);
    else {
      moveBack(host, diversion, command);
      say(`gave back ${host.locate(path)}`);
    }
    forget(host, path);
  }
  rmSync(host.locate(RECORD), { force: true });
}

/** What --divert would do, in the words of `describe()`. */
export function describeDivert(host: Host, say: Say): void {
  for (const path of CLIENTS) {
    if (look(host.locate(path)) !== null) say(`would divert ${host.locate(path)} to ${movedTo(path)}`);
  }
}

/** What `undivert()` would do. */
export function describeUndivert(host: Host, say: Say): void {
  for (const { path } of readRecord(host)) say(`would give back ${host.locate(path)}`);
}

function isOurs(target: string): boolean {
  return target.endsWith("/machined/machined");
}

function readRecord(host: Host): Diversion[] {
  const path = host.locate(RECORD);
  if (!existsSync(path)) return [];
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Diversion[];
  } catch (error) {
    throw new SetupError(`'${path}' makes no sense: move it away, and look at /usr/bin yourself`, { cause: error });
  }
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

/**
 * The file is there although a diversion is recorded: a package manager without diversions wrote it anew, and the older one is of no
 * more use, or an earlier run was cut short before dpkg-divert(1) was done.
 */
function moveAgain(host: Host, { path, by }: Diversion, command: Run): void {
  if (by === "dpkg") dpkgDivert(host, command, "--add", path);
  if (isThere(host.locate(path)))
    attempt(`rename '${host.locate(path)}'`, () => renameSync(host.locate(path), host.locate(movedTo(path))));
}

/** Recorded first: what was cut short must be taken back, too. */
function moveAway(host: Host, diversion: Diversion, command: Run): void {
  const { path, by } = diversion;
  const [from, to] = [host.locate(path), host.locate(movedTo(path))];
  if (existsSync(to)) throw new SetupError(`'${to}' is in the way: move it away and run this again`);
  record(host, [...readRecord(host), diversion]);
  try {
    if (by === "rename") attempt(`rename '${from}' to '${to}'`, () => renameSync(from, to));
    else dpkgDivert(host, command, "--add", path);
  } catch (error) {
    forget(host, path);
    throw error;
  }
}

function moveBack(host: Host, { path, by }: Diversion, command: Run): void {
  const [from, to] = [host.locate(movedTo(path)), host.locate(path)];
  if (by === "dpkg") dpkgDivert(host, command, "--remove", path);
  else if (isThere(from)) attempt(`rename '${from}' to '${to}'`, () => renameSync(from, to));
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function dpkgDivert(host: Host, command: Run, action: "--add" | "--remove", path: string): void {
  const tree = host.isLive ? [] : ["--root", host.root];
  const words = ["dpkg-divert", ...tree, "--quiet", "--local", "--rename", "--divert", movedTo(path), action, path];
  const { code, output } = command(...words);
  if (code !== 0) throw new SetupError(`'${words.join(" ")}' failed: ${output}`);
}
