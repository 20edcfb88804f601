// A simulated manager of images: it has the images of the recorded one, changes them as the calls say, and returns the
// same errors.
import { Variant } from "../../src/base/variant.ts";
import type { Bus } from "../../src/cli/session/ports.ts";
import type { BusCall } from "../../src/ipc/bus/connection.ts";
import { FakeBusError, FakeManagers } from "../unit/cli/fake-managers.ts";

const MAX = 0xffff_ffff_ffff_ffffn;
const PATH = "/org/freedesktop/machine1/image/";
const DBUS = "org.freedesktop.DBus.Error.";

interface FakeImage {
  name: string;
  readonly path: string;
  readonly type: "directory" | "raw";
  isReadOnly: boolean;
  readonly created: bigint;
  readonly modified: bigint;
  readonly usage: bigint;
  readonly limit: bigint;
  /** A container runs from it: the image can neither be changed nor read. */
  readonly isInUse: boolean;
  readonly hostname: string;
  readonly id: string;
  readonly os: string;
}

const TREE = { type: "directory", modified: 0n, usage: MAX, limit: MAX, isReadOnly: false, isInUse: false } as const;

const ALPHA: FakeImage = {
  ...TREE,
  name: "alpha",
  path: "/var/lib/machines/alpha",
  created: 1795350789653970n,
  hostname: "alpha",
  id: "b80e713a47a14bd39c0eb134261a2c6a",
  os: "Debian GNU/Linux 12 (bookworm)",
};

const HOST: FakeImage = {
  ...TREE,
  name: ".host",
  path: "/",
  isReadOnly: true,
  created: 1795350720000000n,
  hostname: "vm",
  id: "daee751c587b4c9a8ee73ebf01103c18",
  os: "Debian GNU/Linux forky/sid",
};

const MINI: FakeImage = {
  ...TREE,
  name: "mini",
  path: "/var/lib/machines/mini",
  created: 1795350902000000n,
  isInUse: true,
  hostname: "",
  id: "",
  os: "Mini OS 1.0 (test)",
};

const DISK: FakeImage = {
  ...MINI,
  name: "disk",
  path: "/var/lib/machines/disk.raw",
  type: "raw",
  created: 1795351020000000n,
  modified: 1795351020002500n,
  usage: 36864n,
  limit: 8388608n,
  isInUse: false,
};

/** The worlds that the recordings name. */
export const IMAGE_WORLDS: Readonly<Record<string, readonly FakeImage[]>> = {
  list: [HOST, ALPHA],
  verbs: [HOST, { ...ALPHA, isInUse: true }, MINI],
};

function refuse(error: string, text: string): never {
  throw new FakeBusError(error, text);
}

const busy = (prefix = "") => refuse("System.Error.EBUSY", `${prefix}Device or resource busy`);
const exists = (prefix = "") => refuse(`${DBUS}FileExists`, `${prefix}File exists`);
const readOnly = (prefix = "") => refuse("System.Error.EROFS", `${prefix}Read-only file system`);

export class FakeImages extends FakeManagers {
  nowUsec = 0n;
  #images: FakeImage[];

  constructor(images: readonly FakeImage[]) {
    super({ machines: [], images: [] });
    this.#images = images.map((image) => ({ ...image }));
  }

  /** Makes an image as another program would. */
  make(name: string): void {
    if (name === "disk") this.#images.push({ ...DISK });
  }

  override bus(): Bus {
    const bus = super.bus();
    return {
      ...bus,
      call: async (call) => {
        this.calls.push(call);
        await Promise.resolve();
        if (call.member === "GetAll" && call.path.startsWith(PATH))
          return [this.#properties(call.path.slice(PATH.length))];
        if (call.member.includes("Image") || /Pool/.test(call.member)) return this.#answer(call);
        return bus.call(call);
      },
    };
  }

  #get(name: unknown): FakeImage {
    const image = this.#images.find((known) => known.name === name);
    return image ?? refuse("org.freedesktop.machine1.NoSuchImage", `No image '${name}' known`);
  }

