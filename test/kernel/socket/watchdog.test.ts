import { expect, test } from "bun:test";
import { NotifyListener } from "../../../src/kernel/socket/notify-listener.ts";
import { Heartbeat } from "../../../src/kernel/socket/watchdog.ts";
import { reported, until } from "../support.ts";

test("after a heartbeat has come back through the poller, the next one can be sent", async () => {
  const heart = new Heartbeat();
  let beats = 0;
  await until(() => {
    if (heart.beat()) beats++;
    return beats >= 5;
  }, "five beats");
});

test("when the poller does not report the heartbeat, no second one is sent", async () => {
  const deaf = new Heartbeat(() => ({ stop: () => {}, [Symbol.dispose]: () => {} }));
  expect(deaf.beat()).toBe(true);
  for (let i = 0; i < 20; i++) {
    await reported();
    expect(deaf.beat()).toBe(false);
  }
});

test("WATCHDOG=1 is sent to the service manager", async () => {
  let fed = 0;
  using listener = new NotifyListener({ abstract: `watchdog-${process.pid}` }, ({ values }) => {
    if (values.get("WATCHDOG") === "1") fed++;
  });
  const child = Bun.spawn(
    [
      process.execPath,
      "-e",
      `const { feedWatchdog } = await import("${import.meta.dir}/../../../src/kernel/socket/watchdog.ts"); feedWatchdog();`,
    ],
    { env: { NOTIFY_SOCKET: listener.address, WATCHDOG_USEC: "20000" }, stdio: ["ignore", "ignore", "inherit"] },
  );
  await until(() => fed >= 3, "three times");
  child.kill("SIGKILL");
  await child.exited;
});
