// Installing and uninstalling are killed before each of their changes to the file system, on trees of files. What the
// next call makes of it is what it would have made without that.
import { afterEach, beforeEach, expect, mock, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Host } from "../../../src/setup/host.ts";
import { install } from "../../../src/setup/install.ts";
import { uninstall } from "../../../src/setup/uninstall.ts";

/** Some hundred trees are made. */
const MEMORY = fs.existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

let root = "";
const sources = { 1: "", 2: "" };

beforeEach(() => {
  // Nothing is to survive a failure of the power here.
  spyOn(fs, "fsyncSync").mockImplementation(() => {});
  root = fs.mkdtempSync(join(MEMORY, "machined-interrupted-"));
  for (const version of [1, 2] as const) {
    sources[version] = join(root, `source-${version}`);
    fs.writeFileSync(sources[version], `the executable, version ${version}`);
  }
});

afterEach(() => {
  mock.restore();
  fs.rmSync(root, { recursive: true });
});

const { chmodSync, copyFileSync, mkdirSync, renameSync, rmSync, rmdirSync, symlinkSync, unlinkSync, writeFileSync } =
  fs;
/** Functions of node:fs that change files. */
const CHANGES = {
  ...{ chmodSync, copyFileSync, mkdirSync, renameSync, rmSync },
  ...{ rmdirSync, symlinkSync, unlinkSync, writeFileSync },
};

/**
 * Runs `act` as a process that is killed before its change number `last`: that one and all later ones fail. Returns
 * whether it was killed.
 */
function killedBefore(last: number, act: () => void): boolean {
  let count = 0;
  const spies = Object.entries(CHANGES).map(([name, change]) => {
    const original: (...args: never[]) => unknown = change;
    const played = (...args: never[]) => {
      if (++count >= last) throw new Error("killed");
      return original(...args);
    };
    return spyOn(fs, name as keyof typeof CHANGES).mockImplementation(played as never);
  });
  try {
    act();
  } catch (error) {
    if (!(error instanceof Error) || error.message !== "killed") throw error;
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return count >= last;
}

/** A host with few files to install: it has no systemd and no bus; and with files for --nss and --divert. */
function makeTree(name: string): Host {
  const tree = join(root, name);
  const files = {
    "usr/share/polkit-1/actions/x": "",
    "usr/lib/libnss_mymachines.so.2": "",
    "usr/bin/machinectl": "theirs",
    "etc/nsswitch.conf": "hosts: files dns\n",
    "usr/local/lib/x": "",
  };
  for (const [path, text] of Object.entries(files)) {
    fs.mkdirSync(dirname(join(tree, path)), { recursive: true });
    fs.writeFileSync(join(tree, path), text);
  }
  return new Host(tree);
}

/** Every path of the tree with its content. */
function snapshot({ root: tree }: Host): string[] {
  return fs
    .readdirSync(tree, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => {
      const status = fs.lstatSync(join(tree, name));
      if (status.isSymbolicLink()) return `${name} -> ${fs.readlinkSync(join(tree, name))}`;
      return status.isDirectory() ? `${name}/` : `${name} ${fs.readFileSync(join(tree, name), "utf8")}`;
    });
}

interface Call {
  readonly version?: 1 | 2;
  readonly keepChanges?: boolean;
}

function installed(host: Host, { version = 1, keepChanges = false }: Call = {}): void {
  const source = sources[version];
  install({ host, source, now: false, nss: true, diverts: true, keepChanges, dryRun: false, say: () => {} });
}

function uninstalled(host: Host): void {
  uninstall({ host, now: false, say: () => {} });
}

/** What is interrupted. */
interface Attack {
  readonly prepare: (host: Host) => void;
  readonly act: (host: Host) => void;
}

/** For each change of an attack's call, returns a tree in which the call was killed before it. */
function* interruptedTrees({ prepare, act }: Attack): Generator<Host> {
  for (let last = 1; ; last++) {
    const host = makeTree(`tree-${last}`);
    prepare(host);
    if (!killedBefore(last, () => act(host))) return;
    yield host;
    fs.rmSync(host.root, { recursive: true });
  }
}

function expected(...acts: ((host: Host) => void)[]): string[] {
  const host = makeTree("expected");
  for (const act of acts) act(host);
  const result = snapshot(host);
  fs.rmSync(host.root, { recursive: true });
  return result;
}

const second = (host: Host) => installed(host, { version: 2 });
const ATTACKS: Readonly<Record<string, Attack>> = {
  "a first installation": { prepare: () => {}, act: installed },
  "the installation of another version": { prepare: installed, act: second },
  "an uninstallation": { prepare: installed, act: uninstalled },
};

test.each(Object.entries(ATTACKS))(
  "%s that is killed at any change is completed by the next installation",
  (_, attack) => {
    const wanted = expected(second).filter((line) => !line.includes("manifest.json"));
    const clean = expected();
    let trees = 0;
    for (const host of interruptedTrees(attack)) {
      second(host);
      expect(snapshot(host).filter((line) => !line.includes("manifest.json"))).toEqual(wanted);
      uninstalled(host);
      expect(snapshot(host)).toEqual(clean);
      trees++;
    }
    expect(trees).toBeGreaterThan(5);
  },
);

test.each(Object.entries(ATTACKS))("%s that is killed at any change is undone by an uninstallation", (_, attack) => {
  const clean = expected();
  for (const host of interruptedTrees(attack)) {
    uninstalled(host);
    expect(snapshot(host)).toEqual(clean);
  }
});

test.each(Object.entries(ATTACKS))("%s that is killed at any change is completed with --keep-changes", (_, attack) => {
  const wanted = expected(second).filter((line) => !line.includes("manifest.json"));
  for (const host of interruptedTrees(attack)) {
    installed(host, { version: 2, keepChanges: true });
    expect(snapshot(host).filter((line) => !line.includes("manifest.json"))).toEqual(wanted);
  }
});
