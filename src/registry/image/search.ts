// The search for images: by name in all directories in order, or all of them. The first of a name wins. The list and
// the search by name find the same images (systemd-nspawn(1), "Files and Directories").
import { sortedByBytes } from "../../base/byte-order.ts";
import { listDirectory } from "../../kernel/file/directory-entry.ts";
import { DirectoryMemory, inDirectory, type SearchedDirectory, UnchangedImages } from "./cache.ts";
import { hostImage, imageOfEntry, statusOfEntry } from "./entry.ts";
import { HOST_IMAGE, type Image, isImageName } from "./image.ts";
import { compareEntries, parseVersionedEntry } from "./version.ts";

const NONE: readonly Image[] = [];

/** The forms an image of a name can have in a directory, the preferred first. */
const SUFFIXES = ["", ".raw", ".mstack"] as const;
const VERSIONS = ".v";

export class ImageSearch {
  readonly #directories: readonly string[];
  readonly #hasHost: boolean;
  #parts: readonly (readonly Image[])[] = [];
  #listed: readonly Image[] = [];

  /** `hasHost`: the host's own tree is an image, too. */
  constructor(directories: readonly string[], { hasHost }: { readonly hasHost: boolean } = { hasHost: true }) {
    this.#directories = directories;
    this.#hasHost = hasHost;
  }

  /** Returns the image of that name, or null. */
  find(name: string): Image | null {
    if (!isShown(name)) return null;
    for (const path of this.#directories) {
      const image = inDirectory(path, (directory) => findIn(directory, name));
      if (image != null) return image;
    }
    return this.#hasHost && name === HOST_IMAGE ? hostImage() : null;
  }

  /** Returns all images, ordered by name; the same array while nothing has changed. */
  list(): readonly Image[] {
    const parts = this.#directories.map((path) => inDirectory(path, listIn) ?? NONE);
    if (this.#hasHost) parts.push(onlyHost());
    if (parts.length !== this.#parts.length || parts.some((part, index) => part !== this.#parts[index])) {
      const images = new Map<string, Image>();
      for (const part of parts) for (const image of part) if (!images.has(image.name)) images.set(image.name, image);
      this.#parts = parts;
      this.#listed = sortedByBytes([...images.values()], ({ name }) => name);
    }
    return this.#listed;
  }
}

/** Whether a name can be that of an image. Entries of unfinished updates are no images. */
function isShown(name: string): boolean {
  return isImageName(name) && !name.startsWith(".sysupdate.");
}

/** Whether a tree of this name is found under it: other names mean a folder of versions, or a stack of layers. */
export function isTreeName(name: string): boolean {
  return suffixOf(name, "directory") === "";
}

/** One way to read the name of an entry as that of an image. */
interface Form {
  readonly entry: string;
  readonly name: string;
  readonly suffix: string;
  /** A folder of versions. */
  readonly isFolder: boolean;
}

function formsOfName(name: string): Form[] {
  const plain = SUFFIXES.map((suffix): Form => ({ entry: `${name}${suffix}`, name, suffix, isFolder: false }));
  const folders = SUFFIXES.map(
    (suffix): Form => ({ entry: `${name}${suffix}${VERSIONS}`, name, suffix, isFolder: true }),
  );
  return [...plain, ...folders];
}

/** Returns the names that an entry may mean: `a.raw` is a disk image "a", or a tree "a.raw". */
function formsOfEntry(entry: string): Form[] {
  const isFolder = entry.endsWith(VERSIONS);
  const stem = isFolder ? entry.slice(0, -VERSIONS.length) : entry;
  return SUFFIXES.filter((suffix) => stem.endsWith(suffix)).map((suffix) => {
    return { entry, name: stem.slice(0, stem.length - suffix.length), suffix, isFolder };
  });
}

function rank({ suffix, isFolder }: Form): number {
  return SUFFIXES.indexOf(suffix as (typeof SUFFIXES)[number]) + (isFolder ? SUFFIXES.length : 0);
}

function findIn(directory: SearchedDirectory, name: string): Image | null {
  return firstOf(directory, formsOfName(name));
}

let host: readonly Image[] = [];

/** Returns the host's image; the same object while its facts are the same. */
function onlyHost(): readonly Image[] {
  const now = hostImage();
  if (host[0] === undefined || !Bun.deepEquals(host[0].facts, now.facts, true)) host = [now];
  return host;
}

const contents = new DirectoryMemory((directory) => {
  const forms = formsIn(directory);
  const entries = new Set(forms.flatMap((some) => some.map(({ entry }) => entry)));
  return { forms, images: new UnchangedImages([...entries]) };
});

/** Returns the images of one directory: the preferred form of each name, independent of the order of the entries. */
function listIn(directory: SearchedDirectory): readonly Image[] {
  const { forms, images } = contents.of(directory);
  return images.of(directory, () => forms.map((some) => firstOf(directory, some)).filter((image) => image !== null));
}

/** Returns the forms in which the entries of a directory can be read, by image name. */
function formsIn(directory: SearchedDirectory): (readonly Form[])[] {
  const forms = new Map<string, Form[]>();
  for (const { name: entry } of listDirectory(directory.fd)) {
    for (const form of formsOfEntry(entry)) {
      if (!isShown(form.name)) continue;
      const others = forms.get(form.name);
      if (others === undefined) forms.set(form.name, [form]);
      else others.push(form);
    }
  }
  return [...forms.values()].map((candidates) => candidates.sort((a, b) => rank(a) - rank(b)));
}

function firstOf(directory: SearchedDirectory, forms: readonly Form[]): Image | null {
  for (const form of forms) {
    const image = form.isFolder ? newestIn(directory, form) : plainImage(directory, form);
    if (image !== null) return image;
  }
  return null;
}

function plainImage(directory: SearchedDirectory, { entry, name, suffix }: Form): Image | null {
  const status = statusOfEntry(directory, entry);
  if (status === null || suffixOf(entry, status.kind) !== suffix) return null;
  return imageOfEntry(directory, name, { entry, status, isVersion: false });
}

/** Returns the suffix that shows the form of an entry; null when such an entry is no image. */
function suffixOf(entry: string, kind: string): string | null {
  if (kind === "regular") return entry.endsWith(".raw") ? ".raw" : null;
  if (kind === "block") return "";
  if (kind !== "directory" || entry.endsWith(VERSIONS)) return null;
  return entry.endsWith(".mstack") ? ".mstack" : "";
}

/** Returns the newest version in a folder of versions. */
function newestIn(directory: SearchedDirectory, { entry: folder, name, suffix }: Form): Image | null {
  if (statusOfEntry(directory, folder)?.kind !== "directory") return null;
  const newest = inDirectory(`/proc/self/fd/${directory.fd.number}/${folder}`, (versions) => {
    const candidates = listDirectory(versions.fd)
      .map(({ name: entry }) => parseVersionedEntry(entry, name, suffix))
      .filter((candidate) => candidate !== null)
      .sort(compareEntries);
    for (const { entry } of candidates) {
      const status = statusOfEntry(versions, entry);
      if (status === null || (suffixOf(entry, status.kind) !== suffix && status.kind !== "block")) continue;
      const image = imageOfEntry(versions, name, { entry, status, isVersion: true });
      if (image !== null) return image;
    }
    return null;
  });
  return newest ?? null;
}
