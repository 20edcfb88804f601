// `machinectl cat` and `edit` with private settings directories, and the syntax of sizes.
import { afterAll, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { parseSize } from "../../src/cli/format/size.ts";
import { edit, editorOf } from "../../src/cli/image/nspawn-edit.ts";
import { cat } from "../../src/cli/image/nspawn-files.ts";
import { Failure } from "../../src/cli/session/failure.ts";
import { Session } from "../../src/cli/session/session.ts";
import { defaultSettings, type Settings } from "../../src/cli/session/settings.ts";
import { openPty, openPtyPeer } from "../../src/kernel/terminal/pty.ts";
import { FakeProcess, type Surroundings } from "../unit/cli/fake-world.ts";

const root = mkdtempSync(join(tmpdir(), "settings-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const directories = { own: join(root, "etc"), runtime: join(root, "run"), images: join(root, "machines") };

beforeEach(() => {
  rmSync(root, { recursive: true, force: true });
  for (const path of [directories.runtime, directories.images]) mkdirSync(path, { recursive: true });
});

const WORLD = { machines: [], images: [], nowUsec: 0n };

/** Runs a verb; returns what it printed and how it ended. */
async function run(
  verb: typeof cat,
  words: string[],
  around: Surroundings = {},
  settings: Partial<Settings> = {},
): Promise<{ stdout: string; stderr: string; status: number | string }> {
  const ports = new FakeProcess(WORLD, { env: { SYSTEMD_COLORS: "0" }, ...around });
  const session = new Session({ ...defaultSettings(), pager: false, ...settings }, ports);
  let status: number | string;
  try {
    status = await verb(session, words, directories);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    status = error.message;
  }
  return { stdout: ports.stdout, stderr: ports.stderr, status };
}

const FOO = "[Exec]\nBoot=no\n";

test("C128: cat prints each file under its path, continues after missing ones, and exits with 1", async () => {
  mkdirSync(directories.own);
  const path = join(directories.own, "foo.nspawn");
  writeFileSync(path, FOO);
  const page = `# ${path}\n${FOO}`;
  expect(await run(cat, ["foo"])).toEqual({ stdout: page, stderr: "", status: 0 });
  expect((await run(cat, ["foo.nspawn"])).stdout).toBe(page);
  expect((await run(cat, [path])).stdout).toBe(page);
  expect(await run(cat, ["foo", "nosuch", "foo"])).toEqual({
    stdout: page + page,
    stderr: "No settings file found for machine 'nosuch'.\n",
    status: 1,
  });
});

test("cat paints sections, keys, comments and continuations, and ends every file with a newline", async () => {
  const path = join(directories.runtime, "foo.nspawn");
  writeFileSync(path, "[Exec]\n# c\n  ; d\nA=b=c\n  B = c\nnothing\nA=b \\\n  c=d\n\n[Net");
  const env = { SYSTEMD_COLORS: "16", SYSTEMD_URLIFY: "0" };
  const painted = [
    `\u001b[0;1;34m# ${path}\u001b[0m`,
    "\u001b[0;1;36m[Exec]\u001b[0m",
    "\u001b[0;1;90m# c\u001b[0m",
    "\u001b[0;1;90m  ; d\u001b[0m",
    "\u001b[0;1;32mA=\u001b[0mb=c",
    "\u001b[0;1;32m  B =\u001b[0m c",
    "nothing",
    "\u001b[0;1;32mA=\u001b[0mb \u001b[0;1;31m\\\u001b[0m",
    "  c=d",
    "",
    "\u001b[0;1;36m[Net\u001b[0m",
  ];
  expect((await run(cat, ["foo"], { env })).stdout).toBe(painted.map((line) => `${line}\n`).join(""));
  const linked = (await run(cat, ["foo"], { env: { SYSTEMD_COLORS: "16" } })).stdout;
  expect(linked).toContain(`# \u001b]8;;file://${hostname()}${path}\u001b\\${path}\u001b]8;;\u001b\\\u001b[0m\n`);
});

test("settings are looked up in the administrator's directory, then in /run, then beside images", async () => {
  writeFileSync(join(directories.images, "a.nspawn"), "image\n");
  expect((await run(cat, ["a"])).stdout).toContain("image");
  writeFileSync(join(directories.runtime, "a.nspawn"), "runtime\n");
  expect((await run(cat, ["a"])).stdout).toContain("runtime");
  mkdirSync(directories.own);
  writeFileSync(join(directories.own, "a.nspawn"), "own\n");
  expect((await run(cat, ["a"])).stdout).toContain("own");
});

test("cat refuses invalid names, missing files, and files of other hosts", async () => {
  const statusOf = async (words: string[], settings: Partial<Settings> = {}) =>
    (await run(cat, words, {}, settings)).status;
  expect(await statusOf(["bad/name"])).toBe("Invalid settings file name 'bad/name.nspawn'.");
  expect(await statusOf(["/etc/../x"])).toBe("Invalid settings file path '/etc/../x'.");
  expect(await statusOf(["/no/such/file"])).toBe("Failed to cat /no/such/file: No such file or directory");
  expect(await statusOf(["foo"], { runner: "vmspawn" })).toBe("Cat is only supported for --runner=nspawn");
  expect(await statusOf(["foo"], { transport: { kind: "machine", name: "m" } })).toBe(
    "Cat is only supported on the host machine.",
  );
});

/** An editor that runs a shell script on its files. */
function editor(script: string): Surroundings {
  const path = join(root, "editor");
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return { columns: 80, env: { SYSTEMD_COLORS: "0", TERM: "dumb", EDITOR: path } };
}

test("C129: edit without a terminal is refused before anything else", async () => {
  const { status } = await run(edit, ["alpha"], {}, { runner: "vmspawn" });
  expect(status).toBe("Cannot edit machine settings if not on a tty.");
});

test("edit makes new settings, with their directory", async () => {
  const path = join(directories.own, "new.nspawn");
  const result = await run(edit, ["new"], editor('printf "[Exec]\\nBoot=yes\\n\\n\\n" >"$1"'));
  expect(result).toMatchObject({ stderr: `Successfully installed edited file '${path}'.\n`, status: 0 });
  expect(readFileSync(path, "utf8")).toBe("[Exec]\nBoot=yes\n");
  expect(readdirSync(directories.own)).toEqual(["new.nspawn"]);
  expect(statSync(path).mode & 0o777).toBe(0o644);
});

test("edit copies settings beside an image to the administrator's directory, and changes other settings in place", async () => {
  writeFileSync(join(directories.images, "a.nspawn"), "image\n");
  await run(edit, ["a"], editor('echo more >>"$1"'));
  expect(readFileSync(join(directories.own, "a.nspawn"), "utf8")).toBe("image\nmore\n");
  expect(readFileSync(join(directories.images, "a.nspawn"), "utf8")).toBe("image\n");
  writeFileSync(join(directories.runtime, "b.nspawn"), "run\n", { mode: 0o600 });
  await run(edit, ["b"], editor('echo more >>"$1"'));
  expect(readFileSync(join(directories.runtime, "b.nspawn"), "utf8")).toBe("run\nmore\n");
  expect(statSync(join(directories.runtime, "b.nspawn")).mode & 0o777).toBe(0o600);
});

test("edit removes a directory that it created if no file is written", async () => {
  await run(edit, ["new", "other"], editor("exit 0"));
  expect(existsSync(directories.own)).toBeFalse();
  await run(edit, ["new", "other"], editor("exit 3"));
  expect(existsSync(directories.own)).toBeFalse();
  mkdirSync(directories.own);
  await run(edit, ["new"], editor("exit 0"));
  expect(readdirSync(directories.own)).toEqual([]);
});

test("edit keeps bytes that are not UTF-8, and strips only ASCII blanks, as systemd does", async () => {
  const path = join(directories.own, "old.nspawn");
  const content = "# caf\u00e9\u00a0\n[Exec]\nBoot=yes # \u00ff";
  mkdirSync(directories.own, { recursive: true });
  writeFileSync(path, content, "latin1");
  await run(edit, ["old"], editor('printf "\\240\\n\\n" >>"$1"'));
  expect(readFileSync(path, "latin1")).toBe(`${content}\u00a0\n`);
});

test("a file that is named twice is edited in one copy", async () => {
  mkdirSync(directories.own);
  const path = join(directories.own, "foo.nspawn");
  writeFileSync(path, FOO);
  const result = await run(edit, ["foo", "foo.nspawn", path], editor('echo "# $#" >>"$1"'));
  expect(result).toMatchObject({ stderr: `Successfully installed edited file '${path}'.\n`, status: 0 });
  expect(readFileSync(path, "utf8")).toBe(`${FOO}# 1\n`);
});

test("edit writes no empty file, and no file when the editor failed", async () => {
  mkdirSync(directories.own);
  const path = join(directories.own, "new.nspawn");
  const empty = await run(edit, ["new"], editor("exit 0"));
  expect(empty).toMatchObject({
    stderr: `${path}: after editing, new contents are empty, not writing file.\n`,
    status: 0,
  });
  const failed = await run(edit, ["new"], editor('echo x >"$1"; exit 3'));
  expect(failed.status).toContain("failed with exit status 3");
  expect(readdirSync(directories.own)).toEqual([]);
});

test("the editor is that of the environment, split into words, or one of the default editors", () => {
  expect(editorOf({ SYSTEMD_EDITOR: "ed -s", EDITOR: "x" }, () => true)).toEqual(["ed", "-s"]);
  expect(editorOf({ EDITOR: "", VISUAL: "vis" }, () => true)).toEqual(["vis"]);
  expect(editorOf({}, (program) => program === "vim")).toEqual(["vim"]);
  expect(editorOf({}, () => false)).toBeNull();
});

test("C112: sizes are read with base 1024, with fractions, and with units in descending order", () => {
  const sizes: [string, bigint | undefined][] = [
    ["1", 1n],
    ["1K", 1024n],
    ["5G", 5n << 30n],
    ["1.5M", 1572864n],
    ["10.M", 10n << 20n],
    ["1G 512M", (1n << 30n) + (512n << 20n)],
    ["1G1M1K1", (1n << 30n) + (1n << 20n) + 1025n],
    [" 7 B", 7n],
    ["16E", undefined],
    ["18446744073709551615", 0xffff_ffff_ffff_ffffn],
    ["1X", undefined],
    ["", undefined],
    ["-1", undefined],
    ["K", undefined],
    ["1M 1G", undefined],
    ["1.5.5", undefined],
    ["1k", undefined],
  ];
  expect(sizes.map(([text]) => [text, parseSize(text)])).toEqual(sizes);
});

test("signals to edit leave no copy behind: ^C is the editor's, and SIGTERM ends it", async () => {
  const [path, editor] = [join(root, "foo.nspawn"), join(root, "editor")];
  using seat = openPty().master;
  using own = openPtyPeer(seat);
  const edited = async (script: string) => {
    writeFileSync(path, FOO);
    writeFileSync(editor, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const child = Bun.spawn(
      [process.execPath, join(import.meta.dir, "../../src/main.ts"), "machinectl", "edit", path],
      {
        env: { PATH: process.env["PATH"] ?? "", TERM: "dumb", EDITOR: editor },
        stdio: [own.number, own.number, own.number],
      },
    );
    const status = await child.exited;
    return [
      status,
      child.signalCode,
      readFileSync(path, "utf8"),
      readdirSync(root).filter((name) => /^\.#/.test(name)),
    ];
  };
  expect(await edited('kill -INT $PPID; echo "[Network]" >"$1"')).toEqual([0, null, "[Network]\n", []]);
  expect(await edited("kill -TERM $PPID; exec sleep 1000")).toEqual([1, null, FOO, []]);
});
