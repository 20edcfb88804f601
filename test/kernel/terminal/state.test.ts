import { expect, test } from "bun:test";
import { writeSome } from "../../../src/kernel/file/byte-io.ts";
import { makeRaw, openPty, openPtyPeer, restoreTerminal } from "../../../src/kernel/terminal/pty.ts";
import { inputMode, makeOutputRaw, sessionLeader } from "../../../src/kernel/terminal/state.ts";
import { MANY, received, until } from "../support.ts";

test("the terminal's input mode is read through the master", () => {
  const { master } = openPty();
  using _ = master;
  using peer = openPtyPeer(master);
  expect(inputMode(master)).toEqual({ isByLine: true, endOfFile: 4 });
  makeRaw(peer);
  expect(inputMode(master).isByLine).toBe(false);
});

test("the terminal's session is read through the master", async () => {
  const { master, path } = openPty();
  using _ = master;
  expect(sessionLeader(master)).toBeNull();
  await using shell = Bun.spawn(["setsid", "--ctty", "sleep", "100"], {
    stdio: [Bun.file(path), "ignore", "ignore"],
  });
  expect(await until(() => sessionLeader(master), "the session")).toBe(shell.pid);
  shell.kill("SIGKILL");
});

test("raw output does not change the input mode, and can be restored", async () => {
  const { master } = openPty();
  using _ = master;
  using peer = openPtyPeer(master);
  const before = makeOutputRaw(peer);
  writeSome(peer, Buffer.from("a\n"));
  expect(await received(master, 2)).toBe("a\n");
  expect(inputMode(master).isByLine).toBe(true);
  restoreTerminal(peer, before);
  writeSome(peer, Buffer.from("a\n"));
  expect(await received(master, 3)).toBe("a\r\n");
});

test("results stay correct in a hot loop", () => {
  const { master } = openPty();
  using _ = master;
  using peer = openPtyPeer(master);
  for (let i = 0; i < MANY; i++) {
    const { isByLine, endOfFile } = inputMode(master);
    if (!isByLine || endOfFile !== 4 || sessionLeader(master) !== null) throw new Error(`wrong in round ${i}`);
    if (i % 10 === 0) restoreTerminal(peer, makeOutputRaw(peer));
  }
});
