// The answers to the completion scripts. Paths are looked up in a directory that stands for the root of a machine.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { complete } from "../../../../src/cli/program/complete.ts";
import { MACHINECTL } from "../../../../src/cli/program/machinectl.ts";
import { Session } from "../../../../src/cli/session/session.ts";
import { defaultSettings } from "../../../../src/cli/session/settings.ts";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { FakeManagers } from "../fake-managers.ts";
import { FakeProcess } from "../fake-world.ts";

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "complete-"));
  mkdirSync(join(root, "etc/deep"), { recursive: true });
  writeFileSync(join(root, "etc/hosts"), "");
  writeFileSync(join(root, "etc/line\nend"), "");
  writeFileSync(join(root, "etc/right\u202eleft"), "");
  writeFileSync(Buffer.concat([Buffer.from(join(root, "etc/caf")), Buffer.of(0xe9)]), "");
  symlinkSync("/etc", join(root, "outside"));
  symlinkSync("../../../../../..", join(root, "up"));
});
afterAll(() => rmSync(root, { recursive: true }));

/** Runs the verb; `answer` stands in for the machine manager. */
async function answer(words: string[], manager?: Session["manager"]): Promise<string[]> {
  const world = { machines: [], images: [], nowUsec: 0n };
  const process = new FakeProcess(world, {}, new FakeManagers(world));
  const session = new Session(defaultSettings(), process);
  if (manager !== undefined) session.manager = manager;
  expect(await complete(session, words, MACHINECTL)).toBe(0);
  await session.close();
  expect(process.stderr).toBe("");
  return process.stdout.split("\n").filter((line) => line !== "");
}

const machines = (async () => ({
  machines: [".host", "web", "deb1"].map((name) => [name, "container", "systemd-nspawn", `/${name}`]),
})) as unknown as Session["manager"];
const openRoot = (async () => ({ fd: openPath(root, "directory") })) as unknown as Session["manager"];

test("machines are completed by name, without the .host unless it is allowed", async () => {
  expect(await answer(["machine"], machines)).toEqual(["web", "deb1"]);
  expect(await answer(["machine-or-host"], machines)).toEqual(["web", "deb1", ".host"]);
});

test("directories of a machine are completed with a slash, and paths that no candidate can be are left out", async () => {
  expect((await answer(["machine-path", "deb1", "/etc/"], openRoot)).sort()).toEqual(["/etc/deep/", "/etc/hosts"]);
});

test("symbolic links of a machine are followed inside its root only", async () => {
  expect((await answer(["machine-path", "deb1", "/outside/"], openRoot)).sort()).toEqual([
    "/outside/deep/",
    "/outside/hosts",
  ]);
  expect((await answer(["machine-path", "deb1", "/up/"], openRoot)).sort()).toEqual([
    "/up/etc/",
    "/up/outside",
    "/up/up",
  ]);
});

test("nothing is printed for an unknown kind, for 'toString', or when the manager refuses", async () => {
  expect(await answer(["nonsense"])).toEqual([]);
  expect(await answer(["toString"])).toEqual([]);
  const refuse: Session["manager"] = () => Promise.reject(new Error("refused"));
  expect(await answer(["machine"], refuse)).toEqual([]);
});

test("columns are those of the verb; keys that are typed already stay and are not proposed again", async () => {
  expect(await answer(["column", "list-images", "ty"])).toEqual(["name", "type", "ro", "usage", "created", "modified"]);
  expect(await answer(["column", "list-images", "name,ro,u"])).toEqual(
    ["type", "usage", "created", "modified"].map((key) => `name,ro,${key}`),
  );
  expect((await answer(["column-sort", "", "-mem"]))[0]).toBe("-machine");
  expect(await answer(["column-filter", "list-images", "ro="])).toEqual(["ro=yes", "ro=no"]);
  expect((await answer(["column-filter", "stats", ""])).slice(0, 2)).toEqual(["machine=", "cpu="]);
  expect(await answer(["column", "kill", ""])).toEqual([]);
});

test("ssh is told to ask for nothing: it would ask on the terminal, in the middle of a command line", async () => {
  const world = { machines: [], images: [], nowUsec: 0n };
  const process = new FakeProcess(world, {}, new FakeManagers(world));
  const session = new Session({ ...defaultSettings(), transport: { kind: "remote", host: "web1" } }, process);
  expect(await complete(session, ["machine"], MACHINECTL)).toBe(0);
  await session.close();
  expect(process.targets).toEqual([{ kind: "ssh", host: "web1", batch: true }]);
});
