// The host (or the tree behind --root) that the program is put on: what it has, and where a path of it lies.

import { existsSync, readFileSync, readlinkSync, realpathSync, statfsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { type InitName, initOf } from "./init/recognise.ts";
import { SetupError } from "./setup-error.ts";

export class Host {
  /** `/`, or the tree named with --root, with its symbolic links resolved. */
  readonly root: string;

  constructor(root = "/") {
    if (!existsSync(root)) throw new SetupError(`There is no directory '${root}'`);
    this.root = realpathSync(resolve(root));
  }

  /** Whether this is the running host and not a tree of files. */
  get isLive(): boolean {
    return this.root === "/";
  }

  /** Whether systemd runs this host, so that units can be started now. */
  get runsSystemd(): boolean {
    return this.isLive && existsSync("/run/systemd/system");
  }

  /** What is process 1, or will be; null where it is nothing that we know. */
  get init(): InitName | null {
    return initOf({ first: this.isLive ? nameOfProcess1() : this.#nameOfInit(), has: this.has });
  }

  /** Whether units are of use here: a host that boots another init may have systemd's files all the same. */
  get hasSystemd(): boolean {
    const { init } = this;
    if (init !== null) return init === "systemd";
    return this.hasAny(["/usr/lib/systemd/systemd", "/lib/systemd/systemd"]);
  }

  /** The name of the program that /sbin/init of a tree is, or leads to; empty where there is none. */
  #nameOfInit(): string {
    const path = join(this.root, "sbin/init");
    try {
      return basename(readlinkSync(path));
    } catch {
      return existsSync(path) ? "init" : "";
    }
  }

  get hasBus(): boolean {
    return this.hasAny(["/usr/share/dbus-1", "/etc/dbus-1"]);
  }

  get hasPolkit(): boolean {
    return this.hasAny(["/usr/share/polkit-1/actions", "/etc/polkit-1"]);
  }

  get hasZsh(): boolean {
    return this.hasAny(["/usr/share/zsh", "/usr/local/share/zsh"]);
  }

  get hasFish(): boolean {
    return this.hasAny(["/usr/share/fish", "/usr/local/share/fish"]);
  }

  hasAny(paths: readonly string[]): boolean {
    return paths.some(this.has);
  }

  /** Whether a path of the host exists. */
  readonly has = (path: string): boolean => existsSync(join(this.root, path));

  /**
   * Where a path of the host lies for us. In a tree behind --root, a symbolic link could lead back to the running host:
   * refused, because the file would be written there.
   */
  locate(path: string): string {
    const located = join(this.root, path);
    if (this.isLive) return located;
    let existing = dirname(located);
    while (!existsSync(existing)) existing = dirname(existing);
    const real = realpathSync(existing);
    if (real !== this.root && !real.startsWith(`${this.root}/`)) {
      throw new SetupError(`'${path}' leads out of '${this.root}' (to '${real}'): make that symbolic link relative`);
    }
    return located;
  }

  /** Refuses where a file of that size has no room. A little more is asked for, for the small files. */
  requireSpace(path: string, bytes: number): void {
    let existing = this.locate(path);
    while (!existsSync(existing)) existing = dirname(existing);
    const { bavail, bsize } = statfsSync(existing);
    const freeBytes = bavail * bsize;
    const neededBytes = bytes + 4 * MIB;
    if (freeBytes >= neededBytes) return;
    throw new SetupError(
      `'${dirname(path)}' has ${Math.floor(freeBytes / MIB)} MiB free, ${Math.ceil(neededBytes / MIB)} MiB are needed`,
    );
  }
}

function nameOfProcess1(): string {
  try {
    return readFileSync("/proc/1/comm", "latin1").trim();
  } catch {
    return "";
  }
}

const MIB = 1 << 20;
