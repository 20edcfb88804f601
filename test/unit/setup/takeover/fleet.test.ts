// The replacement of a running agent of the fleet by an installation; the host suite has a real systemd.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import type { Run } from "../../../../src/setup/run-command.ts";
import { renewFleet } from "../../../../src/setup/takeover/fleet.ts";

let folder = "";
let agent: Subprocess<"pipe", "pipe", "inherit">;

/** Starts a shell with a file of its own in place of the agent. Its script prints a line when it has begun. */
async function start(script: string): Promise<void> {
  const program = join(folder, "machined");
  copyFileSync(realpathSync("/bin/sh"), program);
  agent = Bun.spawn([program, "-c", script], { stdin: "pipe", stdout: "pipe" });
  await agent.stdout.getReader().read();
}

/** Calls renewFleet(); returns what it printed and the commands that change something. */
function renewed(): string[] {
  const lines: string[] = [];
  const command: Run = (...words) => {
    if (words[1] !== "show") lines.push(words.join(" "));
    return { code: 0, stdout: words[1] === "show" ? String(agent.pid) : "", output: "" };
  };
  renewFleet((line) => lines.push(line), command);
  return lines;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "machined-agent-"));
});

afterEach(async () => {
  agent.stdin.end();
  await agent.exited;
  rmSync(folder, { recursive: true, force: true });
});

test("an agent whose file was replaced is restarted; one that executes the installed file is not", async () => {
  await start("echo ready; read line");
  expect(renewed()).toEqual([]);
  rmSync(join(folder, "machined"));
  expect(renewed()).toEqual(["systemctl try-restart machined-fleet.service", "machined-fleet.service is restarted"]);
});

test("an agent that carries out requests continues, and how to replace it later is printed", async () => {
  await start("exec 3<&0; (echo ready; read line <&3) & wait");
  rmSync(join(folder, "machined"));
  expect(renewed()).toEqual([
    "machined-fleet.service carries out requests: it is replaced by 'systemctl try-restart machined-fleet.service', when they are done",
  ]);
});
