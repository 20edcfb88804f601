// `machinectl top` on a terminal of the test, without machines.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { waitFor } from "../../../lib/wait-for.ts";
import { PtyWorld } from "../pty-world.ts";

const OTHER_SCREEN = "\u001b[?1049h";
const NORMAL_SCREEN = "\u001b[?1049l";

const state = (pid: number) => / ([A-Z]) /.exec(readFileSync(`/proc/${pid}/stat`, "latin1"))?.[1];

test.each(["SIGSTOP", "SIGTSTP"] as const)("the terminal is in raw mode again after %s and SIGCONT", async (signal) => {
  await using world = new PtyWorld(["top"], { env: { MACHINED_RUNTIME_DIRECTORY: "/nowhere" } });
  const { child } = world;
  const before = world.settings;
  await waitFor(() => expect(world.settings).not.toBe(before), "a raw terminal");
  const raw = world.settings;
  await waitFor(() => expect(world.screen).toContain(OTHER_SCREEN), "the other screen");
  child.kill(signal);
  await waitFor(() => expect(state(child.pid)).toBe("T"), "the client is stopped");
  if (signal === "SIGTSTP") {
    expect(world.settings).toBe(before);
    expect(world.screen).toContain(NORMAL_SCREEN);
  } else Bun.spawnSync(["stty", "sane"], { stdin: world.own.number });
  expect(world.settings).not.toBe(raw);
  const shown = world.screen.length;
  child.kill("SIGCONT");
  await waitFor(() => expect(world.settings).toBe(raw), "a raw terminal");
  await waitFor(() => expect(world.screen.slice(shown)).toContain(OTHER_SCREEN), "the other screen");
  world.type("q");
  expect(await child.exited).toBe(0);
  expect(world.screen.slice(shown)).toContain(NORMAL_SCREEN);
});

test("the page of a machine does not show the addresses of the one before", async () => {
  const env = { MACHINED_RUNTIME_DIRECTORY: "/nowhere", TEST_MACHINES: "one,two" };
  await using world = new PtyWorld(["top"], { env });
  await world.shows("2 machines");
  world.type("\u001b[B\r");
  await world.shows("10.0.0.1");
  world.type("\u001b");
  const shown = world.screen.length;
  await waitFor(() => expect(world.screen.slice(shown)).toContain("2 machines"), "the table");
  const table = world.screen.length;
  world.type("\u001b[B\r");
  await waitFor(() => expect(world.screen.slice(table)).toContain("Esc back"), "the page of the other machine");
  expect(world.screen.slice(table)).not.toContain("10.0.0.1");
  world.type("q");
  expect(await world.child.exited).toBe(0);
});
