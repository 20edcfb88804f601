// Loop devices: a part of a file as a block device, read-only, which goes when it is no longer used. See loop(4).
import { type Fd, ioctl, openPath } from "../file/fd.ts";
import { pinForever } from "../syscall/mem.ts";
import { isErrno, SyscallError } from "../syscall/sys.ts";

const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
const FLAG_READ_ONLY = 1;
const FLAG_AUTOCLEAR = 4;
/** Others take the free device between our asking for it and our taking it. */
const TRIES = 64;

// struct loop_config { 0 u32 fd; 4 u32 block_size; 8 struct loop_info64 { ... 24 u64 offset; 32 u64 sizelimit; ...
//   52 u32 flags; 56 file_name[64]; ... } 232 bytes; 240 u64 reserved[8]; } 304 bytes
const config = pinForever(304);
const INFO = 8;

interface LoopDevice extends Disposable {
  readonly path: string;
}

/** Shows `size` bytes (0: all) of `file` from `offset` on as a block device. It goes when it is closed and not mounted. */
export function attachLoop(file: Fd, offset: number, size: number): LoopDevice {
  using control = openPath("/dev/loop-control", "read");
  for (let tries = 1; ; tries++) {
    const path = `/dev/loop${ioctl(control, LOOP_CTL_GET_FREE)}`;
    const device = openPath(path, "read");
    if (configure(device, file, offset, size)) return { path, [Symbol.dispose]: () => device.close() };
    device.close();
    if (tries === TRIES) throw new SyscallError("loop", "EBUSY", path);
  }
}

function configure(device: Fd, file: Fd, offset: number, size: number): boolean {
  const { view, bytes } = config;
  bytes.fill(0);
  view.setUint32(0, file.number, true);
  view.setBigUint64(INFO + 24, BigInt(offset), true);
  view.setBigUint64(INFO + 32, BigInt(size), true);
  view.setUint32(INFO + 52, FLAG_READ_ONLY | FLAG_AUTOCLEAR, true);
  try {
    ioctl(device, LOOP_CONFIGURE, config);
    return true;
  } catch (error) {
    if (isErrno(error, "EBUSY")) return false;
    throw error;
  }
}
