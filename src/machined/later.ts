import { unsupported } from "../registry/registry.ts";
import type { MoreMethods } from "./bindings.ts";

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
  "OpenMachineLogin",
  "OpenMachineShell",
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
const MACHINE: string[] = [];
