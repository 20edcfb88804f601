import { Image } from "../api/machine1.ts";
import { bindInterface } from "../ipc/bus-server.ts";
import { unsupported } from "../registry/registry.ts";
import type { MoreMethods } from "./bindings.ts";
import type { ImageObjects } from "./objects.ts";

const no = () => {
  throw unsupported();
};
export const later: MoreMethods = {
  manager: new Proxy(
    {},
    {
      get: () => no,
      ownKeys: () => MANAGER,
      getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true, value: no }),
    },
  ) as never,
  machine: new Proxy(
    {},
    {
      get: () => no,
      ownKeys: () => MACHINE,
      getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true, value: no }),
    },
  ) as never,
  pool: {
    PoolPath: () => "/var/lib/machines",
    PoolUsage: () => 0xffffffffffffffffn,
    PoolLimit: () => 0xffffffffffffffffn,
  },
};
const MANAGER = [
  "GetImage",
  "ListImages",
  "OpenMachinePTY",
  "OpenMachineLogin",
  "OpenMachineShell",
  "BindMountMachine",
  "CopyFromMachine",
  "CopyToMachine",
  "CopyFromMachineWithFlags",
  "CopyToMachineWithFlags",
  "OpenMachineRootDirectory",
  "RemoveImage",
  "RenameImage",
  "CloneImage",
  "MarkImageReadOnly",
  "GetImageHostname",
  "GetImageMachineID",
  "GetImageMachineInfo",
  "GetImageOSRelease",
  "SetPoolLimit",
  "SetImageLimit",
  "CleanPool",
];
const MACHINE = [
  "OpenPTY",
  "OpenLogin",
  "OpenShell",
  "BindMount",
  "CopyFrom",
  "CopyTo",
  "CopyFromWithFlags",
  "CopyToWithFlags",
  "OpenRootDirectory",
];
export const laterImages: ImageObjects = {
  bound: bindInterface(Image, {} as never, {} as never),
  find: () => null,
  names: () => [],
};
