import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import {
  listenFds,
  notify,
  notifyReady,
  notifyStopping,
  watchdogIntervalUsec,
} from "../../../src/kernel/socket/notify.ts";
import { type Notification, NotifyListener } from "../../../src/kernel/socket/notify-listener.ts";
import { bindUnix, receiveMessage } from "../../../src/kernel/socket/unix.ts";
import { pin } from "../../../src/kernel/syscall/mem.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { withoutDescriptors } from "../../lib/no-descriptors.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { reported, runScript, scratchDirectory, until } from "../support.ts";

const directory = scratchDirectory();
const into = pin(4096);

/** Runs `body` with these variables set (undefined: unset), and restores the environment. */
async function withEnvironment(
  values: Record<string, string | undefined>,
  body: () => void | Promise<void>,
): Promise<void> {
  const before = { ...process.env };
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  try {
    await body();
  } finally {
    for (const name of Object.keys(values)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
}

test("a listener at a path or an abstract name receives states and their sender", async () => {
  for (const address of [join(directory, "notify"), { abstract: `notify-${process.pid}` }]) {
    const seen: Notification[] = [];
    using listener = new NotifyListener(address, (one) => seen.push(one));
    if (typeof address === "string") expect(statSync(address).mode & 0o777).toBe(0o600);
    await withEnvironment({ NOTIFY_SOCKET: listener.address }, () => {
      using file = openPath("/dev/null", "read");
      expect(notify("READY=1\nSTATUS=a=b")).toBe(true);
      expect(notify("FDSTORE=1", [file])).toBe(true);
    });
    await until(() => seen.length === 2, "both messages");
    expect([...(seen[0]?.values ?? [])]).toEqual([
      ["READY", "1"],
      ["STATUS", "a=b"],
    ]);
    expect(seen[0]?.sender.pid).toBe(process.pid);
  }
});

test("without $NOTIFY_SOCKET nothing is sent; a socket that does not exist is an error", async () => {
  await withEnvironment({ NOTIFY_SOCKET: undefined }, () => expect(notify("READY=1")).toBe(false));
  await withEnvironment({ NOTIFY_SOCKET: "vsock:2:1" }, () => expect(notify("READY=1")).toBe(false));
  await withEnvironment({ NOTIFY_SOCKET: "/no/such" }, () => expect(() => notify("READY=1")).toThrow("No such file"));
});

test("the watchdog is fed, and the end is announced, while no descriptor is free", async () => {
  const seen: string[] = [];
  using listener = new NotifyListener({ abstract: `notify-full-${process.pid}` }, ({ values }) => {
    seen.push([...values].join());
  });
  await withEnvironment({ NOTIFY_SOCKET: listener.address }, () => {
    notify("READY=1");
    withoutDescriptors(() => {
      notify("WATCHDOG=1");
      notifyStopping("ends");
    });
  });
  await until(() => seen.length === 3, "the messages");
  expect(seen).toEqual(["READY,1", "WATCHDOG,1", "STOPPING,1,STATUS,ends"]);
  await withEnvironment({ NOTIFY_SOCKET: "/no/such" }, () => notifyStopping());
});

test("readiness is sent again where the service manager's queue is full; one that cannot be reached is no error", async () => {
  const name = `notify-busy-${process.pid}`;
  using manager = bindUnix({ abstract: name }, "datagram");
  let states = "";
  const read = () => {
    for (;;) {
      const received = receiveMessage(manager, into, 0);
      if (typeof received === "string") return;
      states += `${into.bytes.toString("latin1", 0, received.bytes)}\n`;
    }
  };
  await withEnvironment({ NOTIFY_SOCKET: `@${name}` }, async () => {
    let isFull = false;
    while (!isFull) isFull = !notify("WATCHDOG=1");
    notifyReady("Works");
    read();
    expect(states).not.toContain("READY");
    await until(() => {
      read();
      return states.endsWith("READY=1\nSTATUS=Works\n");
    }, "the message");
  });
  await withEnvironment({ NOTIFY_SOCKET: "/no/such" }, () => notifyReady());
  await withEnvironment({ NOTIFY_SOCKET: undefined }, () => notifyReady());
});

test("a callback that throws or closes its listener does not affect other listeners", async () => {
  let calls = 0;
  const before = openDescriptors();
  const listener = new NotifyListener({ abstract: `notify-once-${process.pid}` }, () => {
    calls++;
    listener.close();
  });
  await withEnvironment({ NOTIFY_SOCKET: listener.address }, () => {
    for (let i = 0; i < 5; i++) notify("X=1");
  });
  await until(() => calls > 0, "the first message");
  await reported();
  expect(calls).toBe(1);
  expectNothingLeft(before);
});

test("a sender that does not stop has as much of each turn of the event loop as in the first one", async () => {
  const COUNT = 20_000;
  let seen = 0;
  let turns = 0;
  using listener = new NotifyListener({ abstract: `notify-endless-${process.pid}` }, () => {
    seen++;
    notify("X=1");
  });
  await withEnvironment({ NOTIFY_SOCKET: listener.address }, async () => {
    for (let i = 0; i < 5; i++) notify("X=1");
    for (; seen < COUNT; turns++) await new Promise(setImmediate);
  });
  expect(turns).toBeGreaterThan(COUNT / 64 / 2);
});

test("inherited sockets are taken once, and only by the process that $LISTEN_PID names", async () => {
  await withEnvironment({ LISTEN_PID: String(process.pid + 1), LISTEN_FDS: "2", LISTEN_FDNAMES: "a:b" }, () => {
    expect(listenFds()).toEqual([]);
    expect(process.env["LISTEN_FDS"]).toBeUndefined();
  });
  const { stdout } = await runScript(`
    import { socketPair } from "./kernel/socket/unix.ts";
    import { listenUnix } from "./kernel/socket/unix.ts";
    const listener = listenUnix(${JSON.stringify(join(directory, "activated"))});
    const script = ${JSON.stringify(`
      process.env.LISTEN_PID = String(process.pid);
      const { listenFds } = await import("${join(import.meta.dir, "../../../src/kernel/socket/notify.ts")}");
      const { isListening } = await import("${join(import.meta.dir, "../../lib/kernel-calls.ts")}");
      const { sys } = await import("${join(import.meta.dir, "../../../src/kernel/syscall/sys.ts")}");
      for (const { fd, name } of listenFds()) console.log(fd.number, name, isListening(fd), sys("fcntl", fd.number, 1), process.env.LISTEN_FDNAMES);
      console.log(listenFds().length);
    `)};
    const child = Bun.spawn([process.execPath, "-e", script], {
      stdio: ["ignore", "inherit", "inherit", listener.number, listener.number],
      env: { LISTEN_FDS: "2", LISTEN_FDNAMES: "varlink:" },
    });
    await child.exited;
  `);
  expect(stdout).toBe("3 varlink true 1 undefined\n4 unknown true 1 undefined\n0\n");
});

test("the watchdog's interval counts only for the process that $WATCHDOG_PID names", async () => {
  await withEnvironment({ WATCHDOG_USEC: "3000000", WATCHDOG_PID: undefined }, () =>
    expect(watchdogIntervalUsec()).toBe(3e6),
  );
  await withEnvironment({ WATCHDOG_USEC: "3000000", WATCHDOG_PID: "1" }, () =>
    expect(watchdogIntervalUsec()).toBeNull(),
  );
  await withEnvironment({ WATCHDOG_USEC: undefined, WATCHDOG_PID: undefined }, () =>
    expect(watchdogIntervalUsec()).toBeNull(),
  );
  await withEnvironment({ WATCHDOG_USEC: "0", WATCHDOG_PID: undefined }, () =>
    expect(watchdogIntervalUsec()).toBeNull(),
  );
});

test(
  "notifications stay correct in a hot loop",
  async () => {
    let next = 0;
    let wrong = 0;
    using listener = new NotifyListener({ abstract: `notify-hot-${process.pid}` }, ({ values }) => {
      if (values.get("N") !== String(next++)) wrong++;
    });
    await withEnvironment({ NOTIFY_SOCKET: listener.address }, async () => {
      for (let sent = 0; sent < 20_000; ) {
        if (notify(`N=${sent}`)) sent++;
        else await new Promise(setImmediate);
      }
      await until(() => next === 20_000, "the last message");
    });
    expect(wrong).toBe(0);
  },
  GUARD_MS,
);
