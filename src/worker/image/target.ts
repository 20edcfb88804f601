// Where images of a class are kept, under which name a transfer makes one, and whether that name is free.
import { join, resolve } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { homeDirectory } from "../../kernel/process/account.ts";
import { type Image, isImageName } from "../../registry/image/image.ts";
import { ImageSearch } from "../../registry/image/search.ts";
import { movedRoot } from "../program/lock-directory.ts";
import type { ImageClass, WorkerOptions } from "../program/options.ts";

/** The folder of a class below each of the directories that a system keeps things in. */
const FOLDERS: Readonly<Record<ImageClass, string>> = {
  machine: "machines",
  portable: "portables",
  sysext: "extensions",
  confext: "confexts",
};

const SYSTEM_PARENTS = ["/etc", "/run", "/var/lib", "/usr/local/lib", "/usr/lib"] as const;
const LEGACY_MACHINES = "/var/lib/container";

/** The directory that new images go to. */
export function imageRootOf({ imageRoot, class: imageClass, scope }: WorkerOptions): string {
  return imageRoot ?? ownRootOf(imageClass, scope);
}

function ownRootOf(imageClass: ImageClass, scope: WorkerOptions["scope"]): string {
  return join(scope === "user" ? userState() : "/var/lib", FOLDERS[imageClass]);
}

function userState(): string {
  const state = process.env["XDG_STATE_HOME"];
  return state?.startsWith("/") ? state : join(homeDirectory(), ".local/state");
}

/** What `--direct` writes to: an absolute path stands for itself, any other is below the directory of images. */
export function directPath(name: string, options: WorkerOptions): string {
  return resolve(imageRootOf(options), name);
}

/** Whether images go where the machines of this host are looked for. */
export function isOwnRoot({ imageRoot, class: imageClass, scope }: WorkerOptions): boolean {
  return imageRoot === null || imageRoot === join(movedRoot() ?? "/", ownRootOf(imageClass, scope));
}

/** Where an image of a name may be already. A root given by option stands for itself. */
function searchPathOf(options: WorkerOptions): string[] {
  const pool = imageRootOf(options);
  if (options.imageRoot !== null || options.scope === "user") return [pool];
  const folders = SYSTEM_PARENTS.map((parent) => join(parent, FOLDERS[options.class]));
  return options.class === "machine" ? [...folders, LEGACY_MACHINES] : folders;
}

/** The image of that name, or null. */
export function findImage(name: string, options: WorkerOptions): Image | null {
  return new ImageSearch(searchPathOf(options), { hasHost: false }).find(name);
}

/** Throws unless an image may get this name. */
export function requireName(name: string): string {
  if (!isImageName(name)) throw new ErrnoError("EINVAL", `Local image name '${name}' is not valid.`);
  return name;
}

/** Throws when there is an image of this name already and it is not to be replaced. */
export function requireFree(name: string, options: WorkerOptions): void {
  if (options.force || findImage(name, options) === null) return;
  throw new ErrnoError("EEXIST", `Image '${name}' already exists.`);
}

const TAR_SUFFIX = /\.(tar|tar\.xz|tar\.gz|tar\.bz2|tar\.zst|tar\.lz4|tgz)$/;
const RAW_SUFFIX = /\.(xz|gz|bz2|zst|lz4|sysext\.raw|confext\.raw|raw|qcow2|img|bin)$/;

/** The image name that a file name suggests. */
export function nameOfFile(file: string, kind: "tar" | "raw"): string {
  const last = file.replace(/\/+$/, "").split("/").at(-1) ?? "";
  if (kind === "tar") return last.replace(TAR_SUFFIX, "");
  let name = last;
  while (RAW_SUFFIX.test(name)) name = name.replace(RAW_SUFFIX, "");
  return name;
}
