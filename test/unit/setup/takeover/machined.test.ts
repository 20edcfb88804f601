// The order in which machined replaces the distribution's daemon; the host suite tests a real systemd.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { type Run, run } from "../../../../src/setup/run-command.ts";
import { giveBack, runsProgram, takeOver } from "../../../../src/setup/takeover/machined.ts";

const INSTALLED = { program: "/usr/local/lib/machined/machined", isUnchanged: false, ownSocket: false };
const UNIT = "/etc/systemd/system/systemd-machined.service";

function standing(line: string): string {
  if (line.includes("FragmentPath")) return UNIT;
  return line.includes("ListMachines") ? '{"type":"a(ssso)","data":[[]]}' : "";
}

interface Answer {
  readonly code?: number;
  readonly stdout?: string;
  readonly output?: string;
}

/** Records the commands; `answers` maps the start of a command line to its outcome. */
function fake(answers: Record<string, Answer> = {}): { run: Run; lines: string[] } {
  const lines: string[] = [];
  const run: Run = (...command) => {
    const line = command.join(" ");
    lines.push(line);
    const key = Object.keys(answers).find((start) => line.startsWith(start));
    const answer = key === undefined ? {} : answers[key];
    const stdout = answer?.stdout ?? answer?.output ?? standing(line);
    return { code: answer?.code ?? 0, stdout, output: answer?.output ?? stdout };
  };
  return { run, lines };
}

test("the bus reloads its configuration before systemd does", () => {
  const { run, lines } = fake();
  takeOver(INSTALLED, () => {}, run);
  const at = (text: string) => lines.findIndex((line) => line.includes(text));
  expect(at("ReloadConfig")).toBeGreaterThanOrEqual(0);
  expect(at("ReloadConfig")).toBeLessThan(at("daemon-reload"));
  expect(at("daemon-reload")).toBeLessThan(at("restart systemd-machined.service"));
});

test("machined's own socket unit is started while the service is stopped", () => {
  const { run, lines } = fake({ "systemctl is-active": { code: 3 } });
  takeOver({ ...INSTALLED, ownSocket: true }, () => {}, run);
  const verbs = lines.filter((line) => /^systemctl (stop|start) /.test(line));
  expect(verbs).toEqual([
    "systemctl stop systemd-machined.service",
    "systemctl start systemd-machined.socket",
    "systemctl start systemd-machined.service",
  ]);
});

test("the error about a daemon that does not start has its journal", () => {
  const { run } = fake({ "systemctl restart": { code: 1 }, journalctl: { output: "what went wrong" } });
  expect(() => takeOver(INSTALLED, () => {}, run)).toThrow(/did not start[\s\S]*what went wrong/);
});

test("a unit of higher precedence is an error that names it", () => {
  const { run } = fake({ "systemctl show --property=FragmentPath": { output: "/etc/systemd/system.control/x" } });
  expect(() => takeOver(INSTALLED, () => {}, run)).toThrow("'/etc/systemd/system.control/x' takes precedence over");
});

test("without a running bus, the daemon is replaced as well", () => {
  const { run, lines } = fake({ busctl: { code: 1, output: "no bus" } });
  takeOver(INSTALLED, () => {}, run);
  expect(lines).toContain("systemctl restart systemd-machined.service");
});

test.each(["", "Warning: not JSON", "null", '{"data":7}', '{"data":[{}]}', '{"data":[[7]]}'])(
  "a bus client that prints another reply than the list of machines (%p) is not an error",
  (stdout) => {
    const said: string[] = [];
    takeOver(INSTALLED, (line) => said.push(line), fake({ busctl: { stdout } }).run);
    expect(said[0]).toContain("machines kept");
  },
);

test("warnings of a command are not taken for its result", () => {
  const answers = {
    "systemctl show --property=FragmentPath": { stdout: UNIT, output: `${UNIT}\na warning` },
    "systemctl show --property=MainPID": { stdout: "77", output: "77\na warning" },
    busctl: { stdout: '{"data":[[["m"]]]}', output: '{"data":[[["m"]]]}\na warning' },
  };
  const said: string[] = [];
  takeOver(INSTALLED, (line) => said.push(line), fake(answers).run);
  expect(said).toEqual(["systemd-machined.service runs as process 77, 0 machines kept"]);
});

test("standard output is returned alone, and together with standard error for error messages", () => {
  const { code, stdout, output } = run("sh", "-c", "echo out; echo err >&2; exit 3");
  expect([code, stdout, output]).toEqual([3, "out", "out\nerr"]);
});

test("uninstalling starts the distribution's daemon if it ran before", () => {
  const { run, lines } = fake({ "systemctl show --property=FragmentPath": { output: "/usr/lib/systemd/system/x" } });
  giveBack(true, () => {}, run);
  expect(lines).toContain("systemctl restart systemd-machined.service");
});

test("uninstalling stops the daemon where the distribution has none", () => {
  const { run, lines } = fake({ "systemctl show --property=FragmentPath": { output: "" } });
  const said: string[] = [];
  giveBack(true, (line) => said.push(line), run);
  expect(lines).toContain("systemctl stop systemd-machined.service");
  expect(said).toEqual(["systemd-machined.service ended: this host has no other"]);
});

test("a daemon runs the installed file also where its directory is a link", () => {
  const directory = mkdtempSync(join(tmpdir(), "machined-takeover-test-"));
  const output = String(process.pid);
  const command = () => ({ code: 0, stdout: output, output });
  symlinkSync(dirname(process.execPath), join(directory, "bin"));
  expect(runsProgram(join(directory, "bin", basename(process.execPath)), command)).toBeTrue();
  expect(runsProgram(process.execPath, command)).toBeTrue();
  expect(runsProgram("/bin/sh", command)).toBeFalse();
  expect(runsProgram(join(directory, "missing"), command)).toBeFalse();
  rmSync(directory, { recursive: true });
});
