// D-Bus rows about images → actions: argument mapping only, and what each property reads.
import { Image as ImageTable, type Manager } from "../api/machine1.ts";
import type { Getters, Handlers, Wire } from "../api/table.ts";
import { UINT64_MAX } from "../base/format.ts";
import { type BusCallContext, bindInterface } from "../ipc/bus-server.ts";
import type { Image } from "../registry/image.ts";
import type { Daemon } from "./daemon.ts";
import type { Images } from "./images.ts";
import type { ImageObjects } from "./objects.ts";
import { imagePath } from "./wire.ts";

type ImageRow = Wire["a(ssbttto)"][number];

function row(image: Image): ImageRow {
  const { createdUsec, modifiedUsec, space } = image.facts;
  return [image.name, image.type, image.isReadOnly, createdUsec, modifiedUsec, space.usage, imagePath(image.name)];
}

/** The manager's methods about images. */
export function imageMethods(_daemon: Daemon, images: Images) {
  return {
    GetImage: (_call, { name }) => ({ image: imagePath(images.get(name).name) }),
    ListImages: () => ({ images: images.list().map(row) }),
  } satisfies Partial<Handlers<typeof Manager, BusCallContext>>;
}

/** The manager's properties about the pool. */
export function poolGetters(images: Images): Getters<typeof Manager, null> {
  return {
    PoolPath: () => images.layout.pool,
    PoolUsage: () => UINT64_MAX,
    PoolLimit: () => UINT64_MAX,
  };
}

const imageGetters: Getters<typeof ImageTable, Image> = {
  Name: (image) => image.name,
  Path: (image) => image.path,
  Type: (image) => image.type,
  ReadOnly: (image) => image.isReadOnly,
  CreationTimestamp: (image) => image.facts.createdUsec,
  ModificationTimestamp: (image) => image.facts.modifiedUsec,
  Usage: (image) => image.facts.space.usage,
  Limit: (image) => image.facts.space.limit,
  UsageExclusive: (image) => image.facts.space.usageExclusive,
  LimitExclusive: (image) => image.facts.space.limitExclusive,
};

/** The objects below …/image. */
export function imageObjects(_daemon: Daemon, images: Images): ImageObjects {
  return {
    bound: bindInterface(ImageTable, {} as never, imageGetters),
    find: (name) => images.find(name),
    names: () => images.list().map(({ name }) => name),
  };
}
