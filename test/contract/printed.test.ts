// What reaches a terminal: every program prints through one of a few functions, which let no character of a stranger
// act on a terminal.
import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LineLog } from "../../src/base/log.ts";
import { jsonWithoutControls, onOneLine, withoutControls } from "../../src/base/text/control-characters.ts";
import { formatJson } from "../../src/cli/format/json.ts";
import { own } from "../../src/cli/format/own-sequence.ts";
import { NO_PAINT } from "../../src/cli/format/terminal.ts";
import { Output } from "../../src/cli/session/output.ts";
import { TOP } from "../lib/run-tests.ts";

/** The property is Unicode's own list of the marks of direction. */
const FORBIDDEN = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u;
/** Every character of the basic plane but surrogates, each alone. */
const CHARACTERS = Array.from({ length: 0x10000 }, (_, code) => String.fromCharCode(code)).filter(
  (one) => !/[\ud800-\udfff]/.test(one),
);

test("no control character and no mark of direction is left, and all other characters are", () => {
  expect(CHARACTERS.filter((one) => FORBIDDEN.test(onOneLine(one)))).toEqual([]);
  expect(CHARACTERS.filter((one) => FORBIDDEN.test(withoutControls(one)))).toEqual(["\t", "\n"]);
  const changed = CHARACTERS.filter((one) => onOneLine(one) !== one && !FORBIDDEN.test(one));
  // Format characters that Unicode advises against: the first ones change how digits and brackets look.
  expect(changed.join("")).toBe("\u206a\u206b\u206c\u206d\u206e\u206f");
  expect(onOneLine("\u001b[2J\u009b\u202egnp.exe\u2069")).toBe("\\x1b[2J\\x9b\\u202egnp.exe\\u2069");
});

test("JSON has them as escapes, so that its value stays", () => {
  const text = CHARACTERS.join("");
  const json = jsonWithoutControls(JSON.stringify(text));
  expect(withoutControls(json)).toBe(json);
  expect(JSON.parse(json)).toBe(text);
  const printed = formatJson({ "\u202ekey": "\\\u202e\u009b" }, "short", NO_PAINT);
  expect(withoutControls(printed)).toBe(printed);
  expect(JSON.parse(printed)).toEqual({ "\u202ekey": "\\\u202e\u009b" });
});

test("the output of clients and the lines of logs have them escaped, the client's own colours not", () => {
  const written: string[] = [];
  const output = new Output((_fd, bytes) => written.push(Buffer.from(bytes).toString()) && bytes.length);
  output.write(`${own("\u001b[1m")}a\u202eb\u001b[2J\n`);
  output.writeError("c\u2066d\n");
  expect(written).toEqual(["\u001b[1ma\\u202eb\\x1b[2J\n", "c\\u2066d\n"]);
  const lines: string[] = [];
  new LineLog("none", (line) => lines.push(line)).line("info", "e\u202ef\ng");
  expect(lines).toEqual(["e\\u202ef\n", "g\n"]);
});

test("nothing writes to the standard streams but the functions that escape", () => {
  // print.ts and Output escape, and LineLog, of which standard-error.ts gets its lines. main.ts has texts of its own,
  // and the word that it was called with; command.ts has a pipe for its error. The other files have a stream of data: a
  // worker's result, an archive, a terminal of a machine.
  const allowed = new Set([
    "src/main.ts",
    "src/kernel/terminal/print.ts",
    "src/kernel/terminal/own-streams.ts",
    "src/daemon/standard-error.ts",
    "src/cli/session/engine-calls.ts",
    "src/cli/session/process-ports.ts",
  ]);
  const writes = /process\.std(out|err)\.write\(|\bconsole\.|Bun\.std(out|err)|writeSync\((1|2|STDOUT|STDERR)\b/;
  const found = readdirSync(join(TOP, "src"), { recursive: true, encoding: "utf8" })
    .map((name) => join("src", name))
    .filter((file) => file.endsWith(".ts") && !allowed.has(file))
    .flatMap((file) => {
      const text = readFileSync(join(TOP, file), "utf8");
      const escapes = /import \{[^}]*\b(LineLog|withoutControls)\b/.test(text);
      return text
        .split("\n")
        .filter((line) => writes.test(line) && !/^\s*(\/\/|\*)/.test(line))
        .filter((line) => !(escapes && /writeSync\(/.test(line)))
        .map((line) => `${file}: ${line.trim()}`);
    });
  expect(found).toEqual([]);
});

test("an error of a server, a path or a word of the command line reaches the terminal without them", () => {
  const directory = mkdtempSync(join(tmpdir(), "printed-"));
  const evil = "\u202egpj\u001b[2J\u009b31m";
  try {
    for (const words of [
      ["machinectl", "-H", evil, "list"],
      ["systemd-pull", "tar", `file:///${evil}`, evil],
      ["machined", "install", evil],
      ["machined", "fleet", evil],
      ["machined", "fleet", `--config=${directory}/${evil}`],
      ["machined", "bridge", evil],
      ["systemd-machined", evil],
      ["nss-mymachines", "hosts", evil],
    ]) {
      const [program = "", ...rest] = words;
      const main = join(TOP, "src/main.ts");
      const args = program === "machined" ? rest : [program, ...rest];
      const env = { ...process.env, MACHINED_RUNTIME_DIRECTORY: directory };
      const { stdout, stderr } = Bun.spawnSync([process.execPath, main, ...args], { env, stdin: "ignore" });
      const text = `${stdout}${stderr}`;
      expect(text.length).toBeGreaterThan(10);
      expect(text.replaceAll(/[\n\t]/g, "")).not.toMatch(FORBIDDEN);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
