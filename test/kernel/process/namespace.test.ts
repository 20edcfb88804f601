import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import {
  namespaceId,
  sameNamespace,
  socketInNetworkOf,
  userNamespaceOwnerChain,
  withIdentity,
  withNetworkNamespace,
} from "../../../src/kernel/process/namespace.ts";
import { PidRef } from "../../../src/kernel/process/pidref.ts";
import { dumpAddresses, openAddressSocket } from "../../../src/kernel/socket/netlink.ts";
import { connectUnix } from "../../../src/kernel/socket/unix.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { listenAbstract } from "../../lib/kernel-calls.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { MANY, rootTest, scratchDirectory, startNamespaced } from "../support.ts";

const directory = scratchDirectory();

test("a process shares its own namespaces", () => {
  expect(sameNamespace(process.pid, "net")).toBe(true);
  expect(namespaceId(process.pid, "mnt")).toBe(namespaceId("self", "mnt"));
  expect(namespaceId("self", "net")).not.toBe(namespaceId("self", "user"));
  expect(userNamespaceOwnerChain(process.pid)).toEqual({ owners: [], reachedOwn: true });
});

rootTest("a function runs in another network namespace, and the thread returns to its own", async () => {
  await using sleeping = await startNamespaced(["--net"]);
  using process = PidRef.of(sleeping.pid);
  expect(sameNamespace(process.pid, "net")).toBe(false);
  const own = namespaceId("self", "net");
  const theirs = namespaceId(process.pid, "net");
  const name = `test-${process.pid}`;
  using listener = withNetworkNamespace(process, () => {
    expect(namespaceId("self", "net")).toBe(theirs);
    return listenAbstract(name);
  });
  expect(() => connectUnix({ abstract: name })).toThrow("Connection refused");
  withNetworkNamespace(process, () => connectUnix({ abstract: name })).close();
  expect(() =>
    withNetworkNamespace(process, () => {
      throw new Error("inside");
    }),
  ).toThrow("inside");
  expect(namespaceId("self", "net")).toBe(own);
  expect(listener.isOpen).toBe(true);
  using socket = openAddressSocket(process);
  expect(dumpAddresses(socket)).toEqual([]); // its loopback interface is down
});

rootTest(
  "entering and leaving stays correct in a hot loop, and no descriptor stays open",
  async () => {
    await using sleeping = await startNamespaced(["--net"]);
    using process = PidRef.of(sleeping.pid);
    const own = namespaceId("self", "net");
    const theirs = namespaceId(process.pid, "net");
    const before = openDescriptors();
    for (let i = 0; i < MANY; i++) {
      const inside = withNetworkNamespace(process, () => (i % 10 === 0 ? namespaceId("self", "net") : theirs));
      if (inside !== theirs) throw new Error(`not inside at ${i}`);
      if (i % 10 === 0 && namespaceId("self", "net") !== own) throw new Error(`not back at ${i}`);
      if (i % 100 === 0) socketInNetworkOf(process, 16, 3, 0).close();
    }
    expectNothingLeft(before);
  },
  GUARD_MS,
);

rootTest("a function runs with another identity and without privileges, and the thread gets both back", () => {
  const secret = join(directory, "secret");
  writeFileSync(secret, "for root", { mode: 0o600 });
  mkdirSync(join(directory, "open"), { mode: 0o777 });
  const status = () =>
    readFileSync("/proc/thread-self/status", "utf8")
      .match(/^(Uid|Gid|Groups|CapEff):.*$/gm)
      ?.join("\n");
  const before = status();
  const seen = withIdentity({ uid: 12345, gid: 54321 }, () => {
    expect(() => openPath(secret, "read")).toThrow("Permission denied");
    using own = openPath("/proc/self/fd", "directory");
    expect(own.isOpen).toBe(true);
    return readFileSync("/etc/hostname", "utf8").length;
  });
  expect(seen).toBeGreaterThan(0);
  expect(status()).toBe(before);
  openPath(secret, "read").close();
  expect(() =>
    withIdentity({ uid: 12345, gid: 54321 }, () => {
      throw new Error("inside");
    }),
  ).toThrow("inside");
  expect(status()).toBe(before);
  expect(withIdentity({ uid: 0, gid: 0 }, () => 5)).toBe(5);
});

rootTest(
  "switching identity stays correct in a hot loop",
  () => {
    const secret = join(directory, "secret-2");
    writeFileSync(secret, "for root", { mode: 0o600 });
    for (let i = 0; i < MANY; i++) {
      const denied = withIdentity({ uid: 1000 + (i % 50), gid: 1000 }, () => {
        try {
          openPath(secret, "read").close();
          return false;
        } catch {
          return true;
        }
      });
      if (!denied) throw new Error(`not switched at ${i}`);
      if (i % 10 === 0) openPath(secret, "read").close();
    }
  },
  GUARD_MS,
);

rootTest("the owners of nested user namespaces are returned from the inside out", async () => {
  await using sleeping = await startNamespaced(["--user", "--map-root-user"]);
  expect(userNamespaceOwnerChain(sleeping.pid)).toEqual({ owners: [0], reachedOwn: true });
  // unshare(1) executes the inner unshare without a fork, so that the child itself becomes the sleeper.
  const inner = ["--user", "--map-root-user", "unshare", "--user", "--map-root-user"];
  await using nested = await startNamespaced(inner);
  expect(userNamespaceOwnerChain(nested.pid)).toEqual({ owners: [0, 0], reachedOwn: true });
});
