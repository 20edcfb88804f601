// The children of a process, and the init of a container among the processes below it.
import { expect, test } from "bun:test";
import { containerInitBelow, processChildren } from "../../../src/kernel/process/children.ts";
import { processStatus } from "../../../src/kernel/process/process-file.ts";
import { rootTest, until } from "../support.ts";

test("the children of a process are found, and none of a process that has ended", async () => {
  const parent = Bun.spawn(["sh", "-c", "sleep 1000 & sleep 1000 & wait"], { stdio: ["ignore", "ignore", "inherit"] });
  const children = await until(() => {
    const found = processChildren(parent.pid);
    return found.length === 2 && found;
  }, "two children");
  for (const child of children) expect(processStatus(child, "PPid")).toBe(String(parent.pid));
  for (const child of children) process.kill(child);
  await parent.exited;
  expect(processChildren(parent.pid)).toEqual([]);
});

rootTest(
  "the init of a container is found below the program that made it, and a mere process 1 or mount namespace is not",
  async () => {
    const container = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", "sleep 1000; exit"];
    const others = "unshare --pid --fork --kill-child sleep 1000 & one=$!; unshare --mount sleep 1000 & two=$!";
    const script = `${others}; "$@" & read -r line; kill -9 $one $two; wait`;
    const outer = Bun.spawn(["sh", "-c", script, "sh", ...container], { stdio: ["pipe", "ignore", "inherit"] });
    const init = await until(() => containerInitBelow(outer.pid), "the init");
    expect(processStatus(init, "NSpid").split(/\s+/)).toEqual([String(init), "1"]);
    await until(() => processStatus(init, "Name") === "sh", "unshare to have become the shell");
    // The other two exist, and are passed over.
    await until(() => processChildren(outer.pid).length === 3, "three children");
    expect(containerInitBelow(outer.pid)).toBe(init);
    process.kill(init, "SIGKILL");
    await until(() => containerInitBelow(outer.pid) === null, "no other init");
    await outer.stdin.end();
    await outer.exited;
  },
);
