// The host, or the tree of --root=, on which the program is installed: its features, and the translation of its paths.

import { accessSync, constants, readFileSync, readlinkSync, realpathSync, statfsSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { unlessNoFile } from "../base/absence.ts";
import { exists } from "./disk.ts";
import { SetupError } from "./error.ts";
import { type InitName, initOf } from "./init/recognise.ts";

/** A host or a tree of files. */
export class Host {
  /** `/`, or the directory of --root= with symbolic links resolved. */
  readonly root: string;

  constructor(root = "/") {
    if (!exists(root)) throw new SetupError(`The directory '${root}' of --root= does not exist`);
    this.root = realpathSync(resolve(root));
  }

  /** Whether this is the running host and not a tree of files. */
  get isLive(): boolean {
    return this.root === "/";
  }

  /**
   * Whether systemd runs on this host, so that units can be started now. Not in a chroot(2), which may have the /run of
   * its host: systemctl(1) ignores commands there, and succeeds.
   */
  get runsSystemd(): boolean {
    return this.isLive && exists("/run/systemd/system") && !isInChroot();
  }

  /** The init that is process 1, or that a tree will boot; null if it is unknown. */
  get init(): InitName | null {
    return initOf({ first: this.isLive ? nameOfProcess1() : this.#nameOfInit(), has: this.has });
  }

  /**
   * Whether the host boots systemd. Its files alone are no sign of that, because a host with another init may have
   * them.
   */
  get hasSystemd(): boolean {
    const { init } = this;
    if (init !== null) return init === "systemd";
    return this.hasAny(["/usr/lib/systemd/systemd", "/lib/systemd/systemd"]);
  }

  /** The text of /sbin/init of a tree, or of what it links to, if that is a script; otherwise empty. */
  get initScript(): string {
    try {
      const text = readFileSync(join(this.root, this.follow("/sbin/init")), "latin1");
      return text.startsWith("#!") ? text : "";
    } catch {
      return "";
    }
  }

  /** Returns the path of the host that a symbolic link leads to; the path itself if it is none. */
  follow(path: string): string {
    let followed = path;
    for (let hops = 0; hops < MAX_LINKS; hops++) {
      try {
        followed = resolve(dirname(followed), readlinkSync(join(this.root, followed)));
      } catch {
        break;
      }
    }
    return followed;
  }

  /**
   * Returns the name of the program that /sbin/init of a tree is or links to, or of the program of s6 that it executes
   * if it is a script; empty without one.
   */
  #nameOfInit(): string {
    const path = join(this.root, "sbin/init");
    const executed = /^[^#\n]*\b(s6-svscan|s6-linux-init)\b/m.exec(this.initScript)?.[1];
    if (executed !== undefined) return executed;
    try {
      return basename(readlinkSync(path));
    } catch {
      // It is no link, or there is none.
      return exists(path) ? "init" : "";
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
  readonly has = (path: string): boolean => exists(join(this.root, path));

  /** Whether this process can write to a directory of the host, whose file system may be read-only. */
  isWritable(path: string): boolean {
    try {
      accessSync(join(this.root, path), constants.W_OK);
      return true;
    } catch {
      return false;
    }
  }

  /**
   * Returns the path of a file of the host as this process must use it: for --root=, below that directory. Throws a
   * SetupError if a symbolic link in the tree leads out of it, because the file would be written to the running host.
   */
  locate(path: string): string {
    const located = join(this.root, path);
    if (this.isLive) return located;
    let existing = dirname(located);
    while (!exists(existing)) existing = dirname(existing);
    const real = realpathSync(existing);
    if (real !== this.root && !real.startsWith(`${this.root}/`)) {
      throw new SetupError(`'${path}' leads out of '${this.root}' (to '${real}'): make that symbolic link relative`);
    }
    return located;
  }

  /** Throws a SetupError if the file system of `path` has not enough space for `bytes` and 4 MiB for small files. */
  requireSpace(path: string, bytes: number): void {
    let existing = this.locate(path);
    while (!exists(existing)) existing = dirname(existing);
    const { bavail, bsize } = statfsSync(existing);
    const freeBytes = bavail * bsize;
    const neededBytes = bytes + 4 * MIB;
    if (freeBytes >= neededBytes) return;
    throw new SetupError(
      `Not enough space in '${dirname(path)}': ${Math.floor(freeBytes / MIB)} MiB are free, ${Math.ceil(neededBytes / MIB)} MiB are needed`,
    );
  }
}

/** Whether the root directory is another one than that of process 1; only root can see that. */
function isInChroot(): boolean {
  try {
    const [first, own] = [statSync("/proc/1/root"), statSync("/")];
    return first.dev !== own.dev || first.ino !== own.ino;
  } catch {
    return false;
  }
}

function nameOfProcess1(): string {
  return unlessNoFile(() => readFileSync("/proc/1/comm", "latin1").trim(), "");
}

const MIB = 1 << 20;
/** How many links are followed, in case they lead to each other. */
const MAX_LINKS = 8;
