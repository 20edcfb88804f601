// When an idle daemon exits.
import { expect, test } from "bun:test";
import { IdleExit, idleLimitMs } from "../../../src/daemon/idle-exit.ts";

test("I32 an idle daemon exits after 30 seconds where socket or bus activation starts it again", () => {
  expect(idleLimitMs(true, {})).toBe(30_000);
  expect(idleLimitMs(false, {})).toBe(null);
  for (const no of ["0", "no", "off", "False"]) expect(idleLimitMs(true, { SYSTEMD_EXIT_ON_IDLE: no })).toBe(null);
  expect(idleLimitMs(false, { MACHINED_IDLE_MS: "5" })).toBe(5);
});

test("a daemon that is busy or held does not exit, and is checked again later", async () => {
  const expired = Promise.withResolvers<void>();
  let isIdle = false;
  let stays = 0;
  const idle: IdleExit = new IdleExit({
    afterMs: 1,
    isIdle: () => isIdle,
    expired: () => expired.resolve(),
    stays: () => {
      stays++;
      isIdle = true;
      if (stays === 2) release();
    },
  });
  const release = idle.hold();
  idle.touch();
  await expired.promise;
  expect(stays).toBe(2);
});

test("without a time limit no timer is started", () => {
  const idle = new IdleExit({
    afterMs: null,
    isIdle: () => true,
    expired: () => expect.unreachable(),
    stays: () => expect.unreachable(),
  });
  idle.touch();
  idle.hold()();
  idle.stop();
});
