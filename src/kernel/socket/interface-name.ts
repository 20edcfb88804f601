// Names of network interfaces in our own network namespace: netdevice(7).
import type { Fd } from "../file/fd.ts";
import { ENODEV, ENXIO } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";
import { datagramSocket } from "./unix.ts";

const SIOCGIFNAME = 0x8910;
const NAME_SIZE = 16;

// struct ifreq { 0 char ifr_name[16]; 16 int ifr_ifindex; ... } 40 bytes
const ifreq = pinForever(40);
let socket: Fd | null = null;

/** Returns the name of the interface with an index; null where there is none. */
export function interfaceName(ifindex: number): string | null {
  socket ??= datagramSocket();
  ifreq.bytes.fill(0);
  ifreq.view.setInt32(NAME_SIZE, ifindex, true);
  const result = trySys("ioctl", socket.number, SIOCGIFNAME, ifreq);
  if (result === ENODEV || result === ENXIO) return null;
  check(result, "ioctl");
  return ifreq.bytes.toString("utf8", 0, ifreq.bytes.indexOf(0));
}
