// Varlink rows about images → actions: argument mapping only (io.systemd.MachineImage).

import { IoSystemdMachineImage } from "../../api/io-systemd-machine-image.ts";
import { errnoNameOf, invalidArgument, MachinedError } from "../../base/error.ts";
import { UINT64_MAX } from "../../base/format.ts";
import { formatId } from "../../base/id128.ts";
import { plainInteger } from "../../base/json.ts";
import { type Prepared, preparer } from "../../base/prepared.ts";
import { type BoundVarlink, Reply } from "../../ipc/varlink/server.ts";
import type { Image } from "../../registry/image/image.ts";
import { defineAction, perform } from "../action/action.ts";
import type { Daemon } from "../action/daemon.ts";
import {
  cleanPool,
  clone,
  type ImageSubject,
  markReadOnly,
  remove,
  rename,
  setLimit,
  setPoolLimit,
} from "./actions.ts";
import { type Images, requireImageName } from "./images.ts";

type Metadata = "no" | "yes" | "graceful";

interface UpdateParameters {
  readonly name: string;
  readonly newName?: string;
  readonly readOnly?: boolean;
  readonly limit?: number | bigint | string;
}

/** Binds io.systemd.MachineImage to the images. */
export function imageVarlink(daemon: Daemon, images: Images): BoundVarlink {
  const facts = preparer(factsOf);
  return {
    table: IoSystemdMachineImage,
    handlers: {
      List: (call, { name, acquireMetadata: metadata = "no" }: { name?: string; acquireMetadata?: Metadata }) =>
        perform(daemon, call, list, { images, facts, name, metadata, more: call.more }),
      Update: (call, p: UpdateParameters) => perform(daemon, call, update, { images, ...p }),
      Clone: (call, p: { name: string; newName: string; readOnly?: boolean }) =>
        perform(daemon, call, clone, { images, name: p.name, newName: p.newName, readOnly: p.readOnly ?? false }),
      Remove: (call, { name }: { name: string }) => perform(daemon, call, remove, { images, name }),
      SetPoolLimit: (call, { limit }: { limit: number | bigint | string }) =>
        perform(daemon, call, setPoolLimit, { images, bytes: sizeOf(limit) }),
      CleanPool: async (call, { mode }: { mode: string }) => {
        const removed = await perform(daemon, call, cleanPool, { images, mode });
        if (removed.length === 0) throw noSuchImage();
        return { [Reply.many]: removed.map(([name, bytes]) => ({ name, usageExclusive: known(bytes) })) };
      },
    },
  };
}

function noSuchImage(): MachinedError {
  return new MachinedError("NoSuchImage", "No such image");
}

function sizeOf(limit: number | bigint | string): bigint {
  const bytes = BigInt(limit);
  if (bytes < 0n) throw invalidArgument("limit", "New limit out of range");
  return bytes;
}

/** One permission for all three changes: the name first, because the others go by the new one. */
const update = defineAction({
  prepare(_daemon, { images, name, newName, limit }: ImageSubject & UpdateParameters) {
    const subject = images.require(name);
    if (newName !== undefined) requireImageName("newName", newName);
    const bytes = limit === undefined ? null : sizeOf(limit);
    const details = { image: name, verb: "update" };
    return { subject, bytes, permission: { action: "org.freedesktop.machine1.manage-images", details } };
  },
  async run(daemon, { subject: image, bytes }, { images, name, newName, readOnly }, call) {
    const subject = { images, name: newName ?? name };
    if (newName !== undefined) {
      const plan = rename.prepare(daemon, { images, name, newName }, call);
      await rename.run(daemon, plan, { images, name, newName }, call);
    }
    const changes: Promise<unknown>[] = [];
    if (readOnly !== undefined) {
      const parameters = { ...subject, readOnly };
      const plan = sameImage(image, markReadOnly.prepare(daemon, parameters, call));
      changes.push(Promise.resolve(markReadOnly.run(daemon, plan, parameters, call)));
    }
    if (bytes !== null) {
      // One after the other: both change the same image.
      await Promise.allSettled(changes);
      const parameters = { ...subject, bytes };
      const plan = sameImage(image, setLimit.prepare(daemon, parameters, call));
      changes.push(Promise.resolve(setLimit.run(daemon, plan, parameters, call)));
    }
    await firstFailure(changes);
  },
});

