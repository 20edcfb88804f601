// The request to register a machine: one type, and its mapping from the arguments of D-Bus, from the properties of
// D-Bus, and from the parameters of Varlink. register.ts checks it.
import type { IoSystemdMachine } from "../../api/varlink/io-systemd-machine.ts";
import type { VarlinkParameters } from "../../api/varlink-table.ts";
import { errnoText } from "../../base/errno.ts";
import { ErrnoError, invalidArgument } from "../../base/error.ts";
import { formatId, parseId } from "../../base/id128.ts";
import type { Variant } from "../../base/variant.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { isVsockCid, type MachineDescription, NO_DESCRIPTION } from "../../registry/machine/description.ts";
import { bootId } from "./boot-id.ts";

/**
 * The leader as a caller names it: by pidfd (which register.ts owns), by PID with or without the pidfd's inode, or
 * itself (PID 0).
 */
export interface LeaderName {
  readonly pid: number;
  readonly pidfd?: Fd | undefined;
  readonly pidfdId?: bigint | undefined;
}

export interface Registration extends MachineDescription {
  readonly name: string;
  /** 16 bytes, or none. */
  readonly id: Uint8Array;
  readonly class: string;
  readonly leader: LeaderName;
}

const NO_ID = new Uint8Array(0);

/** Returns the registration for the arguments of CreateMachine() and RegisterMachine(). */
export function fromArguments(args: {
  readonly name: string;
  readonly id: Uint8Array;
  readonly service: string;
  readonly class: string;
  readonly leader: number;
  readonly root_directory: string;
  readonly ifindices?: readonly number[];
}): Registration {
  return {
    ...NO_DESCRIPTION,
    name: args.name,
    id: args.id,
    service: args.service,
    class: args.class,
    leader: { pid: args.leader },
    rootDirectory: args.root_directory,
    networkInterfaces: args.ifindices ?? NO_DESCRIPTION.networkInterfaces,
  };
}

