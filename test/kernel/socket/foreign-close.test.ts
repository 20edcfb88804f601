// Closing descriptors while the last close(2) of another file blocks.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { openPipe } from "../../../src/kernel/process/pipe.ts";
import { closeForeign } from "../../../src/kernel/socket/foreign-close.ts";
import { acceptPeer, listenUnix, receiveMessage, socketPair } from "../../../src/kernel/socket/unix.ts";
import { SOL_SOCKET } from "../../../src/kernel/syscall/constants.ts";
import { pinForever } from "../../../src/kernel/syscall/mem.ts";
import { sys } from "../../../src/kernel/syscall/sys.ts";
import { descriptorsTo } from "../../lib/descriptors.ts";
import { havePrograms } from "../../lib/programs.ts";
import { mountSilent } from "../../lib/silent-file-system.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { isRoot, scratchDirectory, until } from "../support.ts";

const scratch = scratchDirectory();
const hasPython = havePrograms("descriptors that wait", "python3");
const left = hasPython && isRoot ? "" : " (left out: needs root and python3)";
const byte = pinForever(8);

/** Closes one end of a pair; resolves when the other end has received the end. */
async function closeSocket(): Promise<void> {
  const [ours, theirs] = socketPair();
  using _ours = ours;
  closeForeign(theirs.take());
  await until(() => (receiveMessage(ours, byte) === "end" ? true : null), "the end of a socket");
}

describe.skipIf(left !== "")(`beside a file that does not answer${left}`, () => {
  test(
    "sockets, pipes and files on a disk are closed at once",
    async () => {
      using silent = await mountSilent(join(scratch, "silent"), "flush");
      closeForeign(openPath(join(silent.path, "image"), "read").take());
      await silent.asked;
      await closeSocket();
      const [read, write] = openPipe();
      using _read = read;
      closeForeign(write.take());
      expect(sys("read", read.number, byte, 1)).toBe(0);
      const own = join(scratch, "file");
      await Bun.write(own, "text");
      closeForeign(openPath(own, "read").take());
      expect(descriptorsTo(own)).toBe(0);
    },
    GUARD_MS,
  );
});

test.skipIf(!hasPython)(
  `a lingering socket in another socket's queue does not delay other closes${hasPython ? "" : " (left out: no python3)"}`,
  async () => {
    const path = join(scratch, "socket");
    using listener = listenUnix(path);
    const script = join(import.meta.dir, "../../lib/waiting-descriptors.py");
    const sender = Bun.spawn(["python3", script, path, "nested"], { stdio: ["pipe", "pipe", "inherit"] });
    try {
      using connection = await until(() => acceptPeer(listener), "a connection");
      expect(new TextDecoder().decode((await sender.stdout.getReader().read()).value)).toStartWith("sent");
      const received = receiveMessage(connection, byte, 1);
      if (typeof received === "string") throw new Error(received);
      const since = performance.now();
      for (const fd of received.fds) fd.close();
      for (let i = 0; i < 20; i++) await closeSocket();
      expect(performance.now() - since).toBeLessThan(30_000); // its close would block for a minute
    } finally {
      sender.kill("SIGKILL");
    }
  },
  GUARD_MS,
);

test("closing a received socket does not change the sender's SO_LINGER", async () => {
  const SO_LINGER = 13;
  const [ours, theirs] = socketPair();
  using _theirs = theirs;
  byte.view.setInt32(0, 1, true);
  byte.view.setInt32(4, 60, true);
  sys("setsockopt", theirs.number, SOL_SOCKET, SO_LINGER, byte, 8);
  closeForeign(theirs.duplicate().take());
  await closeSocket();
  const size = pinForever(4);
  size.view.setUint32(0, 8, true);
  byte.view.setBigUint64(0, 0n);
  sys("getsockopt", theirs.number, SOL_SOCKET, SO_LINGER, byte, size);
  expect([byte.view.getInt32(0, true), byte.view.getInt32(4, true)]).toEqual([1, 60]);
  ours.close();
});

test("a thousand sockets are closed by a few child processes", async () => {
  const ends = Array.from({ length: 1000 }, () => {
    const [ours, theirs] = socketPair();
    closeForeign(theirs.take());
    return ours;
  });
  for (const ours of ends) {
    await until(() => (receiveMessage(ours, byte) === "end" ? true : null), "the end of a socket");
    ours.close();
  }
});
