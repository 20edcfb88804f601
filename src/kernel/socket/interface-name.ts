// Network interfaces of our own network by name and by number: netdevice(7).
import type { Fd } from "../file/fd.ts";
import { ENODEV, ENXIO } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";
import { datagramSocket } from "./unix.ts";

const SIOCGIFNAME = 0x8910;
const SIOCGIFINDEX = 0x8933;
const NAME_SIZE = 16;

// struct ifreq { 0 char ifr_name[16]; 16 int ifr_ifindex; ... } 40 bytes
const ifreq = pinForever(40);
let socket: Fd | null = null;

function ask(request: number): boolean {
  socket ??= datagramSocket();
  const result = trySys("ioctl", socket.number, request, ifreq);
  if (result === ENODEV || result === ENXIO) return false;
  check(result, "ioctl");
  return true;
}

/** The name of an interface, null when there is none with this number. */
export function interfaceName(ifindex: number): string | null {
  ifreq.bytes.fill(0);
  ifreq.view.setInt32(NAME_SIZE, ifindex, true);
  return ask(SIOCGIFNAME) ? ifreq.bytes.toString("utf8", 0, ifreq.bytes.indexOf(0)) : null;
}

/** The number of an interface, null when none has this name. */
export function interfaceIndex(name: string): number | null {
  const bytes = Buffer.from(name);
  if (bytes.length === 0 || bytes.length >= NAME_SIZE || bytes.includes(0)) return null;
  ifreq.bytes.fill(0);
  ifreq.bytes.set(bytes);
  return ask(SIOCGIFINDEX) ? ifreq.view.getInt32(NAME_SIZE, true) : null;
}
