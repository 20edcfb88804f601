// Text from a daemon, a machine or a file does not control the terminal, whichever verb prints it.
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { asWritten, own, withColours } from "../../../src/cli/format/own-sequence.ts";
import { runMachinectl } from "../../../src/cli/program/machinectl.ts";
import { ALPHA_ONLINE, type FakeMachine, HOST } from "./fake-machines.ts";
import { FakeProcess } from "./fake-world.ts";

/** Title, colour, 8-bit colour, return, bell, backspace, delete, NUL, and the next characters from right to left. */
const EVIL = "\u001b]0;title\u0007\u001b[31m\u009b31m\r\u0008\u007f\u0000x\u202e\u2067gpj.exe";
const HARMLESS = "\\x1b]0;title\\x07\\x1b[31m\\x9b31m\\x0d\\x08\\x7f\\x00x\\u202e\\u2067gpj.exe";

const HOSTILE: FakeMachine = {
  ...ALPHA_ONLINE,
  service: `service${EVIL}`,
  unit: `unit${EVIL}.service`,
  subgroup: `sub${EVIL}`,
  root: `/root${EVIL}`,
  leaderName: `leader${EVIL}`,
  osRelease: { ID: `id${EVIL}`, VERSION_ID: `version${EVIL}`, PRETTY_NAME: `pretty${EVIL}` },
  processes: [[`${ALPHA_ONLINE.cgroup}/group${EVIL}`, 560, `command${EVIL}\nand a line`]],
  journal: [`journal${EVIL}`],
};
const WORLD = { machines: [HOST, HOSTILE], images: [`image${EVIL}`], nowUsec: ALPHA_ONLINE.since + 1n };

/** Removes from a text what the client itself writes to a coloured terminal: colours and links. */
function withoutOurs(text: string): string {
  const ours = /␛\[[0-9;:]*m|␛\]8;;[^\p{Cc}␛]*␛\\|\r+\n/gu;
  return text.replaceAll("\u001b", "␛").replaceAll(ours, "").replaceAll("␛", "\u001b");
}

describe("text from others", () => {
  const verbs: readonly string[][] = [
    ["list"],
    ["list", "--json=short"],
    ["list-images"],
    ["status", "alpha"],
    ["status", "alpha", "--json=pretty"],
    ["show", "alpha"],
    ["show", "alpha", "-p", "Service", "--value"],
    ["image-status", `image${EVIL}`],
    ["show-image", `image${EVIL}`],
    ["status", `nobody${EVIL}`],
    ["terminate", `nobody${EVIL}`],
    [`verb${EVIL}`],
    [`--option${EVIL}`],
  ];
  for (const args of verbs) {
    for (const [where, around] of Object.entries({
      "into a file": {},
      "into a file, over D-Bus": { sockets: ["system"] },
      "on a plain terminal": { columns: 500, env: { TERM: "dumb", SYSTEMD_PAGER: "" } },
      "on a coloured terminal": { columns: 500, env: { TERM: "xterm-256color", SYSTEMD_PAGER: "", LINES: "100" } },
    })) {
      test(`machinectl ${JSON.stringify(args)} ${where}`, async () => {
        const process = new FakeProcess(WORLD, around);
        await runMachinectl(args, process);
        const text = process.stdout + process.stderr;
        expect(text.length).toBeGreaterThan(0);
        const left = where === "on a coloured terminal" ? withoutOurs(process.screen) : text;
        expect(left.replaceAll(/[\n\t]/g, "")).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
        // Not even a colour that the client uses itself. The colours of journal entries are chosen by journalctl.
        expect(text.replace(/\njournal.*/, "")).not.toContain("\u001b[31m");
      });
    }
  }

  test("is shown with its control characters written out", async () => {
    const process = new FakeProcess(WORLD, {});
    await runMachinectl(["list"], process);
    expect(process.stdout).toContain(`service${HARMLESS} `);
  });
});

describe("the client's own escape sequences", () => {
  test("are written unchanged, all others are escaped", () => {
    expect(asWritten(`${own("\u001b[0m")}a\u001b[0mb\tc\n`)).toBe("\u001b[0ma\\x1b[0mb\tc\n");
  });

  test("cannot be imitated: the mark of another process is printed as text", () => {
    const guess = own("\u001b").replace(/[0-9a-f]{8}/, "00000000");
    expect(asWritten(guess)).toBe(guess);
  });

  test("are only the colours in a program's output, not its other sequences", () => {
    expect(asWritten(withColours("\u001b[0;1;31mred\u001b[0m \u001b]0;t\u0007"))).toBe(
      "\u001b[0;1;31mred\u001b[0m \\x1b]0;t\\x07",
    );
  });
});

test("colours in a program's output end with their line", () => {
  const printed = (text: string) => asWritten(withColours(text));
  expect(printed("a \u001b[8mhidden\nb \u001b[1;31mc\u001b[0m\nd \u001b[38;5;0me\nf")).toBe(
    "a \u001b[8mhidden\u001b[0m\nb \u001b[1;31mc\u001b[0m\nd \u001b[38;5;0me\u001b[0m\nf",
  );
});

test("only Output, and the pseudo terminal of a session, write to the terminal", () => {
  const directory = join(import.meta.dir, "../../../src/cli");
  const files = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
  const writing = files.filter((file) =>
    /\bwriteSync\(|\bwriteSome\(|\bwrite\(Bun\.std|std(out|err)\.write\(|console\./.test(
      readFileSync(join(directory, file), "utf8"),
    ),
  );
  expect(writing.sort()).toEqual([
    "machine/register-guard.ts", // into a pipe to its child
    "machine/register.ts", // into a pipe to its child, which waits for that
    "session/engine-calls.ts",
    "session/output.ts",
    "session/process-ports.ts", // what Output calls
    "terminal/pty-forward.ts",
    "terminal/pty-input.ts",
  ]);
});
