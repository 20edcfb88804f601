// Binds the D-Bus rows about images to actions: the mapping of arguments, and the value of each property.
import { Image as ImageTable, type Manager } from "../../api/machine1.ts";
import type { Getters, Handlers } from "../../api/table.ts";
import { busLabelEscape, busLabelUnescape } from "../../base/names.ts";
import { preparer } from "../../base/prepared.ts";
import { type Collection, leaf } from "../../daemon/object-tree.ts";
import { type BusCallContext, bindInterface } from "../../ipc/bus/binding.ts";
import type { Image } from "../../registry/image/image.ts";
import { poolSpace } from "../../registry/image/pool.ts";
import { perform } from "../action/action.ts";
import type { Daemon } from "../action/daemon.ts";
import { imagePath } from "../machines/bus-shapes.ts";
import { cleanPool, clone, markReadOnly, remove, rename, setLimit, setPoolLimit } from "./actions.ts";
import type { Images } from "./images.ts";

type ImageRow = readonly [string, string, boolean, bigint, bigint, bigint, string];

function rowOf(image: Image): ImageRow {
  const { createdUsec, modifiedUsec, space } = image.facts;
  return [image.name, image.type, image.isReadOnly, createdUsec, modifiedUsec, space.usage, imagePath(image.name)];
}

const NOTHING = {};

async function done(result: unknown): Promise<object> {
  await result;
  return NOTHING;
}

/** The methods about one image; those of the manager take a name, those of the image's object do not. */
function methodsOf(daemon: Daemon, images: Images, name: string) {
  const subject = { images, name };
  const metadata = async () => images.metadata(images.require(name));
  return {
    remove: (call: BusCallContext) => done(perform(daemon, call, remove, subject)),
    rename: (call: BusCallContext, args: { readonly new_name: string }) =>
      done(perform(daemon, call, rename, { ...subject, newName: args.new_name })),
    clone: (call: BusCallContext, args: { readonly new_name: string; readonly read_only: boolean }) =>
      done(perform(daemon, call, clone, { ...subject, newName: args.new_name, readOnly: args.read_only })),
    markReadOnly: (call: BusCallContext, args: { readonly read_only: boolean }) =>
      done(perform(daemon, call, markReadOnly, { ...subject, readOnly: args.read_only })),
    setLimit: (call: BusCallContext, args: { readonly size: bigint }) =>
      done(perform(daemon, call, setLimit, { ...subject, bytes: args.size })),
    hostname: async () => ({ hostname: (await metadata()).hostname }),
    machineId: async () => ({ id: (await metadata()).machineId ?? new Uint8Array(0) }),
    machineInfo: async () => ({ machine_info: (await metadata()).machineInfo }),
    osRelease: async () => ({ os_release: (await metadata()).osRelease }),
  };
}

/** The manager's methods about images. */
export function imageMethods(daemon: Daemon, images: Images) {
  const of = (name: string) => methodsOf(daemon, images, name);
  const rows = preparer(rowOf);
  return {
    GetImage: (_call, { name }) => ({ image: imagePath(images.get(name).name) }),
    ListImages: () => ({ images: rows(images.list()) }),
    RemoveImage: (call, { name }) => of(name).remove(call),
    RenameImage: (call, args) => of(args.name).rename(call, args),
    CloneImage: (call, args) => of(args.name).clone(call, args),
    MarkImageReadOnly: (call, args) => of(args.name).markReadOnly(call, args),
    SetImageLimit: (call, args) => of(args.name).setLimit(call, args),
    GetImageHostname: (_call, { name }) => of(name).hostname(),
    GetImageMachineID: (_call, { name }) => of(name).machineId(),
    GetImageMachineInfo: (_call, { name }) => of(name).machineInfo(),
    GetImageOSRelease: (_call, { name }) => of(name).osRelease(),
    SetPoolLimit: (call, { size }) => done(perform(daemon, call, setPoolLimit, { images, bytes: size })),
    CleanPool: async (call, { mode }) => ({ images: await perform(daemon, call, cleanPool, { images, mode }) }),
  } satisfies Partial<Handlers<typeof Manager, BusCallContext>>;
}

function ownMethods(daemon: Daemon, images: Images): Handlers<typeof ImageTable, BusCallContext<Image>> {
  const of = (call: BusCallContext<Image>) => methodsOf(daemon, images, call.subject.name);
  return {
    Remove: (call) => of(call).remove(call),
    Rename: (call, args) => of(call).rename(call, args),
    Clone: (call, args) => of(call).clone(call, args),
    MarkReadOnly: (call, args) => of(call).markReadOnly(call, args),
    SetLimit: (call, args) => of(call).setLimit(call, args),
    GetHostname: (call) => of(call).hostname(),
    GetMachineID: (call) => of(call).machineId(),
    GetMachineInfo: (call) => of(call).machineInfo(),
    GetOSRelease: (call) => of(call).osRelease(),
  };
}

/** The manager's properties about the pool. */
export function poolGetters({ layout }: Images): Getters<typeof Manager, null> {
  return {
    PoolPath: () => layout.pool,
    PoolUsage: () => poolSpace(layout).usage,
    PoolLimit: () => poolSpace(layout).limit,
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

/** The D-Bus objects of images, by their escaped names. */
export function imageObjects(daemon: Daemon, images: Images): Collection {
  const bound = bindInterface(ImageTable, ownMethods(daemon, images), imageGetters);
  return {
    labels: () =>
      images
        .list()
        .map(({ name }) => busLabelEscape(name))
        .sort(),
    find(label) {
      const image = images.find(busLabelUnescape(label));
      return image === null ? null : leaf(bound, image);
    },
  };
}
