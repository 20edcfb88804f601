// `machinectl logs`: which entries journalctl is asked for. In place of journalctl, a program prints its arguments.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runMachinectl } from "../../../../src/cli/program/machinectl.ts";
import type { Command } from "../../../../src/cli/session/ports.ts";
import { ALPHA } from "../fake-machines.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

const SECOND_USEC = 1_000_000n;
const seconds = (usec: bigint) => (Number(usec) / 1e6).toFixed(6);

/** A user whose journal has entries of the supervisor alone. */
class OnlySupervisor extends FakeProcess {
  constructor() {
    super(WORLDS["one"] as World, { euid: 1000 });
  }

  override run = async ({ argv }: Command) => (argv.some((word) => word.startsWith("_PID=")) ? "{}" : "");
}

const directory = mkdtempSync(join(tmpdir(), "logs-test-"));
const path = process.env["PATH"];
beforeAll(() => {
  writeFileSync(join(directory, "journalctl"), '#!/bin/sh\nprintf "%s\\n" "$@"\n', { mode: 0o755 });
  process.env["PATH"] = `${directory}:${path}`;
});
afterAll(() => {
  process.env["PATH"] = path;
  rmSync(directory, { recursive: true });
});

describe("logs of a supervisor", () => {
  async function since(...options: string[]): Promise<string[]> {
    const client = new OnlySupervisor();
    expect([await runMachinectl(["logs", ...options, "alpha"], client), client.stderr]).toEqual([
      0,
      `Showing what the supervisor of machine 'alpha' wrote (process ${ALPHA.supervisor})\n`,
    ]);
    return client.stdout.split("\n").filter((word) => /^--(since|lines)=/.test(word));
  }

  test("begin at the start of the machine, because another process may have had the number before", async () => {
    const first = `--since=@${seconds(ALPHA.since - 60n * SECOND_USEC)}`;
    expect(await since()).toEqual([first]);
    expect(await since("--since=2020-01-01")).toEqual([first]);
    const later = `--since=@${seconds(ALPHA.since + 60n * SECOND_USEC)}`;
    expect(await since(later)).toEqual([later]);
    expect(await since("--lines=7")).toEqual(["--lines=7", first]);
  });
});

test("the units of many starts of an ended machine are looked for by few processes at once", async () => {
  const units = Array.from({ length: 100 }, (_, index) => `run-${index}.scope`);
  let running = 0;
  let most = 0;
  class ManyUnits extends FakeProcess {
    override run = async ({ argv }: Command) => {
      if (argv.includes("NAME=old")) return units.map((unit) => `${JSON.stringify({ MACHINE_UNIT: unit })}\n`).join("");
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      return "";
    };
  }
  const client = new ManyUnits(WORLDS["empty"] as World, { euid: 1000 });
  expect(await runMachinectl(["logs", "old"], client)).toBe(1);
  expect(client.stderr).toStartWith("There is no log of machine 'old': ");
  expect(most).toBe(8);
});

test("units are looked for in the entries that journalctl wrote before it was killed", async () => {
  const asked: string[] = [];
  class CutOff extends FakeProcess {
    override run = async ({ argv }: Command) => {
      if (argv.includes("NAME=old")) return '{"MACHINE_UNIT":"run-1.scope"}\n{"MACHINE_UNIT":"ru';
      asked.push(...argv);
      return "";
    };
  }
  const client = new CutOff(WORLDS["empty"] as World, { euid: 1000 });
  expect(await runMachinectl(["logs", "old"], client)).toBe(1);
  expect(client.stderr).toStartWith("There is no log of machine 'old': ");
  expect(asked.join(" ")).toContain("run-1.scope");
});

test("the unit in which `machinectl start` runs an image has the name of the image as it is", async () => {
  const asked: string[] = [];
  class Started extends FakeProcess {
    override run = async ({ argv }: Command) => {
      asked.push(...argv);
      return "";
    };
  }
  expect(await runMachinectl(["logs", "web-1"], new Started(WORLDS["empty"] as World, { euid: 1000 }))).toBe(1);
  for (const unit of ["systemd-nspawn@web-1", "systemd-vmspawn@web-1", "systemd-nspawn@web\\x2d1"]) {
    expect(asked.filter((word) => word.includes(`${unit}.service`))).not.toBeEmpty();
  }
});