  #requireFree(name: unknown, prefix = ""): void {
    if (String(name).includes("/")) refuse(`${DBUS}InvalidArgs`, `Image name '${name}' is invalid.`);
    if (name === ".host") busy(prefix);
    if (this.#images.some((known) => known.name === name)) exists(prefix);
  }

  #answer({ member, body = [] }: BusCall): unknown[] {
    const [name, second, third] = body;
    switch (member) {
      case "ListImages":
        return [this.#images.map((i) => [i.name, i.type, i.isReadOnly, i.created, i.modified, i.usage, PATH + i.name])];
      case "GetImage":
        return [PATH + this.#get(name).name];
      case "GetImageHostname":
        return [this.#look(name).hostname];
      case "GetImageMachineID":
        return [new Uint8Array(Buffer.from(this.#look(name).id, "hex"))];
      case "GetImageMachineInfo":
        this.#look(name);
        return [new Map()];
      case "GetImageOSRelease":
        return [new Map([["PRETTY_NAME", this.#look(name).os]])];
      case "CloneImage":
        return this.#clone(this.#get(name), String(second), third === true);
      case "RenameImage":
        return this.#rename(this.#get(name), String(second));
      case "RemoveImage":
        return this.#remove(this.#get(name));
      case "MarkImageReadOnly":
        this.#get(name).isReadOnly = second === true;
        return [];
      case "SetImageLimit":
        this.#get(name);
        return refuse(`${DBUS}NotSupported`, "Operation not supported");
      case "SetPoolLimit":
        return refuse(`${DBUS}NotSupported`, "Quota is only supported on btrfs.");
      case "CleanPool":
        return [this.#clean(name === "all")];
      default:
        return refuse(`${DBUS}UnknownMethod`, member);
    }
  }

  #look(name: unknown): FakeImage {
    const image = this.#get(name);
    return image.isInUse || image.type === "raw" ? busy("Failed to read image metadata: ") : image;
  }

  #clone(image: FakeImage, name: string, isReadOnly: boolean): unknown[] {
    this.#requireFree(name);
    const isTree = image.type === "directory";
    this.#images.push({
      ...image,
      name,
      path: `/var/lib/machines/${name}${isTree ? "" : ".raw"}`,
      isReadOnly: isReadOnly || name.startsWith("."),
      isInUse: false,
      created: isTree ? this.nowUsec : image.created,
      // systemd's copies have no holes.
      usage: isTree ? MAX : image.limit,
    });
    return [];
  }

  #rename(image: FakeImage, name: string): unknown[] {
    const prefix = "Failed to rename image: ";
    if (name.includes("/")) refuse(`${DBUS}InvalidArgs`, `Image name '${name}' is invalid.`);
    if (image.name === ".host") readOnly(prefix);
    if (image.isInUse) busy(prefix);
    this.#requireFree(name, prefix);
    image.name = name;
    return [];
  }

  #remove(image: FakeImage): unknown[] {
    if (image.name === ".host") readOnly();
    if (image.isInUse) busy();
    this.#images = this.#images.filter((other) => other !== image);
    return [];
  }

  #clean(all: boolean): unknown[] {
    const gone = this.#images
      .filter((i) => i.name !== ".host" && !i.isInUse && (all || i.name.startsWith(".")))
      .reverse();
    this.#images = this.#images.filter((image) => !gone.includes(image));
    return gone.map(({ name, usage }) => [name, usage]);
  }

  #properties(name: string): Map<string, Variant> {
    const image = this.#get(name);
    return new Map([
      ["Name", new Variant("s", image.name)],
      ["Path", new Variant("s", image.path)],
      ["Type", new Variant("s", image.type)],
      ["ReadOnly", new Variant("b", image.isReadOnly)],
      ["CreationTimestamp", new Variant("t", image.created)],
      ["ModificationTimestamp", new Variant("t", image.modified)],
      ["Usage", new Variant("t", image.usage)],
      ["Limit", new Variant("t", image.limit)],
      ["UsageExclusive", new Variant("t", image.usage)],
      ["LimitExclusive", new Variant("t", image.limit)],
    ]);
  }
}
