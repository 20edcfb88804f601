import { expect } from "bun:test";
import { hostname } from "node:os";
import { hostNameOf } from "../../../src/kernel/process/host-name.ts";
import { namespaceId } from "../../../src/kernel/process/namespace.ts";
import { PidRef } from "../../../src/kernel/process/pidref.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { MANY, rootTest, startNamespaced } from "../support.ts";

rootTest("the host name of another process is read, and the thread returns to its own namespace", async () => {
  await using sleeping = await startNamespaced(["--uts"]);
  using process = PidRef.of(sleeping.pid);
  const own = namespaceId("self", "uts");
  const named = Bun.spawnSync(["nsenter", `--uts=/proc/${sleeping.pid}/ns/uts`, "hostname", "inner-name"]);
  expect(named.exitCode).toBe(0);
  expect(hostNameOf(process)).toBe("inner-name");
  expect(namespaceId("self", "uts")).toBe(own);
  using self = PidRef.self();
  expect(hostNameOf(self)).toBe(hostname());
});

rootTest("every call returns the same name, and no descriptor stays open", async () => {
  await using sleeping = await startNamespaced(["--uts"]);
  using process = PidRef.of(sleeping.pid);
  const name = hostNameOf(process);
  const before = openDescriptors();
  for (let i = 0; i < MANY / 10; i++) if (hostNameOf(process) !== name) throw new Error(`another name at call ${i}`);
  expectNothingLeft(before);
});

rootTest("a process that has ended has no host name", async () => {
  const child = Bun.spawn(["true"]);
  using process = PidRef.of(child.pid);
  await child.exited;
  expect(hostNameOf(process)).toBeNull();
});
