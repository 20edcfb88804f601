import { expect, test } from "bun:test";
import { type Environment, readTerminal } from "../../../../src/cli/format/terminal.ts";
import { Output } from "../../../../src/cli/session/output.ts";
import { Report } from "../../../../src/cli/session/report.ts";

const LINES: [end: string, where: string, env: Environment, isTerminal: boolean][] = [
  ["\r\n", "on a terminal", { TERM: "xterm" }, true],
  ["\r\n", "on a terminal of an empty type", { TERM: "" }, true],
  ["\n", "on a dumb terminal", { TERM: "dumb" }, true],
  ["\n", "on a terminal of unknown type", {}, true],
  ["\n", "in a pipe", { TERM: "xterm" }, false],
];

for (const [end, where, env, isTerminal] of LINES) {
  test(`a message ends with ${JSON.stringify(end)} ${where}`, () => {
    let written = "";
    const output = new Output((_fd, bytes) => {
      written += Buffer.from(bytes).toString();
      return bytes.length;
    });
    const ttys = { stdout: true, stderr: isTerminal, columns: () => 80 };
    new Report(output, readTerminal(env, ttys), env).info("text");
    expect(written).toBe(`text${end}`);
  });
}
