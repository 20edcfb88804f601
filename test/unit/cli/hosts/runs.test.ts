// The runs of one command line on several hosts.
import { expect, spyOn, test } from "bun:test";
import { runMachinectl } from "../../../../src/cli/program/machinectl.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

test("a host whose client cannot be started has failed, and the others have their answers", async () => {
  const refused = Object.assign(new Error("no process"), { code: "EAGAIN", syscall: "posix_spawn" });
  const spawn = Bun.spawn.bind(Bun) as (command: string[], options: object) => Bun.Subprocess;
  const replaced = spyOn(Bun, "spawn").mockImplementation(((command: string[], options: object) => {
    const host = command.find((word) => word.startsWith("--host="))?.slice("--host=".length);
    if (host === "b") throw refused;
    return spawn(["sh", "-c", `echo ${host}`], { ...options, argv0: "sh" });
  }) as unknown as typeof Bun.spawn);
  try {
    const ports = new FakeProcess(WORLDS["one"] as World);
    expect(await runMachinectl(["-H", "a,b,c", "exec", "web", "true"], ports)).toBe(125);
    expect(ports.stdout.split("\n").sort()).toEqual(["", "a | a", "c | c"]);
    expect(ports.stderr).toBe("b: Failed to start its client: Resource temporarily unavailable\n");
  } finally {
    replaced.mockRestore();
  }
});
