// Binds the methods of io.systemd.MachineImage to actions: mapping of arguments only.
import { IoSystemdMachineImage } from "../../api/varlink/io-systemd-machine-image.ts";
import type { ReceivedInteger, VarlinkParameters, VarlinkResult, VarlinkValue } from "../../api/varlink-table.ts";
import { errnoNameOf, invalidArgument, MachinedError } from "../../base/error.ts";
import { formatId } from "../../base/id128.ts";
import { type Prepared, preparer } from "../../base/prepared.ts";
import { UINT64_MAX } from "../../base/text/format.ts";
import { plainInteger } from "../../base/text/json.ts";
import { Turns } from "../../base/turns.ts";
import { type BoundVarlink, bindVarlink, Reply } from "../../ipc/varlink/binding.ts";
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
import { type Images, requireImageName, requireNameFor } from "./images.ts";

type Table = typeof IoSystemdMachineImage;
type Metadata = VarlinkValue<Table, "AcquireMetadata">;
type Description = VarlinkResult<Table, "List">;

/** Binds io.systemd.MachineImage to the images. */
export function imageVarlink(daemon: Daemon, images: Images): BoundVarlink {
  const facts = preparer(factsOf);
  return bindVarlink(IoSystemdMachineImage, {
    List: (call, { name, acquireMetadata: metadata = "no" }) =>
      perform(daemon, call, list, { images, facts, name, metadata, more: call.more }),
    Update: (call, p) => perform(daemon, call, update, { images, ...p }),
    Clone: (call, p) =>
      perform(daemon, call, clone, { images, name: p.name, newName: p.newName, readOnly: p.readOnly ?? false }),
    Remove: (call, { name }) => perform(daemon, call, remove, { images, name }),
    SetPoolLimit: (call, { limit }) => perform(daemon, call, setPoolLimit, { images, bytes: sizeOf(limit) }),
    CleanPool: async (call, { mode }) => {
      const removed = await perform(daemon, call, cleanPool, { images, mode });
      if (removed.length === 0) throw noSuchImage();
      return { [Reply.many]: removed.map(([name, bytes]) => ({ name, usageExclusive: known(bytes) })) };
    },
  });
}

function noSuchImage(): MachinedError {
  return new MachinedError("NoSuchImage", "No such image");
}

function sizeOf(limit: ReceivedInteger): bigint {
  const bytes = BigInt(limit);
  if (bytes < 0n) throw invalidArgument("limit", "New limit out of range");
  return bytes;
}

/**
 * All three changes need one permission. The name is changed first: the other changes find the image by its new name.
 */
const update = defineAction({
  prepare(_daemon, { images, name, newName, limit }: ImageSubject & VarlinkParameters<Table, "Update">) {
    const subject = images.require(name);
    if (newName !== undefined) {
      requireImageName("newName", newName);
      requireNameFor(subject, newName);
    }
    const bytes = limit === undefined ? null : sizeOf(limit);
    return { subject, bytes, grant: { subject: name } };
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

/** Returns the plan if its subject is the permitted image, perhaps under its new name. Throws NoSuchImage. */
function sameImage<Plan extends { readonly subject: Image }>(permitted: Image, plan: Plan): Plan {
  if (plan.subject.facts.identity === permitted.facts.identity) return plan;
  throw new MachinedError("NoSuchImage", `No image '${permitted.name}' known`);
}

/** Waits for all of them, then throws the first failure. */
async function firstFailure(changes: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(changes)) if (result.status === "rejected") throw result.reason;
}

interface ListParameters {
  readonly images: Images;
  /** The rows without metadata of the images, encoded once. */
  readonly facts: (images: readonly Image[]) => Prepared<Description>;
  readonly name?: string | undefined;
  readonly metadata: Metadata;
  readonly more: boolean;
}

/** Describes one image, or all. Metadata is read from the images themselves and needs permission. */
const list = defineAction({
  prepare(_daemon, { images, name, metadata }: ListParameters) {
    if (name !== undefined) requireImageName("name", name);
    // The permission is checked before the existence of the image: `run` throws NoSuchImage.
    const subject = name === undefined ? null : images.find(name);
    if (metadata === "no") return { subject };
    return { subject, grant: name === undefined ? {} : { subject: name } };
  },
  run: (_daemon, { subject }, parameters) => describeImages(subject, parameters),
});

/** How long images are described before other callers have their turn. */
const SLICE_MS = 4;

async function describeImages(
  subject: Image | null,
  { images, facts, name, metadata: acquireMetadata, more }: ListParameters,
): Promise<Description | { readonly [Reply.many]: readonly Description[] | Prepared<Description> }> {
  if (name !== undefined) return describeImage(images, subject ?? images.get(name), acquireMetadata);
  if (!more) throw new MachinedError("ExpectedMore", "Expected the 'more' flag");
  const all = images.list();
  if (all.length === 0) throw noSuchImage();
  if (acquireMetadata === "no") return { [Reply.many]: facts(all) };
  const replies: Description[] = [];
  const turns = new Turns(SLICE_MS);
  for (const image of all) {
    replies.push(await describeImage(images, image, acquireMetadata));
    // Trees are read without waiting for anything.
    if (turns.isOver) await turns.pass();
  }
  return { [Reply.many]: replies };
}

/** Unknown sizes are left out of replies. */
function known(bytes: bigint): number | bigint | undefined {
  return bytes === UINT64_MAX ? undefined : plainInteger(bytes);
}

async function describeImage(images: Images, image: Image, metadata: Metadata): Promise<Description> {
  const facts = factsOf(image);
  return metadata === "no" ? facts : { ...facts, ...(await metadataOf(images, image, metadata)) };
}

function factsOf(image: Image): Description {
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

/** Reads the metadata in the image itself. With "graceful", what cannot be read is left out. */
async function metadataOf(images: Images, image: Image, metadata: "yes" | "graceful"): Promise<Partial<Description>> {
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
