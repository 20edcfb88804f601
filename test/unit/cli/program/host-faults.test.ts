// Errors that the state of the host causes are printed in a line by every verb; a bug keeps its stack trace.
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import type { ClientProgram, VerbRow } from "../../../../src/cli/command-line/verb-row.ts";
import { orExitOurs } from "../../../../src/cli/exec/order.ts";
import { runClient } from "../../../../src/cli/program/client-program.ts";
import { MACHINECTL } from "../../../../src/cli/program/machinectl.ts";
import { SyscallError } from "../../../../src/kernel/syscall/sys.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

/** Runs a verb; returns what was printed to standard error and the exit status. */
async function stderrOf(run: VerbRow["run"]): Promise<[string, number]> {
  const verb: VerbRow = { meta: { name: "act", description: "Act" }, group: "Machine", args: {}, hosts: "none", run };
  const program: ClientProgram = { ...MACHINECTL, verbs: [verb] };
  const process = new FakeProcess(WORLDS["empty"] as World, { env: {} });
  const status = await runClient(program, ["act"], process);
  return [process.stderr, status];
}

const writes = async (): Promise<number> => {
  writeFileSync("/dev/full", "text");
  return 0;
};

test("a full disk is an error in a line", async () => {
  expect(await stderrOf(writes)).toEqual(["write: No space left on device\n", 1]);
  expect(await stderrOf((session) => orExitOurs(session, writes))).toEqual(["write: No space left on device\n", 125]);
});

test("a file that cannot be opened is named", async () => {
  const open = async (): Promise<number> => {
    throw Object.assign(new Error("EMFILE"), { code: "EMFILE", syscall: "open", path: "/a" });
  };
  expect(await stderrOf(open)).toEqual(["'/a': Too many open files\n", 1]);
});

test("an error of a system call says what failed", async () => {
  const call = async (): Promise<number> => {
    throw new SyscallError("pidfd_open", 24);
  };
  expect(await stderrOf(call)).toEqual(["pidfd_open: Too many open files\n", 1]);
});

test("a bug is thrown", async () => {
  const bug = async (): Promise<number> => {
    throw new TypeError("a bug");
  };
  await expect(stderrOf(bug)).rejects.toThrow("a bug");
});
