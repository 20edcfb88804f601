// Copying with helper processes: the copy is the same, and their failures are failures of the copy.
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { socketPair } from "../../../src/kernel/socket/unix.ts";
import { type CopyHelpers, copyTree } from "../../../src/kernel/tree/copy.ts";
import { HELPER_FD, startCopyHelpers } from "../../../src/registry/image/copy-helpers.ts";
import { describeTree, makeEverything, run } from "../../kernel/tree-support.ts";
import { withoutDescriptors } from "../../lib/no-descriptors.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";

const base = mkdtempSync(join(tmpdir(), "copy-helpers-"));
afterAll(() => {
  Bun.spawnSync(["umount", "-l", join(base, "small")]);
  run("rm", "-rf", base);
});

const MAIN = join(import.meta.dir, "../../../src/main.ts");

const isRoot = process.geteuid?.() === 0;
const hasHelpers = isRoot && availableParallelism() > 1;
const helpersReason = hasHelpers ? "" : " (left out: needs root and two processors)";
const FILES = 4500;

const from = join(base, "from");
if (isRoot) {
  makeEverything(from);
  for (let i = 0; i < FILES; i++) {
    if (i % 100 === 0) mkdirSync(join(from, `d${i / 100}`));
    writeFileSync(join(from, `d${Math.floor(i / 100)}/f${i}`), `content ${i}`.repeat(i % 50));
  }
}

/** Copies `from`. No helpers are started on file systems where the kernel copies by sharing data (reflinks). */
function copy(to: string, startHelpers: () => CopyHelpers | null): { started: number } {
  mkdirSync(to, { recursive: true });
  using source = openPath(from, "directory");
  using target = openPath(to, "directory");
  const seen = { started: 0 };
  copyTree(source, target, {
    startHelpers: () => {
      seen.started++;
      return startHelpers();
    },
  });
  return seen;
}

test.skipIf(!hasHelpers)(
  `a copy with helpers equals the original tree${helpersReason}`,
  () => {
    const { started } = copy(join(base, "to"), startCopyHelpers);
    expect(describeTree(join(base, "to"))).toBe(describeTree(from));
    expect(started).toBeLessThanOrEqual(1);
    // Ended helpers stay children of this process until the event loop has reaped them.
    expect(
      Bun.spawnSync(["pgrep", "-P", String(process.pid), "-r", "R,S,D"])
        .stdout.toString()
        .trim(),
    ).toBe("");
  },
  GUARD_MS,
);

test.skipIf(!hasHelpers)(
  `a helper that cannot write makes the copy fail, with the name of the file${helpersReason}`,
  () => {
    mkdirSync(join(base, "small"));
    run("mount", "-t", "tmpfs", "-o", "size=18m,nr_inodes=10k", "tmpfs", join(base, "small"));
    writeFileSync(join(base, "small/ballast"), Buffer.alloc(1 << 20));
    expect(() => copy(join(base, "small/to"), startCopyHelpers)).toThrow(/"d\d+\/f\d+": No space left on device/);
  },
  GUARD_MS,
);

test.skipIf(!hasHelpers)(
  `a helper that is killed makes the copy fail${helpersReason}`,
  () => {
    const killed = (): CopyHelpers | null => {
      const helpers = startCopyHelpers();
      Bun.spawnSync(["pkill", "-KILL", "-P", String(process.pid)]);
      return helpers;
    };
    expect(() => copy(join(base, "killed"), killed)).toThrow("Cannot send after transport endpoint shutdown");
    // Files wait for helpers that are killed afterwards.
    const killedLater = (): CopyHelpers | null => {
      const helpers = startCopyHelpers();
      if (helpers === null) return null;
      const signal = (name: string) => Bun.spawnSync(["pkill", name, "-P", String(process.pid)]);
      signal("-STOP");
      return {
        offer: (entry, target, path) => helpers.offer(entry, target, path),
        finish: () => {
          signal("-KILL");
          helpers.finish();
        },
        stop: () => helpers.stop(),
      };
    };
    expect(() => copy(join(base, "later"), killedLater)).toThrow("Cannot send after transport endpoint shutdown");
  },
  GUARD_MS,
);

test.skipIf(!isRoot)(
  isRoot ? "a tree can be copied without helpers" : "a tree can be copied without helpers (left out: needs root)",
  () => {
    const { started } = copy(join(base, "alone"), () => null);
    expect(started).toBeLessThanOrEqual(1);
    expect(describeTree(join(base, "alone"))).toBe(describeTree(from));
  },
  GUARD_MS,
);

test.skipIf(!isRoot)("where no helper can be started, there are none", () => {
  const helpers = withoutDescriptors(() => {
    const started = startCopyHelpers();
    started?.stop();
    if (started !== null) throw new Error("A descriptor was free");
    return started;
  });
  expect(helpers).toBeNull();
});

test(
  "a helper whose worker was killed ends without a message",
  async () => {
    const [ours, theirs] = socketPair("seqpacket");
    ours.close();
    const stdio = ["ignore", "ignore", "pipe", ...Array(HELPER_FD - 3).fill("ignore"), theirs.number] as const;
    const child = Bun.spawn([process.execPath, MAIN, "machined-worker", "copy-helper"], { stdio: [...stdio] as never });
    theirs.close();
    const message = await new Response(child.stderr as unknown as ReadableStream).text();
    expect([await child.exited, message]).toEqual([1, ""]);
  },
  GUARD_MS,
);
