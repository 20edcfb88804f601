// How machines, addresses and registrations look on D-Bus.

import { IMAGE_PATH, MACHINE_PATH } from "../../api/machine1.ts";
import { ErrnoError, invalidArgument } from "../../base/error.ts";
import { busLabelEscape } from "../../base/names.ts";
import type { Variant } from "../../base/variant.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import type { LocalAddress } from "../../kernel/socket/netlink.ts";
import { isVsockCid } from "../../registry/machine/limits.ts";
import { type Machine, VSOCK_CID_ANY } from "../../registry/machine/machine.ts";
import type { UnitProperty } from "../../registry/ports.ts";
import type { Registration } from "./register.ts";

const paths = new WeakMap<Machine, string>();

/** The object path of a machine. */
export function machinePath(machine: Machine): string {
  let path = paths.get(machine);
  if (path === undefined) {
    path = `${MACHINE_PATH}/${busLabelEscape(machine.name)}`;
    paths.set(machine, path);
  }
  return path;
}

/** The object path of an image. */
export function imagePath(name: string): string {
  return `${IMAGE_PATH}/${busLabelEscape(name)}`;
}

/** a(iay) */
export function addressRows(addresses: readonly LocalAddress[]): [number, Uint8Array][] {
  return addresses.map(({ family, bytes }) => [family, bytes]);
}

/** What only the newer calls can say is unset. */
const UNSET = {
  networkInterfaces: [],
  vsockCid: VSOCK_CID_ANY,
  sshAddress: "",
  sshPrivateKeyPath: "",
  controlAddress: "",
} as const;

/** The arguments of CreateMachine() and RegisterMachine(). */
export function registrationOf(args: {
  readonly name: string;
  readonly id: Uint8Array;
  readonly service: string;
  readonly class: string;
  readonly leader: number;
  readonly root_directory: string;
  readonly ifindices?: readonly number[];
}): Registration {
  return {
    ...UNSET,
    name: args.name,
    id: args.id,
    service: args.service,
    class: args.class,
    leader: { pid: args.leader },
    rootDirectory: args.root_directory,
    networkInterfaces: args.ifindices ?? [],
  };
}

/** A property of CreateMachineEx() or RegisterMachineEx(): its signature, and where its value goes. */
const EX_PROPERTIES: Readonly<Record<string, string>> = {
  Id: "ay",
  Service: "s",
  Class: "s",
  LeaderPID: "u",
  LeaderPIDFD: "h",
  LeaderPIDFDID: "t",
  RootDirectory: "s",
  NetworkInterfaces: "ai",
  VSockCID: "u",
  SSHAddress: "s",
  SSHPrivateKeyPath: "s",
};

/** The arguments of CreateMachineEx() and RegisterMachineEx(). Throws InvalidArgs for an unknown or ill-typed key. */
export function registrationFromProperties(
  name: string,
  properties: readonly (readonly [string, Variant])[],
): Registration {
  const values = new Map<string, unknown>();
  for (const [key, variant] of properties) {
    if (!Object.hasOwn(EX_PROPERTIES, key)) throw invalidArgument("properties", `Unknown property '${key}'`);
    if (EX_PROPERTIES[key] !== variant.signature) {
      throw invalidArgument("properties", `Property '${key}' has the type '${variant.signature}'`);
    }
    values.set(key, variant.value);
  }
  const text = (key: string) => (values.get(key) as string | undefined) ?? "";
  const cid = values.get("VSockCID") as number | undefined;
  if (cid !== undefined && !isVsockCid(cid)) {
    throw invalidArgument("properties", `Invalid VSOCK CID ${cid}`);
  }
  return {
    name,
    id: (values.get("Id") as Uint8Array | undefined) ?? new Uint8Array(0),
    service: text("Service"),
    class: text("Class"),
    leader: leaderOf(values),
    rootDirectory: text("RootDirectory"),
    networkInterfaces: (values.get("NetworkInterfaces") as number[] | undefined) ?? [],
    vsockCid: cid ?? VSOCK_CID_ANY,
    sshAddress: text("SSHAddress"),
    sshPrivateKeyPath: text("SSHPrivateKeyPath"),
    controlAddress: "",
  };
}

/** A pidfd wins; a number needs the pidfd's inode beside it, because it may be another process's by now. */
function leaderOf(values: ReadonlyMap<string, unknown>): Registration["leader"] {
  const pid = values.get("LeaderPID") as number | undefined;
  const pidfd = values.get("LeaderPIDFD") as Fd | undefined;
  const pidfdId = values.get("LeaderPIDFDID") as bigint | undefined;
  if (pidfd === undefined && (pid === undefined) !== (pidfdId === undefined)) {
    throw new ErrnoError("EINVAL", "LeaderPID and LeaderPIDFDID need each other");
  }
  return { pid: pid ?? 0, pidfd, pidfdId };
}

/** a(sv) → what the service manager takes verbatim. */
export function unitProperties(rows: readonly (readonly [string, Variant])[]): UnitProperty[] {
  return rows.map(([name, { signature, value }]) => [name, signature, value]);
}
