// System calls that another process makes, with our memory and descriptors.
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { Fd } from "../../../src/kernel/file/fd.ts";
import { CallApart } from "../../../src/kernel/syscall/apart.ts";
import { AT_FDCWD } from "../../../src/kernel/syscall/constants.ts";
import { cstring } from "../../../src/kernel/syscall/mem.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";

setDefaultTimeout(GUARD_MS);

const APART = join(import.meta.dir, "../../../src/kernel/syscall/apart.ts");

function ended(call: CallApart | null): CallApart {
  if (call === null) throw new Error("no process");
  expect(call.hasEnded(GUARD_MS)).toBe(true);
  return call;
}

test("a descriptor that the process opens is ours, and an error is its result", () => {
  for (let i = 0; i < 1000; i++) {
    const { result = -1 } = ended(CallApart.begin("openat", AT_FDCWD, cstring("/"), 0));
    using directory = Fd.adopt(result);
    expect(directory.isOpen).toBe(true);
  }
  expect(ended(CallApart.begin("openat", AT_FDCWD, cstring("/no/such"), 0)).result).toBe(-2);
});

test("a call that waits can be killed, and then has no result", () => {
  // No descriptor and no time limit: it waits for a signal.
  const call = CallApart.begin("ppoll", 0, 0, 0, 0);
  expect(call?.hasEnded(1)).toBe(false);
  call?.kill();
  expect(ended(call).result).toBeUndefined();
});

test("the process ends with ours, also where that is killed", async () => {
  const script = `import { CallApart } from ${JSON.stringify(APART)};
const call = CallApart.begin("ppoll", 0, 0, 0, 0);
console.log(call.hasEnded(1));
process.kill(process.pid, "SIGKILL");`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  // Standard output is open as long as one of the two processes has it.
  expect(await child.stdout.text()).toBe("false\n");
});

test("the process ends at once where ours was killed before it ran", async () => {
  const script = `import { CallApart } from ${JSON.stringify(APART)};
CallApart.begin("ppoll", 0, 0, 0, 0);
process.kill(process.pid, "SIGKILL");`;
  // On one processor, a new process of this policy runs when its parent blocks or ends.
  for (let i = 0; i < 10; i++) {
    const command = ["chrt", "--batch", "0", "taskset", "--cpu-list", "0", process.execPath, "-e", script];
    const child = Bun.spawn(command, { stdio: ["ignore", "pipe", "inherit"] });
    expect(await child.stdout.text()).toBe("");
  }
});
