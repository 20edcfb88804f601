// Images of two versions, from every kind of source, and the workers that make images of them and are ended before they
// have finished.
import { expect } from "bun:test";
import { randomBytes } from "node:crypto";
import { closeSync, lstatSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { OCI_REPOSITORIES_FILE } from "../../src/base/vocabulary/temporary.ts";
import { waitFor } from "../lib/wait-for.ts";
import { archive, type BuiltMember } from "../unit/worker/archive-builder.ts";
import type { ImageHost } from "./image-host.ts";
import { layerOf, ociImage, publishOci, registryRules } from "./oci-support.ts";
import type { FaultyServer } from "./pull-support.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const DIST = process.env["MACHINED_DIST"];
/** The built executable if there is one, else the sources. */
const PROGRAM = DIST ? [resolve(DIST, "machined")] : [process.execPath, MAIN];
const DISK_BYTES = 6 << 20;
const FILES = 300;

/** An image as an archive and as a disk, in files and on a server, with its complete content. */
export interface Version {
  readonly tarFile: string;
  readonly diskFile: string;
  readonly tree: string;
  readonly disk: string;
  /** As a container image: its reference, its layers, and the small files beside it. */
  readonly reference: string;
  readonly layers: readonly string[];
  readonly sides: readonly string[];
}

/** The settings file that follows from the container image's configuration. */
const SETTINGS = "[Exec]\nBoot=no\nKillSignal=SIGTERM\n";

/** Two versions of an image: replacing one by the other must never mix them. */
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
    const half = members.length / 2;
    const parts = [members.slice(0, half), members.slice(half)];
    const image = ociImage(parts.map((part) => layerOf(...dirs, ...part)));
    const [config] = image.blobs;
    return {
      tarFile,
      diskFile,
      tree: signature(filesOf(members)),
      disk: hashOf(disk),
      reference: publishOci(server, `v${version}`, image),
      layers: parts.map((part) => signature(filesOf(part))),
      sides: [SETTINGS, config?.bytes ?? ""].map((content) => hashOf(Buffer.from(content))),
    };
  });
}

function filesOf(members: readonly BuiltMember[]): Map<string, string> {
  return new Map(members.map(({ name, data }) => [name, hashOf(Buffer.from(data ?? ""))]));
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

/** Fails unless every image with a name in the pool is complete. */
export function expectWhole(host: ImageHost, versions: readonly Version[], where: string): void {
  const trees = new Set(versions.flatMap(({ tree, layers }) => [tree, ...layers]));
  const disks = new Set(versions.flatMap(({ disk, sides }) => [disk, ...sides]));
  for (const name of host.entries()) {
    if (name.startsWith(".#") || name === OCI_REPOSITORIES_FILE) continue;
    const path = join(host.pool, name);
    const isTree = lstatSync(path).isDirectory();
    const found = isTree ? signatureOf(path) : hashOf(readFileSync(path));
    expect([where, name, (isTree ? trees : disks).has(found) ? "whole" : found]).toEqual([where, name, "whole"]);
  }
}

export interface Operation {
  readonly name: string;
  /** The prefix of the names of cached downloads, which are removed so that each run downloads again. */
  readonly kept?: string;
  readonly command: (round: number, version: Version) => string[];
}

/** A transfer of every kind, each to its own name; the image `base` exists. */
export function transfersOf(host: ImageHost, server: FaultyServer): Operation[] {
  registryRules(host.path, server);
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
    {
      name: "pull-oci",
      kept: ".oci-",
      command: (_, { reference }) => ["systemd-pull", "oci", "--force", reference, "pulled-oci"],
    },
  ];
}

interface End {
  /** How long it ran, in milliseconds. */
  readonly ran: number;
  readonly code: number | null;
  /** Whether a signal ended it. */
  readonly isKilled: boolean;
  /** What it reported: a result or an error of a worker of machined. */
  readonly report: string;
}

let reports = 0;

/** A worker in its own process group, so that its children are included. */
export class Killable {
  readonly #child: Bun.Subprocess;
  readonly #since = performance.now();
  readonly name: string;
  readonly #report: string;

  constructor(name: string, command: readonly string[], host: ImageHost) {
    const [program = "", ...args] = command;
    const isTransfer = /^systemd-(import|import-fs|pull)$/.test(program);
    const [verb = "", ...rest] = args;
    this.#report = join(host.path, `report-${reports++}`);
    const result = openSync(this.#report, "w");
    const env = {
      PATH: process.env["PATH"] ?? "",
      SYSTEMD_IMPORT_SYNC: "no",
      MACHINED_IMAGE_ROOT: host.path,
      MACHINED_OCI_REGISTRIES: join(host.path, "rules"),
      MACHINED_OCI_STACK: "no",
    };
    this.name = name;
    this.#child = Bun.spawn(
      ["setsid", ...PROGRAM, program, ...(isTransfer ? [verb, `--image-root=${host.pool}`, ...rest] : args)],
      {
        env,
        stdio: ["ignore", "ignore", "ignore", result],
      },
    );
    closeSync(result);
  }

  /** Waits until it and its children have ended; sends a signal after `delayMs` if it still runs. */
  async end(delayMs: number | null, signal: NodeJS.Signals = "SIGTERM"): Promise<End> {
    const timer = delayMs === null ? null : setTimeout(() => this.#child.kill(signal), delayMs);
    await this.#child.exited;
    const ran = performance.now() - this.#since;
    if (timer !== null) clearTimeout(timer);
    await waitFor(() => expect(this.#isGroupThere()).toBe(false), `the end of the children of ${this.name}`);
    const report = readFileSync(this.#report, "utf8");
    rmSync(this.#report);
    return { ran, code: this.#child.exitCode, isKilled: this.#child.signalCode !== null, report };
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
