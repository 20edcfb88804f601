// Read-only loop devices for a part of a file, which the kernel removes when they are no longer used (autoclear). See
// loop(4).
import { type Fd, ioctl, openPath } from "../file/fd.ts";
import { pinForever } from "../syscall/mem.ts";
import { isErrno, SyscallError } from "../syscall/sys.ts";

const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
const FLAG_READ_ONLY = 1;
const FLAG_AUTOCLEAR = 4;
/** Another process may take the free device before we configure it, so several are tried. */
const TRIES = 64;

// struct loop_config { 0 u32 fd; 4 u32 block_size; 8 struct loop_info64 { ... 24 u64 offset; 32 u64 sizelimit; ...
//   52 u32 flags; 56 file_name[64]; ... } 232 bytes; 240 u64 reserved[8]; } 304 bytes
const config = pinForever(304);
const INFO = 8;

interface LoopDevice extends Disposable {
  readonly path: string;
}

/**
 * Returns a block device for `size` bytes (0: all) of `file` from `offset` on. It exists until it is disposed and not
 * mounted.
 */
export function attachLoop(file: Fd, offset: number, size: number): LoopDevice {
  using control = openPath("/dev/loop-control", "read");
  for (let tries = 1; ; tries++) {
    const path = `/dev/loop${ioctl(control, LOOP_CTL_GET_FREE)}`;
    using owner = new DisposableStack();
    const device = owner.use(openPath(path, "read"));
    if (configure(device, file, offset, size)) {
      owner.move();
      return { path, [Symbol.dispose]: () => device.close() };
    }
    if (tries === TRIES) throw new SyscallError("loop", "EBUSY", path);
  }
}

/** Configures a free loop device; returns false where another process has taken it. */
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
