// A peer sends descriptors whose last close(2) blocks: this process is not blocked, whatever it does with them.
import { expect, test } from "bun:test";
import { join } from "node:path";
import { type Fd, openPath } from "../../../src/kernel/file/fd.ts";
import { refusesDescriptors } from "../../../src/kernel/socket/receive.ts";
import { SocketStream } from "../../../src/kernel/socket/stream.ts";
import {
  acceptPeer,
  connectUnix,
  listenUnix,
  refuseDescriptors,
  sendMessage,
} from "../../../src/kernel/socket/unix.ts";
import { SyscallError } from "../../../src/kernel/syscall/sys.ts";
import { havePrograms } from "../../lib/programs.ts";
import { mountSilent } from "../../lib/silent-file-system.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { isRoot, scratchDirectory, until } from "../support.ts";

const scratch = scratchDirectory();
const SENDER = join(import.meta.dir, "../../lib/waiting-descriptors.py");
/** Half of the time for which closing the descriptors would block. */
const LIMIT_MS = 30_000;
let count = 0;

type Way = "taken and closed" | "not wanted" | "refused" | "left" | "received by nobody";

/** What the receiver does with the descriptor that comes with the first byte. */
function streamOf(socket: Fd, way: Way, done: () => void): SocketStream {
  const stream = new SocketStream(
    socket,
    {
      data: (_bytes, fds) => {
        for (const fd of fds) fd.close();
        done();
      },
      ...(way === "left" && { left: () => done() }),
      end: () => done(),
    },
    { takesDescriptors: way === "taken and closed" || way === "received by nobody" ? 4 : 0 },
  );
  if (way === "received by nobody") stream.pause();
  return stream;
}

async function firstWord(output: ReadableStream<Uint8Array>): Promise<string> {
  return new TextDecoder().decode((await output.getReader().read()).value).trim();
}

async function receive(way: Way, args: readonly string[]): Promise<void> {
  const path = join(scratch, `socket-${count++}`);
  const arrived = Promise.withResolvers<void>();
  using listener = listenUnix(path);
  if (way === "refused") refuseDescriptors(listener);
  const sender = Bun.spawn(["python3", SENDER, path, ...args], { stdio: ["pipe", "pipe", "inherit"] });
  try {
    const socket = await until(() => acceptPeer(listener), "a connection");
    using stream = streamOf(socket, way, arrived.resolve);
    const said = await firstWord(sender.stdout);
    expect(said).toBeOneOf(way === "refused" ? ["sent", "refused"] : ["sent"]);
    const since = performance.now();
    if (way !== "received by nobody" && said === "sent") await arrived.promise;
    stream.close();
    await new Promise((resolve) => setImmediate(resolve));
    expect(performance.now() - since).toBeLessThan(LIMIT_MS);
  } finally {
    // If it has the file open, it can end only after the file system has.
    sender.kill("SIGKILL");
  }
}

test("a connection that was made after its listener refused descriptors is known to contain none", async () => {
  const path = join(scratch, `socket-${count++}`);
  using listener = listenUnix(path);
  using early = connectUnix(path);
  refuseDescriptors(listener);
  using late = connectUnix(path);
  using first = await until(() => acceptPeer(listener), "the early connection");
  using second = await until(() => acceptPeer(listener), "the late connection");
  expect(refusesDescriptors(first.number)).toBe(false);
  // The option exists since Linux 6.16.
  using file = openPath("/dev/null", "read");
  const isRefused = thrown(() => sendMessage(late, Buffer.of(1), [file])) === "EPERM";
  expect(refusesDescriptors(second.number)).toBe(isRefused);
  expect(thrown(() => sendMessage(early, Buffer.of(1), [file]))).toBe("");
});

/** The errno name of the error that is thrown; empty if none is. */
function thrown(work: () => unknown): string {
  try {
    work();
    return "";
  } catch (error) {
    return error instanceof SyscallError ? error.errnoName : String(error);
  }
}

const WAYS = ["taken and closed", "not wanted", "refused", "left", "received by nobody"] as const;
const hasPython = havePrograms("descriptors that wait", "python3");

for (const way of WAYS) {
  for (const kind of ["lingering", "nested"]) {
    const title = `a TCP socket that lingers${kind === "nested" ? ", within a unix socket" : ""}: ${way}`;
    test.skipIf(!hasPython)(
      hasPython ? title : `${title} (left out: no python3)`,
      () => receive(way, [kind]),
      GUARD_MS,
    );
  }
  const title = `a file whose file system does not answer: ${way}`;
  test.skipIf(!hasPython || !isRoot)(
    hasPython && isRoot ? title : `${title} (left out: needs root and python3)`,
    async () => {
      using silent = await mountSilent(join(scratch, `silent-${count++}`), "flush");
      await receive(way, ["file", join(silent.path, "image")]);
    },
    GUARD_MS,
  );
}
