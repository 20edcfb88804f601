// The removal of what killed workers have left, by a worker.
import { expect, spyOn, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Sweeper } from "../../../src/importd/sweeper.ts";

test("a worker that cannot be started is a warning, and the next sweep tries again", () => {
  const directory = mkdtempSync(join(tmpdir(), "sweeper-"));
  const warnings: string[] = [];
  const log = { info() {}, debug() {}, warning: (text: string) => void warnings.push(text) };
  const spawn = spyOn(Bun, "spawn").mockImplementation(() => {
    throw Object.assign(new Error("EAGAIN: resource temporarily unavailable, posix_spawn"), { code: "EAGAIN" });
  });
  try {
    mkdirSync(join(directory, ".#left"));
    const sweeper = new Sweeper({ imageRoot: () => directory }, log);
    for (let round = 0; round < 2; round++) expect(() => sweeper.sweep()).not.toThrow();
    expect(spawn).toHaveBeenCalledTimes(2);
    expect(warnings.join()).toContain("EAGAIN");
  } finally {
    spawn.mockRestore();
    rmSync(directory, { recursive: true });
  }
});

test("the worker takes the locks of the transfers: it has the variables that say where they are", () => {
  const directory = mkdtempSync(join(tmpdir(), "sweeper-"));
  const log = { info() {}, debug() {}, warning() {} };
  const before = process.env["XDG_RUNTIME_DIR"];
  const environments: unknown[] = [];
  const spawn = spyOn(Bun, "spawn").mockImplementation((...args: unknown[]) => {
    environments.push((args[1] as { env: unknown }).env);
    throw Object.assign(new Error("EAGAIN: resource temporarily unavailable, posix_spawn"), { code: "EAGAIN" });
  });
  try {
    process.env["XDG_RUNTIME_DIR"] = "/run/user/1000";
    mkdirSync(join(directory, ".#left"));
    new Sweeper({ imageRoot: () => directory }, log).sweep();
    expect(environments).toEqual([expect.objectContaining({ XDG_RUNTIME_DIR: "/run/user/1000" })]);
  } finally {
    spawn.mockRestore();
    if (before === undefined) delete process.env["XDG_RUNTIME_DIR"];
    else process.env["XDG_RUNTIME_DIR"] = before;
    rmSync(directory, { recursive: true });
  }
});
