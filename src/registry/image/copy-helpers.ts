// Copying on several processors: helper processes copy the contents of files that the process that walks the tree has
// created. They get open files, never paths, so that no path can be replaced meanwhile. Each has a socket, which
// carries the files to the helper and at the end its report back (src/worker/operations/copy-helper.ts).
import { availableParallelism } from "node:os";
import { errnoNameOf } from "../../base/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { type Child, spawnSelf } from "../../kernel/process/spawn.ts";
import { endWriting, waitReadable } from "../../kernel/socket/blocking.ts";
import { receiveMessage, sendDatagram, setSocketBuffers, socketPair } from "../../kernel/socket/unix.ts";
import { type Pinned, pin } from "../../kernel/syscall/mem.ts";
import { isErrno, SyscallError } from "../../kernel/syscall/sys.ts";
import type { CopyHelpers } from "../../kernel/tree/copy.ts";

/** The number of the descriptor of a helper's socket. */
export const HELPER_FD = 4;

/** The report of a helper at its end; without an errno it succeeded. */
export interface HelperReport {
  readonly errno?: string;
  readonly path?: string;
}

const MOST_HELPERS = 3;
/**
 * The size of a helper's queue of files: long enough that the helper never waits, short enough that small files do not
 * wait behind large ones.
 */
const QUEUE_BYTES = 16 << 10;
const PATH_MAX_BYTES = 2048;
const SIGKILL = 9;

interface Helper {
  readonly socket: Fd;
  readonly child: Child;
}

/**
 * Starts a helper for each processor but one; fewer where the kernel refuses further processes. Returns null where
 * there are none: the copy is made without them.
 */
export function startCopyHelpers(): CopyHelpers | null {
  const count = Math.min(availableParallelism() - 1, MOST_HELPERS);
  const helpers: Helper[] = [];
  try {
    while (helpers.length < count) helpers.push(startHelper());
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
  }
  return helpers.length === 0 ? null : new Helpers(helpers);
}

function startHelper(): Helper {
  const [socket, theirs] = socketPair("seqpacket");
  try {
    setSocketBuffers(socket, QUEUE_BYTES);
    const options = { fds: { [HELPER_FD]: theirs }, stdout: "ignore", signalWithParent: SIGKILL } as const;
    return { socket, child: spawnSelf("machined-worker", ["copy-helper"], options) };
  } catch (error) {
    socket.close();
    throw error;
  } finally {
    theirs.close();
  }
}

class Helpers implements CopyHelpers {
  readonly #helpers: readonly Helper[];
  readonly #answer = pin(8192);
  #next = 0;

  constructor(helpers: readonly Helper[]) {
    this.#helpers = helpers;
  }

  offer(entry: Fd, target: Fd, path: string): boolean {
    const text = Buffer.from(path).subarray(0, PATH_MAX_BYTES);
    for (let tries = 0; tries < this.#helpers.length; tries++) {
      const { socket } = this.#helpers[this.#next] as Helper;
      this.#next = (this.#next + 1) % this.#helpers.length;
      if (send(socket, text, [entry, target])) return true;
    }
    return false;
  }

  finish(): void {
    for (const { socket } of this.#helpers) endWriting(socket);
    for (const { socket } of this.#helpers) this.#collect(socket);
  }

  #collect(socket: Fd): void {
    waitReadable(socket);
    const received = receive(socket, this.#answer);
    if (typeof received === "string") throw new SyscallError("copy", "ESHUTDOWN");
    const report = JSON.parse(this.#answer.bytes.toString("utf8", 0, received.bytes)) as HelperReport;
    if (report.errno !== undefined) throw new SyscallError("copy", report.errno, report.path);
  }

  stop(): void {
    for (const { socket, child } of this.#helpers) {
      child.kill(SIGKILL);
      child.pidRef?.[Symbol.dispose]();
      socket.close();
    }
  }
}

/** A helper that was killed while files waited for it has reset its connection. */
function receive(socket: Fd, into: Pinned): ReturnType<typeof receiveMessage> {
  try {
    return receiveMessage(socket, into);
  } catch (error) {
    if (isErrno(error, "ECONNRESET")) return "end";
    throw error;
  }
}

/** A helper that has failed takes no more files; its error is read at the end. */
function send(socket: Fd, text: Uint8Array, fds: readonly Fd[]): boolean {
  try {
    return sendDatagram(socket, text.length === 0 ? Buffer.from("?") : text, fds);
  } catch (error) {
    if (isErrno(error, "EPIPE", "ECONNRESET", "ENOTCONN")) return false;
    throw error;
  }
}
