// System calls that only tests make.
import type { Fd } from "../../src/kernel/file/fd.ts";
import { bindUnix } from "../../src/kernel/socket/unix.ts";
import { CLONE_NEWNS } from "../../src/kernel/syscall/constants.ts";
import { pinForever, scratchString } from "../../src/kernel/syscall/mem.ts";
import { sys } from "../../src/kernel/syscall/sys.ts";

const MS_REC = 0x4000;
const MS_SLAVE = 1 << 19;
const CLONE_FS = 0x200;

/** Mounts a file system of `type`; `options` are those of the file system, separated by commas. */
export function mountFileSystem(type: string, source: string, target: string, options = ""): void {
  const data = options === "" ? 0 : scratchString(options);
  sys("mount", scratchString(source), scratchString(target), scratchString(type), 0, data);
}

/** Moves this thread to a new mount namespace, whose mounts are not visible on the host. */
export function unshareMountNamespace(): void {
  sys("unshare", CLONE_FS | CLONE_NEWNS);
  sys("mount", 0, scratchString("/"), 0, MS_REC | MS_SLAVE, 0);
}

/** Returns a stream socket that listens under an abstract name, which is given without its leading NUL. */
export function listenAbstract(name: string): Fd {
  const socket = bindUnix({ abstract: name }, "stream");
  sys("listen", socket.number, 16);
  return socket;
}

const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const option = pinForever(4);
const optionLength = pinForever(4);

/** Whether the socket listens for connections. */
export function isListening(socket: Fd): boolean {
  optionLength.view.setInt32(0, option.size, true);
  sys("getsockopt", socket.number, SOL_SOCKET, SO_ACCEPTCONN, option, optionLength);
  return option.view.getInt32(0, true) !== 0;
}
