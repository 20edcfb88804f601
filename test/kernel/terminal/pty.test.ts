import { expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSome, writeSome } from "../../../src/kernel/file/byte-io.ts";
import { openPath, setNonblocking } from "../../../src/kernel/file/fd.ts";
import {
  getWindowSize,
  isTerminal,
  makeRaw,
  openPty,
  openPtyAt,
  openPtyPeer,
  restoreTerminal,
  setWindowSize,
  terminalSettings,
} from "../../../src/kernel/terminal/pty.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { MANY, received, rootTest, scratchDirectory, startNamespaced, targetOf } from "../support.ts";

const directory = scratchDirectory();

test("a pseudo terminal passes bytes, and has a size and a path", async () => {
  const { master, path } = openPty();
  using peer = openPtyPeer(master);
  expect(targetOf(peer.number)).toBe(path);
  expect([isTerminal(master), isTerminal(peer)]).toEqual([true, true]);
  setWindowSize(master, { rows: 25, columns: 81 });
  expect(getWindowSize(peer)).toEqual({ rows: 25, columns: 81 });
  writeSome(peer, Buffer.from("a\n"));
  expect(await received(master, 3)).toBe("a\r\n");
  using file = openPath("/dev/null", "read");
  expect(isTerminal(file)).toBe(false);
  expect(() => getWindowSize(file)).toThrow("Inappropriate ioctl");
  master.close();
});

test("raw mode passes every byte, and the settings can be restored", async () => {
  const { master } = openPty();
  using peer = openPtyPeer(master);
  setNonblocking(peer);
  const before = makeRaw(peer);
  writeSome(master, Buffer.from("\x03\r"));
  expect(await received(peer, 2)).toBe("\x03\r");
  writeSome(peer, Buffer.from("\n"));
  expect(await received(master, 1)).toBe("\n");
  restoreTerminal(peer, before);
  expect(terminalSettings(peer)).toEqual(before);
  makeRaw(peer, "keep-output");
  writeSome(peer, Buffer.from("\n"));
  expect(await received(master, 2)).toBe("\r\n");
  master.close();
  expect(readSome(peer)?.length).toBe(0);
});

rootTest("the terminal of a machine is on the machine's own devpts", async () => {
  const prepare = "mount -t devpts devpts /dev/pts -o newinstance,ptmxmode=0666";
  await using sleeping = await startNamespaced(["--mount", "--pid"], prepare);
  using multiplexer = openPath(`/proc/${sleeping.pid}/root/dev/pts/ptmx`, "path");
  const first = openPtyAt(multiplexer);
  expect(first.path).toBe("/dev/pts/0");
  using peer = openPtyPeer(first.master);
  writeSome(peer, Buffer.from("hello"));
  expect(await received(first.master, 5)).toBe("hello");
  first.master.close();
});

rootTest("a ptmx that is not a devpts multiplexer is refused", () => {
  const path = join(directory, "ptmx");
  const attempt = () => {
    using file = openPath(path, "path");
    openPtyAt(file);
  };
  writeFileSync(path, "");
  expect(attempt).toThrow("No such device");
  rmSync(path);
  expect(Bun.spawnSync(["mknod", path, "c", "5", "2"]).exitCode).toBe(0);
  expect(attempt).toThrow("No such device");
});

test(
  "terminals stay correct in a hot loop, and no descriptor stays open",
  () => {
    const before = openDescriptors();
    for (let i = 0; i < MANY / 10; i++) {
      const { master, path } = openPty();
      using peer = openPtyPeer(master);
      setWindowSize(peer, { rows: i % 1000, columns: i % 77 });
      const { rows, columns } = getWindowSize(master);
      if (rows !== i % 1000 || columns !== i % 77 || !path.startsWith("/dev/pts/")) throw new Error(`wrong at ${i}`);
      restoreTerminal(peer, makeRaw(peer));
      master.close();
    }
    const { master } = openPty();
    for (let i = 0; i < MANY; i++) {
      setWindowSize(master, { rows: i % 1000, columns: 80 });
      if (getWindowSize(master).rows !== i % 1000) throw new Error(`wrong size at ${i}`);
    }
    master.close();
    expectNothingLeft(before);
  },
  GUARD_MS,
);
