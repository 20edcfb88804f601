import { describe, expect, test } from "bun:test";
import { asWritten } from "../../../../src/cli/format/own-sequence.ts";
import {
  drawElsewhere,
  drawTree,
  processTree,
  treeJson,
  type UnitProcess,
} from "../../../../src/cli/format/process-tree.ts";
import { type Environment, readTerminal } from "../../../../src/cli/format/terminal.ts";
import { upToUnit } from "../../../../src/kernel/cgroup/cgroup.ts";

const UNIT = "/machine.slice/a.scope";

function form(width: number | null, env: Environment = {}) {
  const terminal = readTerminal(env, { stdout: false, stderr: false, columns: () => undefined });
  return { terminal, prefix: "", width };
}

function process(cgroup: string, pid: number, command = `command ${pid}`): UnitProcess {
  return { cgroup, pid, command };
}

function draw(list: UnitProcess[], root = UNIT, width: number | null = null, env: Environment = {}): string {
  const tree = processTree(list, root).root;
  return tree === null ? "" : drawTree(tree, form(width, env));
}

describe("processTree (C42)", () => {
  // Where each process copied the list of those before it, this took longer than the runner waits for a test.
  test("takes no longer for each of many processes in one group", () => {
    const count = 60_000;
    const list = Array.from({ length: count }, (_, index) => process(UNIT, count - index));
    expect(
      processTree(list, UNIT)
        .root?.processes.map(({ pid }) => pid)
        .slice(0, 3),
    ).toEqual([1, 2, 3]);
  });

  // Where each process walked through all groups above it, this took longer than the runner waits for a test.
  test("takes no longer for each of many processes far below the unit", () => {
    const deep = `${UNIT}${"/a".repeat(1900)}`;
    const list = Array.from({ length: 16_384 }, (_, pid) => process(pid % 2 === 0 ? deep : `${deep}/b`, pid));
    let depth = 0;
    let group = processTree(list, UNIT).root;
    for (let child = group; child !== null; child = child.children[0] ?? null) {
      group = child;
      depth++;
    }
    expect([depth, group?.path, group?.processes.length]).toEqual([1902, `${deep}/b`, 8192]);
  });

  test("sorts processes by number and groups by name, groups last", () => {
    const list = [process(`${UNIT}/b`, 30), process(UNIT, 100), process(UNIT, 9), process(`${UNIT}/a/c`, 5)];
    expect(draw(list)).toBe(
      [
        "├─  9 command 9",
        "├─100 command 100",
        "├─a",
        "│ └─c",
        "│   └─5 command 5",
        "└─b",
        "  └─30 command 30",
        "",
      ].join("\n"),
    );
  });

  test("returns processes outside the unit separately, also those of a group whose name begins like the unit's", () => {
    const list = [process(`${UNIT}/x`, 1), process("/other", 3), process(`${UNIT}2`, 2)];
    const { elsewhere } = processTree(list, UNIT);
    expect(elsewhere.map(({ pid }) => pid)).toEqual([2, 3]);
    expect(drawElsewhere(elsewhere, form(null))).toBe("‣ 2 command 2\n‣ 3 command 3\n");
  });

  test("returns no root when no process is in the unit", () => {
    expect(processTree([process("/other", 3)], UNIT).root).toBeNull();
    expect(treeJson(null)).toBeNull();
  });

  test("draws the whole hierarchy when the root is the root group", () => {
    expect(draw([process("/", 1), process("/a", 2)], "")).toBe("├─1 command 1\n└─a\n  └─2 command 2\n");
  });

  test("is written as JSON with nested groups", () => {
    expect(treeJson(processTree([process(`${UNIT}/p`, 8)], UNIT).root)).toEqual({
      cgroup: UNIT,
      processes: [],
      children: [{ cgroup: `${UNIT}/p`, processes: [{ pid: 8, command: "command 8" }], children: [] }],
    });
  });
});

describe("drawTree", () => {
  const long = "x".repeat(60);

  test("shortens commands to the width that their depth leaves", () => {
    expect(draw([process(UNIT, 7, long)], UNIT, 40)).toBe(`└─7 ${"x".repeat(35)}…\n`);
    expect(draw([process(`${UNIT}/g`, 7, long)], UNIT, 40)).toBe(`└─g\n  └─7 ${"x".repeat(33)}…\n`);
  });

  test("leaves at least twenty columns to commands", () => {
    expect(draw([process(UNIT, 7, long)], UNIT, 10)).toBe(`└─7 ${"x".repeat(19)}…\n`);
  });

  test("draws ASCII characters without UTF-8 (C19), and processes in grey with colours", () => {
    const list = [process(UNIT, 7, "a"), process(UNIT, 8, "b")];
    expect(draw(list, UNIT, null, { LC_ALL: "C" })).toBe("|-7 a\n`-8 b\n");
    expect(asWritten(draw([process(UNIT, 7, "a")], UNIT, null, { SYSTEMD_COLORS: "16" }))).toBe(
      "└─\u001b[0;90m7 a\u001b[0m\n",
    );
  });
});

test("upToUnit() cuts the path of a control group after the unit's name", () => {
  expect(upToUnit("/machine.slice/a.scope/payload/init.scope", "a.scope")).toBe(UNIT);
  expect(upToUnit("/elsewhere", "a.scope")).toBe("/elsewhere");
});
