// The caller's terminals in raw mode.
import { expect, test } from "bun:test";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OwnTerminal } from "../../../../src/cli/terminal/pty-terminal.ts";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { openPtyAt, openPtyPeer, terminalSettings } from "../../../../src/kernel/terminal/pty.ts";

/** A devpts of its own, whose first terminal has number 0. */
class OwnDevpts implements Disposable {
  readonly #path = mkdtempSync(join(tmpdir(), "devpts-test-"));
  readonly isMounted = Bun.spawnSync([
    "mount",
    "-t",
    "devpts",
    "-o",
    "newinstance,ptmxmode=666",
    "none",
    this.#path,
  ]).success;

  open() {
    using multiplexer = openPath(join(this.#path, "ptmx"), "path");
    const { master } = openPtyAt(multiplexer);
    return { master, terminal: openPtyPeer(master) };
  }

  [Symbol.dispose](): void {
    if (this.isMounted) Bun.spawnSync(["umount", "--lazy", this.#path]);
    rmdirSync(this.#path);
  }
}

const canMount = (() => {
  using devpts = new OwnDevpts();
  return devpts.isMounted;
})();

/** The settings of a terminal as text, for comparison. */
const modesOf = (terminal: Parameters<typeof terminalSettings>[0]) => JSON.stringify(terminalSettings(terminal));

test.skipIf(!canMount)(
  `terminals of two devpts with the same number are treated as different terminals${canMount ? "" : " (left out: needs permission to mount)"}`,
  () => {
    using one = new OwnDevpts();
    using other = new OwnDevpts();
    const [input, output] = [one.open(), other.open()];
    const before = modesOf(output.terminal);
    const own = new OwnTerminal(input.terminal.duplicate(), output.terminal.duplicate(), {});
    own.makeRaw();
    expect(modesOf(output.terminal)).not.toBe(before);
    own[Symbol.dispose]();
    expect(modesOf(output.terminal)).toBe(before);
    for (const { master, terminal } of [input, output]) {
      terminal.close();
      master.close();
    }
  },
);
