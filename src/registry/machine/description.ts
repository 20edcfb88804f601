// The description of a machine: the fields beside its name, class and processes, and the bounds of each field. All
// transports and the state files use this type and this table. No text may contain control characters, which would
// affect terminals.
import { invalidArgument } from "../../base/error.ts";
import { isAbsolutePath } from "../../base/names.ts";

export interface MachineDescription {
  /** The program that manages the machine; "" for none. */
  readonly service: string;
  /** The directory of the host that is the machine's root; "" for none. */
  readonly rootDirectory: string;
  /** Indices on the host, as passed; never checked against existing links. */
  readonly networkInterfaces: readonly number[];
  readonly vsockCid: number;
  /** Where ssh(1) reaches the machine; "" for nowhere. */
  readonly sshAddress: string;
  readonly sshPrivateKeyPath: string;
  /** Varlink socket of the machine's own manager; "" for none. */
  readonly controlAddress: string;
}

export const VSOCK_CID_ANY = 0xffff_ffff;

/** The values of fields that a caller omits, or that are invalid in a state file. */
export const NO_DESCRIPTION: MachineDescription = {
  service: "",
  rootDirectory: "",
  networkInterfaces: [],
  vsockCid: VSOCK_CID_ANY,
  sshAddress: "",
  sshPrivateKeyPath: "",
  controlAddress: "",
};

/** The kernel's numbers of network interfaces are positive integers of 32 bits. */
const INTERFACE_INDEX_MAX = 0x7fff_ffff;
const INTERFACES_LIMIT = 1024;
const SERVICE_LIMIT_BYTES = 255;
const PATH_LIMIT_BYTES = 4095;
/** A host name with a scheme, or a path after one ("vsock/42", "unix/run/…"). */
const ADDRESS_LIMIT_BYTES = 4095;
const NAME_LIMIT_BYTES = 255;

const VSOCK_CID_MIN = 3;
const VSOCK_CID_MAX = 0xffff_fffe;

interface Bound<Value> {
  /** The name of the parameter, for callers. */
  readonly parameter: string;
  /** Returns what is wrong with a value, or null. */
  problemOf(value: Value): string | null;
}

/** The bounds of each field. The original checks network interfaces, root directory and VSOCK CID only. */
const BOUNDS: { readonly [Field in keyof MachineDescription]: Bound<MachineDescription[Field]> } = {
  service: textBound("service", "Service name", SERVICE_LIMIT_BYTES),
  rootDirectory: {
    parameter: "rootDirectory",
    problemOf: (path) => (isPathOrNone(path) ? null : "Root directory must be empty or an absolute path"),
  },
  networkInterfaces: { parameter: "ifIndices", problemOf: interfacesProblem },
  vsockCid: {
    parameter: "vSockCid",
    problemOf: (cid) => (cid === VSOCK_CID_ANY || isVsockCid(cid) ? null : "Invalid VSOCK CID"),
  },
  sshAddress: textBound("sshAddress", "SSH address", ADDRESS_LIMIT_BYTES),
  sshPrivateKeyPath: textBound("sshPrivateKeyPath", "SSH private key path", ADDRESS_LIMIT_BYTES),
  controlAddress: textBound("controlAddress", "Control address", ADDRESS_LIMIT_BYTES),
};

function textBound(parameter: string, what: string, limitBytes: number): Bound<string> {
  return {
    parameter,
    problemOf: (text) => (isText(text, limitBytes) ? null : `${what} is too long or contains control characters`),
  };
}

function isText(text: string, limitBytes: number): boolean {
  return Buffer.byteLength(text) <= limitBytes && !/\p{Cc}/u.test(text);
}

function isPathOrNone(text: string): boolean {
  return text === "" || (isAbsolutePath(text) && isText(text, PATH_LIMIT_BYTES) && !hasLongName(text));
}

function hasLongName(path: string): boolean {
  return path.split("/").some((name) => Buffer.byteLength(name) > NAME_LIMIT_BYTES);
}

function isInterfaceIndex(index: number): boolean {
  return Number.isInteger(index) && index >= 1 && index <= INTERFACE_INDEX_MAX;
}

function interfacesProblem(indices: readonly number[]): string | null {
  const bad = indices.find((index) => !isInterfaceIndex(index));
  if (bad !== undefined) return `Invalid network interface index ${bad}`;
  if (indices.length <= INTERFACES_LIMIT) return null;
  return `Too many network interfaces, at most ${INTERFACES_LIMIT} are accepted`;
}

/**
 * Whether a CID can be that of a machine: not that of the hypervisor, the loopback or the host, and not "any"
 * (vsock(7)).
 */
export function isVsockCid(cid: number): boolean {
  return Number.isInteger(cid) && cid >= VSOCK_CID_MIN && cid <= VSOCK_CID_MAX;
}

/**
 * Whether a text is short and without control characters; for fields of a state file that are not part of the
 * description.
 */
export function isShortText(text: string): boolean {
  return isText(text, ADDRESS_LIMIT_BYTES);
}

function problemOf<Field extends keyof MachineDescription>(
  field: Field,
  value: MachineDescription[Field],
): string | null {
  return BOUNDS[field].problemOf(value);
}

/** Throws InvalidArgs for the first of the fields that is out of bounds. */
export function requireBounds(description: MachineDescription, ...fields: (keyof MachineDescription)[]): void {
  for (const field of fields) {
    const problem = problemOf(field, description[field]);
    if (problem !== null) throw invalidArgument(BOUNDS[field].parameter, problem);
  }
}

/** Returns the description without fields that are out of bounds, and without invalid interface indices. */
export function withinBounds(description: MachineDescription): MachineDescription {
  const bounded = { ...description, networkInterfaces: description.networkInterfaces.filter(isInterfaceIndex) };
  bounded.networkInterfaces = bounded.networkInterfaces.slice(0, INTERFACES_LIMIT);
  for (const field of Object.keys(NO_DESCRIPTION) as (keyof MachineDescription)[]) {
    // A value that is missing in the file needs no check, which takes time for thousands of files.
    if (bounded[field] === NO_DESCRIPTION[field]) continue;
    if (problemOf(field, bounded[field]) !== null) Object.assign(bounded, { [field]: NO_DESCRIPTION[field] });
  }
  return bounded;
}

/** Returns the fields of the description from an object that has further fields. */
export function descriptionOf(whole: MachineDescription): MachineDescription {
  const { service, rootDirectory, networkInterfaces, vsockCid, sshAddress, sshPrivateKeyPath, controlAddress } = whole;
  return { service, rootDirectory, networkInterfaces, vsockCid, sshAddress, sshPrivateKeyPath, controlAddress };
}
