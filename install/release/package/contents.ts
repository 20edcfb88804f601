// The contents of packages of both formats: the files of src/setup/layout/machined.ts for a host that has none of them.
// On a real host, `machined install` then makes links to those that the host lacks.
import {
  chmodSync,
  cpSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PACKAGED_PROGRAM } from "../../../src/base/vocabulary/installation.ts";
import { Host } from "../../../src/setup/host.ts";
import { ownLayout } from "../../../src/setup/layout/machined.ts";
import { packageContents } from "../../../src/setup/packaged.ts";
import type { Wanted } from "../../../src/setup/wanted.ts";

/** Files of a host with systemd, a bus, polkit and all shells, without any machined. */
const BARE_HOST = [
  "usr/lib/systemd/systemd",
  "usr/share/dbus-1/system.conf",
  "usr/share/polkit-1/actions/none",
  "usr/share/zsh/none",
  "usr/share/fish/none",
];

function bareLayout(): Wanted[] {
  const root = mkdtempSync(join(tmpdir(), "machined-host-"));
  try {
    for (const path of BARE_HOST) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), "");
    }
    return ownLayout(new Host(root));
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** Parameters of makeTree(). */
interface PackageTree {
  readonly executable: string;
  /** The contents of files for this package format, by path. Paths that end with `.gz` are compressed. */
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  readonly sourceDate: number;
}

/** Makes the tree of a package at `root`, with fixed modes and times. */
export function makeTree(root: string, { executable, files, sourceDate }: PackageTree): void {
  const put = (path: string, bytes: string | Uint8Array) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), path.endsWith(".gz") ? compressed(bytes) : bytes);
  };
  for (const one of packageContents(bareLayout())) {
    if (one.kind === "file") put(one.path, one.text);
    else {
      mkdirSync(dirname(join(root, one.path)), { recursive: true });
      symlinkSync(one.target, join(root, one.path));
    }
  }
  for (const [path, bytes] of Object.entries(files)) put(path, bytes);
  cpSync(executable, join(root, PACKAGED_PROGRAM));
  settle(root, sourceDate);
}

/** Compresses like gzip -9n, without name and time. */
function compressed(bytes: string | Uint8Array): Uint8Array {
  return Bun.gzipSync(typeof bytes === "string" ? Buffer.from(bytes) : Buffer.from(bytes), { level: 9 });
}

function settle(root: string, sourceDate: number): void {
  for (const path of [
    root,
    ...readdirSync(root, { recursive: true, encoding: "utf8" }).map((name) => join(root, name)),
  ]) {
    const status = lstatSync(path);
    const isProgram = path === join(root, PACKAGED_PROGRAM);
    if (!status.isSymbolicLink()) chmodSync(path, status.isDirectory() || isProgram ? 0o755 : 0o644);
    lutimesSync(path, sourceDate, sourceDate);
  }
}

/** Returns the paths of all files and links of a tree, with a leading slash, sorted. */
export function filesOf(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => !lstatSync(join(root, name)).isDirectory())
    .map((name) => `/${name}`)
    .sort();
}
