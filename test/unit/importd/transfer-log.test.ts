// The log of a worker that writes faster than the daemon reads.
import { expect, test } from "bun:test";
import { Transfer } from "../../../src/importd/transfer.ts";
import type { TransferPlan } from "../../../src/importd/worker-command.ts";

const BYTES = 2_000_000;
/** A turn reads 64 KiB at most. */
const LEAST_TURNS = 10;

test("other work has its turns while a worker fills its log", async () => {
  const transfer = new Transfer(1, {} as TransferPlan);
  const ended = Promise.withResolvers<string>();
  transfer.follow({ ended: (_transfer, result) => ended.resolve(result) });
  let turns = 0;
  let isOver = false;
  const count = () => {
    turns++;
    if (!isOver) setImmediate(count);
  };
  const args = ["-c", `yes | head -c ${BYTES} >&2`];
  transfer.start({ program: "sh", args }, {}, { executable: "/bin/sh" });
  // From the first line on: until then the worker starts.
  const end = transfer.follow({
    log: () => {
      end();
      count();
    },
  });
  expect(await ended.promise).toBe("done");
  isOver = true;
  expect(turns).toBeGreaterThan(LEAST_TURNS);
});

test("a worker that writes very much before it fails still says why", async () => {
  const transfer = new Transfer(1, {} as TransferPlan);
  const ended = Promise.withResolvers<string>();
  const texts: string[] = [];
  let leftOut = 0;
  transfer.follow({
    log: (_transfer, { text }) => {
      texts.push(text);
      leftOut += Number(/^(\d+) lines of the log were left out/.exec(text)?.[1] ?? 0);
    },
    ended: (_transfer, result) => ended.resolve(result),
  });
  const lines = 5000;
  const args = ["-c", `yes more | head -n ${lines - 1} >&2; echo '<27>the reason' >&2; exit 1`];
  transfer.start({ program: "sh", args }, {}, { executable: "/bin/sh" });
  expect(await ended.promise).toBe("failed");
  expect(texts.at(-1)).toBe("the reason");
  expect(texts.filter((text) => text === "more").length + leftOut).toBe(lines - 1);
});
