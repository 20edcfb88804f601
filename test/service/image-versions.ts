// Images of two versions, from every kind of source, and the workers that make images of them and are ended on the way.
import { expect } from "bun:test";
import { randomBytes } from "node:crypto";
import { closeSync, lstatSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { waitFor } from "../lib/wait-for.ts";
import { archive, type BuiltMember } from "../unit/worker/archive-builder.ts";
import type { ImageHost } from "./image-host.ts";
import type { FaultyServer } from "./pull-support.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const DIST = process.env["MACHINED_DIST"];
/** The built executable where there is one, else the sources. */
const PROGRAM = DIST ? [resolve(DIST, "machined")] : [process.execPath, MAIN];
const DISK_BYTES = 6 << 20;
const FILES = 300;

/** An image as an archive and as a disk, in files and on a server, and what is whole of it. */
export interface Version {
  readonly tarFile: string;
  readonly diskFile: string;
  readonly tree: string;
  readonly disk: string;
}

/** Two versions of an image: what replaces one by the other must never mix them. */
export function makeVersions(folder: string, server: FaultyServer): Version[] {
  return [0, 1].map((version) => {
    const members: BuiltMember[] = Array.from({ length: FILES + version }, (_, i) => ({
      name: `d${i % 7}/f${i}`,
      data: `${version}`.repeat(100 + i),
    }));
    const dirs = Array.from({ length: 7 }, (_, i) => ({ name: `d${i}/`, type: "5", mode: 0o755 }));
    const packed = gzipSync(archive(...dirs, ...members));
    const disk = Buffer.concat([randomBytes(DISK_BYTES / 2), Buffer.alloc(DISK_BYTES / 2, version)]);
    const [tarFile, diskFile] = [join(folder, `v${version}.tar.gz`), join(folder, `v${version}.raw`)];
    writeFileSync(tarFile, packed);
    writeFileSync(diskFile, disk);
    server.pages[`v${version}.tar.gz`] = { body: packed, headers: { ETag: `"t${version}"` } };
    server.pages[`v${version}.raw`] = { body: disk, headers: { ETag: `"r${version}"` } };
    const files = new Map(members.map(({ name, data }) => [name, hashOf(Buffer.from(data ?? ""))]));
    return { tarFile, diskFile, tree: signature(files), disk: hashOf(disk) };
  });
}

function hashOf(bytes: Buffer): string {
  return String(Bun.hash(bytes));
}

function signature(files: ReadonlyMap<string, string>): string {
  const lines = [...files].map(([name, hash]) => `${name} ${hash}`).sort();
  return `${lines.length} files, ${Bun.hash(lines.join("\n"))}`;
}

function signatureOf(tree: string): string {
  const files = new Map<string, string>();
  for (const entry of readdirSync(tree, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(path.slice(tree.length + 1), hashOf(readFileSync(path)));
  }
  return signature(files);
}

/** Fails unless everything that has a name in the pool is whole. */
export function expectWhole(host: ImageHost, versions: readonly Version[], where: string): void {
  const trees = new Set(versions.map(({ tree }) => tree));
  const disks = new Set(versions.map(({ disk }) => disk));
  for (const name of host.entries()) {
    if (name.startsWith(".#")) continue;
    const path = join(host.pool, name);
    const isTree = lstatSync(path).isDirectory();
    const found = isTree ? signatureOf(path) : hashOf(readFileSync(path));
    expect([where, name, (isTree ? trees : disks).has(found) ? "whole" : found]).toEqual([where, name, "whole"]);
  }
}

export interface Operation {
  readonly name: string;
  readonly command: (round: number, version: Version) => string[];
}

/** A transfer of every kind, each to a name of its own; the image `base` is there. */
export function transfersOf(host: ImageHost, server: FaultyServer): Operation[] {
  const pull = (kind: string, file: string, name: string) => [
    "systemd-pull",
    kind,
    "--force",
    "--verify=no",
    "--settings=no",
    ...(kind === "raw" ? ["--roothash=no", "--verity=no"] : []),
    server.url(file),
    name,
  ];
  return [
    { name: "import-tar", command: (_, { tarFile }) => ["systemd-import", "tar", "--force", tarFile, "tar"] },
    { name: "import-raw", command: (_, { diskFile }) => ["systemd-import", "raw", "--force", diskFile, "disk"] },
    { name: "import-fs", command: () => ["systemd-import-fs", "run", "--force", join(host.pool, "base"), "copied"] },
    { name: "pull-tar", command: (round) => pull("tar", `v${round % 2}.tar.gz`, "pulled") },
    { name: "pull-raw", command: (round) => pull("raw", `v${round % 2}.raw`, "pulled-disk") },
  ];
}

export interface End {
  /** How long it ran, in milliseconds. */
  readonly ran: number;
  readonly code: number | null;
  /** Whether a signal ended it. */
  readonly isKilled: boolean;
}

/** A worker in a process group of its own, so that its children are seen, too. */
export class Killable {
  readonly #child: Bun.Subprocess;
  readonly #since = performance.now();
  readonly name: string;

  constructor(name: string, command: readonly string[], host: ImageHost) {
    const [program = "", ...args] = command;
    const isTransfer = /^systemd-(import|import-fs|pull)$/.test(program);
    const [verb = "", ...rest] = args;
    const result = openSync("/dev/null", "w");
    this.name = name;
    this.#child = Bun.spawn(
      ["setsid", ...PROGRAM, program, ...(isTransfer ? [verb, `--image-root=${host.pool}`, ...rest] : args)],
      {
        env: { PATH: process.env["PATH"] ?? "", SYSTEMD_IMPORT_SYNC: "no", MACHINED_IMAGE_ROOT: host.path },
        stdio: ["ignore", "ignore", "ignore", result],
      },
    );
    closeSync(result);
  }

  /** Waits for its end and that of its children; sends a signal after `delayMs`, unless it has ended by then. */
  async end(delayMs: number | null, signal: NodeJS.Signals = "SIGTERM"): Promise<End> {
    const timer = delayMs === null ? null : setTimeout(() => this.#child.kill(signal), delayMs);
    await this.#child.exited;
    const ran = performance.now() - this.#since;
    if (timer !== null) clearTimeout(timer);
    await waitFor(() => expect(this.#isGroupThere()).toBe(false), `the end of the children of ${this.name}`);
    return { ran, code: this.#child.exitCode, isKilled: this.#child.signalCode !== null };
  }

  #isGroupThere(): boolean {
    try {
      process.kill(-this.#child.pid, 0);
      return true;
    } catch {
      return false;
    }
  }
}
