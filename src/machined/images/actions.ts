// Changing images: remove, rename, clone, read-only, limits, clean (org.freedesktop.machine1(5), RemoveImage() ff.).
// Arguments are checked before the permission; the type of the image, and whether it may be changed, are checked after
// it.
import { errnoNameOf, invalidArgument, MachinedError } from "../../base/error.ts";
import { UINT64_MAX } from "../../base/text/format.ts";
import { renameImage } from "../../registry/image/change.ts";
import { defineAction } from "../action/action.ts";
import type { Daemon } from "../action/daemon.ts";
import { type Images, requireImageName, requireNameFor, targetOf, withText } from "./images.ts";

/** The image of an action, and the images in which it is found. */
export interface ImageSubject {
  readonly images: Images;
  readonly name: string;
}

/** Removes an image; replies when it is removed. */
export const remove = defineAction({
  prepare(_daemon, { images, name }: ImageSubject) {
    images.operations.requireRoom();
    const image = images.require(name);
    return { subject: image, grant: { subject: name } };
  },
  async run(daemon, { subject: image }, { images, name }) {
    try {
      await images.run("remove", { target: targetOf(image) });
    } catch (error) {
      // The worker was killed after it had hidden the image: the rest is removed in the background.
      if (errnoNameOf(error) !== "ESHUTDOWN" || images.find(name)?.isSame(image) === true) throw error;
    }
    await afterRemoval(daemon, images, name);
  },
});

/** Disables the unit of a removed image, unless there is another image of that name (in /usr/lib, say). */
async function afterRemoval(daemon: Daemon, images: Images, name: string): Promise<void> {
  if (images.find(name) === null) await daemon.enablement.dropped(name);
}

/** Renames an image. */
export const rename = defineAction({
  prepare(_daemon, { images, name, newName }: ImageSubject & { newName: string }) {
    requireImageName("newName", newName);
    const image = images.require(name);
    requireNameFor(image, newName);
    return { subject: image, grant: { subject: name, details: { new_name: newName } } };
  },
  async run(daemon, { subject: image }, { images, name, newName }) {
    try {
      renameImage(images.layout, images.search, image, newName);
    } catch (error) {
      throw withText("Failed to rename image", error);
    }
    await daemon.enablement.moved(name, newName);
  },
});

/** Clones an image into the pool; replies when the clone is complete. */
export const clone = defineAction({
  prepare(_daemon, { images, name, newName }: ImageSubject & { newName: string; readOnly: boolean }) {
    images.operations.requireRoom();
    requireImageName("newName", newName);
    const subject = images.require(name);
    requireNameFor(subject, newName);
    return { subject, grant: { subject: name, details: { new_name: newName } } };
  },
  async run(_daemon, { subject }, { images, newName, readOnly }) {
    await images.run("clone", { target: targetOf(subject), newName, readOnly });
  },
});

/** Marks an image as read-only, or removes the mark. */
export const markReadOnly = defineAction({
  prepare(_daemon, { images, name, readOnly }: ImageSubject & { readOnly: boolean }) {
    const subject = images.require(name);
    return { subject, grant: { subject: name, details: { read_only: readOnly ? "1" : "0" } } };
  },
  async run(_daemon, { subject }, { images, readOnly }) {
    await images.run("set-read-only", { target: targetOf(subject), readOnly });
  },
});

const SIZE_MAX = (1n << 63n) - 1n;

function requireSize(bytes: bigint): void {
  if (bytes > SIZE_MAX && bytes !== UINT64_MAX) throw invalidArgument("limit", "New limit out of range");
}

/** Limits the space of an image; all ones removes the limit. */
export const setLimit = defineAction({
  prepare(_daemon, { images, name, bytes }: ImageSubject & { bytes: bigint }) {
    requireSize(bytes);
    const image = images.require(name);
    return { subject: image, grant: { subject: name } };
  },
  async run(_daemon, { subject }, { images, bytes }) {
    await images.run("set-limit", { target: targetOf(subject), bytes: String(bytes) });
  },
});

/** Limits the space of all images of the pool together. */
export const setPoolLimit = defineAction({
  prepare(_daemon, { bytes }: { images: Images; bytes: bigint }) {
    requireSize(bytes);
    return { subject: null, grant: {} };
  },
  async run(_daemon, _plan, { images, bytes }) {
    try {
      await images.run("set-limit", { target: null, bytes: String(bytes) });
    } catch (error) {
      if (errnoNameOf(error) === "ENOTTY") {
        throw new MachinedError("NotSupported", "Quota is only supported on btrfs.", { cause: error });
      }
      throw withText("Failed to adjust quota limit", error);
    }
  },
});

/** A removed image, and how many bytes that freed (all ones where the file system does not count them). */
type Cleaned = readonly (readonly [name: string, bytes: bigint])[];

/** Removes hidden images, or all. */
export const cleanPool = defineAction({
  prepare(_daemon, { images, mode }: { images: Images; mode: string }) {
    images.operations.requireRoom();
    if (mode !== "hidden" && mode !== "all") throw invalidArgument("mode", `Unknown mode '${mode}'.`);
    return { subject: null, grant: { details: { mode } } };
  },
  async run(daemon, _plan, { images, mode }): Promise<Cleaned> {
    // The worker's answer: src/worker/operations/clean.ts.
    const removed = (await images.run("clean", { mode })) as [string, string][];
    for (const [name] of removed) if (!name.startsWith(".")) await afterRemoval(daemon, images, name);
    return removed.map(([name, bytes]) => [name, BigInt(bytes)] as const);
  },
});
