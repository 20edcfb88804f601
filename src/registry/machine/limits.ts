// What a machine may say of itself, in one place for all transports and for state files: how long each text is, which
// numbers mean something. Control characters mean nothing in any of the texts, and do things to terminals.
import { isAbsolutePath } from "../../base/names.ts";

/** The kernel's numbers of network interfaces are positive integers of 32 bits. */
const INTERFACE_INDEX_MAX = 0x7fff_ffff;
export const INTERFACES_LIMIT = 1024;
const SERVICE_LIMIT_BYTES = 255;
const PATH_LIMIT_BYTES = 4095;
/** A host name with a scheme, or a path after one ("vsock/42", "unix/run/…"). */
const ADDRESS_LIMIT_BYTES = 4095;
const NAME_LIMIT_BYTES = 255;

const VSOCK_CID_MIN = 3;
const VSOCK_CID_MAX = 0xffff_fffe;

function isText(text: string, limitBytes: number): boolean {
  return Buffer.byteLength(text) <= limitBytes && !/\p{Cc}/u.test(text);
}

/** The name of the program that looks after a machine; "" where it has none. */
export function isServiceName(text: string): boolean {
  return isText(text, SERVICE_LIMIT_BYTES);
}

/** An absolute path, or "" for none. */
export function isPathOrNone(text: string): boolean {
  return text === "" || (isAbsolutePath(text) && isText(text, PATH_LIMIT_BYTES) && !hasLongName(text));
}

function hasLongName(path: string): boolean {
  return path.split("/").some((name) => Buffer.byteLength(name) > NAME_LIMIT_BYTES);
}

/** Where something listens; "" for nowhere. */
export function isAddressText(text: string): boolean {
  return isText(text, ADDRESS_LIMIT_BYTES);
}

export function isInterfaceIndex(index: number): boolean {
  return Number.isInteger(index) && index >= 1 && index <= INTERFACE_INDEX_MAX;
}

/** The number of one machine on VSOCK: not the ones of hypervisor, loopback and host, and not "any". */
export function isVsockCid(cid: number): boolean {
  return Number.isInteger(cid) && cid >= VSOCK_CID_MIN && cid <= VSOCK_CID_MAX;
}
