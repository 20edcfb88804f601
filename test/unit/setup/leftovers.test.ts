// What `machined uninstall` removes below /run, where other files may have replaced machined's own.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectUnix, listenUnix } from "../../../src/kernel/socket/unix.ts";
import { isErrno } from "../../../src/kernel/syscall/sys.ts";
import { removeLeftoversBelow } from "../../../src/setup/leftovers.ts";

let run = "";
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "machined-run-"));
  for (const directory of ["systemd/machine", "systemd/import", "systemd/machines"])
    mkdirSync(join(run, directory), { recursive: true });
});
afterEach(() => rmSync(run, { recursive: true, force: true }));

const at = (path: string) => join(run, path);
const isThere = (path: string) => lstatSync(at(path), { throwIfNoEntry: false }) !== undefined;
const deadSocket = (path: string) => listenUnix(at(path)).close();

test("machined's dead sockets, files and empty directories are removed, a socket with a listener stays", () => {
  deadSocket("systemd/machine/names");
  writeFileSync(at("systemd/machine/events"), "x");
  using _alive = listenUnix(at("systemd/import/private"));
  removeLeftoversBelow(run, true);
  expect([isThere("systemd/machine"), isThere("systemd/import/private"), isThere("systemd/machines")]).toEqual([
    false,
    true,
    true,
  ]);
  removeLeftoversBelow(run, false);
  expect(isThere("systemd/machines")).toBe(false);
});

test("symbolic links in place of a socket, a file or a directory are neither followed nor removed", () => {
  mkdirSync(at("other"));
  for (const name of ["names", "private"]) deadSocket(`other/${name}`);
  writeFileSync(at("other/events"), "x");
  symlinkSync(at("other/names"), at("systemd/machine/names"));
  symlinkSync(at("other/events"), at("systemd/machine/events"));
  rmSync(at("systemd/import"), { recursive: true });
  symlinkSync(at("other"), at("systemd/import"));
  removeLeftoversBelow(run, false);
  for (const path of [
    "other/names",
    "other/private",
    "other/events",
    "systemd/machine/names",
    "systemd/machine/events",
  ])
    expect([path, isThere(path)]).toEqual([path, true]);
  expect(existsSync(at("systemd/import/private"))).toBe(true);
});

test("directories in place of files and regular files in place of sockets are not removed, but everything else is", () => {
  mkdirSync(at("systemd/machine/events"));
  mkdirSync(at("systemd/machine/names"));
  writeFileSync(at("systemd/machine/private"), "no socket");
  deadSocket("systemd/import/private");
  removeLeftoversBelow(run, true);
  expect(isThere("systemd/machine/events") && isThere("systemd/machine/names")).toBe(true);
  expect([isThere("systemd/machine/private"), isThere("systemd/import")]).toEqual([true, false]);
});

const ROUNDS = 1000;

test("while directories are exchanged, a socket with a listener is not removed in place of a dead one", async () => {
  mkdirSync(at("other"));
  const places = ["systemd/machine", "other"];
  // The directories are never empty, so that they are not removed.
  for (const place of places) writeFileSync(at(`${place}/filler`), "x");
  deadSocket("dead");
  using _alive = listenUnix(at("other/names"));
  const [first, second, aside] = [...places, "aside"].map((place) => JSON.stringify(at(place)));
  const rename = "require('node:fs').renameSync";
  const script = `for (;;) { ${rename}(${first}, ${aside}); ${rename}(${second}, ${first}); ${rename}(${aside}, ${second}); }`;
  const exchanger = Bun.spawn([process.execPath, "-e", script], { stdio: ["ignore", "ignore", "inherit"] });
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const place of places) putDeadSocket(`${place}/names`);
      removeLeftoversBelow(run, true);
    }
  } finally {
    exchanger.kill("SIGKILL");
    await exchanger.exited;
  }
  const answering = [...places, "aside"].filter((place) => isAnswering(`${place}/names`));
  expect(answering).toHaveLength(1);
});

/** Puts a dead socket at a path, if there is none and the directory exists. */
function putDeadSocket(path: string): void {
  try {
    linkSync(at("dead"), at(path));
  } catch (error) {
    if (!["EEXIST", "ENOENT"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}

function isAnswering(path: string): boolean {
  try {
    connectUnix(at(path)).close();
    return true;
  } catch (error) {
    // The socket has a listener whose queue is full (EAGAIN).
    return !isErrno(error, "ECONNREFUSED", "ENOENT");
  }
}