/** The properties of CreateMachineEx() and RegisterMachineEx(), with their signatures. */
const PROPERTIES: Readonly<Record<string, string>> = {
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

function valuesOf(properties: readonly (readonly [string, Variant])[]): ReadonlyMap<string, unknown> {
  const values = new Map<string, unknown>();
  for (const [key, variant] of properties) {
    if (!Object.hasOwn(PROPERTIES, key)) throw invalidArgument("properties", `Unknown property '${key}'`);
    if (PROPERTIES[key] !== variant.signature) {
      throw invalidArgument("properties", `Property '${key}' has the type '${variant.signature}'`);
    }
    values.set(key, variant.value);
  }
  return values;
}

/**
 * Returns the registration for the arguments of CreateMachineEx() and RegisterMachineEx(). Throws InvalidArgs for an
 * unknown or ill-typed key.
 */
export function fromProperties(name: string, properties: readonly (readonly [string, Variant])[]): Registration {
  const values = valuesOf(properties);
  const text = (key: string) => (values.get(key) as string | undefined) ?? "";
  const vsockCid = (values.get("VSockCID") as number | undefined) ?? NO_DESCRIPTION.vsockCid;
  if (values.has("VSockCID") && !isVsockCid(vsockCid)) {
    throw invalidArgument("properties", `Invalid VSOCK CID ${vsockCid}`);
  }
  return {
    name,
    id: (values.get("Id") as Uint8Array | undefined) ?? NO_ID,
    service: text("Service"),
    class: text("Class"),
    leader: leaderOfProperties(values),
    rootDirectory: text("RootDirectory"),
    networkInterfaces: (values.get("NetworkInterfaces") as number[] | undefined) ?? NO_DESCRIPTION.networkInterfaces,
    vsockCid,
    sshAddress: text("SSHAddress"),
    sshPrivateKeyPath: text("SSHPrivateKeyPath"),
    controlAddress: NO_DESCRIPTION.controlAddress,
  };
}

/**
 * Returns the leader: by its pidfd where there is one; else by PID and the pidfd's inode, since a PID alone may be
 * reused.
 */
function leaderOfProperties(values: ReadonlyMap<string, unknown>): LeaderName {
  const pid = values.get("LeaderPID") as number | undefined;
  const pidfd = values.get("LeaderPIDFD") as Fd | undefined;
  const pidfdId = values.get("LeaderPIDFDID") as bigint | undefined;
  const isCaller = pid === 0 && pidfdId === undefined;
  if (pidfd === undefined && !isCaller && (pid === undefined) !== (pidfdId === undefined)) {
    throw new ErrnoError("EINVAL", "LeaderPID and LeaderPIDFDID need each other");
  }
  return { pid: pid ?? 0, pidfd, pidfdId };
}

type Parameters = VarlinkParameters<typeof IoSystemdMachine, "Register">;

/**
 * Returns the registration for the parameters of Register() over Varlink. As in 262, `supervisor` and
 * `supervisorProcessId` are ignored: the supervisor is the caller, since terminating the machine sends SIGTERM to that
 * process.
 */
export function fromVarlink(p: Parameters): Registration {
  const id = p.id === undefined ? null : parseId(p.id);
  if (id === undefined) throw invalidArgument("id", "Invalid machine ID parameter");
  return {
    name: p.name,
    id: id ?? NO_ID,
    service: p.service ?? NO_DESCRIPTION.service,
    class: p.class,
    leader: leaderOfVarlink(p),
    rootDirectory: p.rootDirectory ?? NO_DESCRIPTION.rootDirectory,
    networkInterfaces: (p.ifIndices ?? NO_DESCRIPTION.networkInterfaces).map(Number),
    vsockCid: Number(p.vSockCid ?? NO_DESCRIPTION.vsockCid),
    sshAddress: p.sshAddress ?? NO_DESCRIPTION.sshAddress,
    sshPrivateKeyPath: p.sshPrivateKeyPath ?? NO_DESCRIPTION.sshPrivateKeyPath,
    controlAddress: p.controlAddress ?? NO_DESCRIPTION.controlAddress,
  };
}

/**
 * Returns the leader. `leader` and `leaderProcessId` must agree, and name a process: a caller whose variable is not set
 * must not become the leader. Without both, it is the caller.
 */
function leaderOfVarlink({ leader, leaderProcessId }: Parameters): LeaderName {
  const byNumber = leader === undefined ? undefined : pidOf(leader, "leader");
  if (byNumber === 0) throw invalidArgument("leader", "Invalid leader PID");
  if (leaderProcessId === undefined) return { pid: byNumber ?? 0 };
  const pid = pidOf(leaderProcessId, "leaderProcessId");
  if (pid === 0) throw invalidArgument("leaderProcessId", "Invalid leader PID");
  if (byNumber !== undefined && byNumber !== pid) throw invalidArgument("leader", "Invalid leader PID");
  const id = typeof leaderProcessId === "object" ? leaderProcessId.pidfdId : undefined;
  return { pid, pidfdId: id === undefined ? undefined : BigInt(id) };
}

/**
 * Returns the PID of a process that a caller names over Varlink in that field: by a plain number, or a ProcessId.
 * Throws InvalidArgs; `ESRCH` for a process of another boot or host, whose number is another process's here.
 */
export function pidOf(id: NonNullable<Parameters["leader"] | Parameters["leaderProcessId"]>, field: string): number {
  const pid = Number(typeof id === "object" ? id.pid : id);
  if (!Number.isInteger(pid) || pid < 0 || pid > 0x7fff_ffff) throw invalidArgument(field, "Invalid process");
  const boot = typeof id === "object" && id.bootId !== undefined ? parseId(id.bootId) : null;
  if (boot === undefined) throw invalidArgument(field, "Invalid boot ID");
  if (boot !== null && formatId(boot) !== bootId()) throw new ErrnoError("ESRCH", errnoText("ESRCH"));
  return pid;
}
