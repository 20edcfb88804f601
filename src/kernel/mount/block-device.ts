// The size and read-only flag of block devices: BLK* in linux/fs.h.
import { type Fd, ioctl } from "../file/fd.ts";
import { pinForever } from "../syscall/mem.ts";

const BLKROSET = 0x125d;
const BLKROGET = 0x125e;
const BLKGETSIZE64 = 0x8008_1272;
const number = pinForever(8);

/** Returns whether a block device is read-only. */
export function isBlockReadOnly(device: Fd): boolean {
  ioctl(device, BLKROGET, number);
  return number.view.getInt32(0, true) !== 0;
}

/** Sets or clears the read-only flag of a block device. */
export function setBlockReadOnly(device: Fd, readOnly: boolean): void {
  number.view.setInt32(0, readOnly ? 1 : 0, true);
  ioctl(device, BLKROSET, number);
}

/** Returns the size of a block device in bytes. */
export function blockDeviceBytes(device: Fd): bigint {
  ioctl(device, BLKGETSIZE64, number);
  return number.view.getBigUint64(0, true);
}