/** The plan, if it is about the image whose change was permitted, perhaps under its new name. */
function sameImage<Plan extends { readonly subject: Image }>(permitted: Image, plan: Plan): Plan {
  if (plan.subject.facts.identity === permitted.facts.identity) return plan;
  throw new MachinedError("NoSuchImage", `No image '${permitted.name}' known`);
}

/** Waits for all of them, then throws what failed first. */
async function firstFailure(changes: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(changes)) if (result.status === "rejected") throw result.reason;
}

interface ListParameters {
  readonly images: Images;
  /** What is known without a look into the images, prepared for sending. */
  readonly facts: (images: readonly Image[]) => Prepared<object>;
  readonly name?: string | undefined;
  readonly metadata: Metadata;
  readonly more: boolean;
}

/** One image, or all; metadata, which is read from the images themselves, needs permission. */
const list = defineAction({
  prepare(_daemon, { images, name, metadata }: ListParameters) {
    if (name !== undefined) requireImageName("name", name);
    // Who may ask learns first whether it may, then whether there is such an image.
    const subject = name === undefined ? null : images.find(name);
    if (metadata === "no") return { subject };
    const details: Record<string, string> = name === undefined ? {} : { image: name };
    return { subject, permission: { action: "org.freedesktop.machine1.inspect-images", details } };
  },
  run: (_daemon, { subject }, parameters) => describeImages(subject, parameters),
});

async function describeImages(
  subject: Image | null,
  { images, facts, name, metadata: acquireMetadata, more }: ListParameters,
): Promise<object> {
  if (name !== undefined) return describeImage(images, subject ?? images.get(name), acquireMetadata);
  if (!more) throw new MachinedError("ExpectedMore", "Expected the 'more' flag");
  const all = images.list();
  if (all.length === 0) throw noSuchImage();
  if (acquireMetadata === "no") return { [Reply.many]: facts(all) };
  const replies: object[] = [];
  for (const image of all) replies.push(await describeImage(images, image, acquireMetadata));
  return { [Reply.many]: replies };
}

/** Sizes and times that are not known are left out. */
function known(bytes: bigint): number | bigint | undefined {
  return bytes === UINT64_MAX ? undefined : plainInteger(bytes);
}

async function describeImage(images: Images, image: Image, metadata: Metadata): Promise<object> {
  const facts = factsOf(image);
  return metadata === "no" ? facts : { ...facts, ...(await metadataOf(images, image, metadata)) };
}

function factsOf(image: Image): object {
  const { createdUsec, modifiedUsec, space } = image.facts;
  return {
    name: image.name,
    path: image.path,
    type: image.type,
    class: "machine",
    readOnly: image.isReadOnly,
    creationTimestamp: createdUsec === 0n ? undefined : plainInteger(createdUsec),
    modificationTimestamp: modifiedUsec === 0n ? undefined : plainInteger(modifiedUsec),
    usage: known(space.usage),
    usageExclusive: known(space.usageExclusive),
    limit: known(space.limit),
    limitExclusive: known(space.limitExclusive),
  };
}

/** What stands in the image itself. "graceful" leaves out what cannot be had. */
async function metadataOf(images: Images, image: Image, metadata: "yes" | "graceful"): Promise<object> {
  const pairs = (fields: ReadonlyMap<string, string>) =>
    fields.size === 0 ? undefined : Array.from(fields, ([key, value]) => `${key}=${value}`);
  try {
    const { hostname, machineId, machineInfo, osRelease } = await images.metadata(image);
    return {
      hostname: hostname || undefined,
      machineId: machineId === null ? undefined : formatId(machineId),
      machineInfo: pairs(machineInfo),
      OSRelease: pairs(osRelease),
    };
  } catch (error) {
    const isExpected = error instanceof MachinedError || errnoNameOf(error) !== null;
    if (metadata === "graceful" && isExpected) return {};
    throw error;
  }
}
