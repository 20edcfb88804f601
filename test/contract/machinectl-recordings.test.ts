// machinectl prints what systemd's printed, byte by byte: every command of the recordings is run with stand-ins for the
// managers in the same state. The titles name the statements of docs/conformance.md.
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runMachinectl } from "../../src/cli/program/machinectl.ts";
import { FakeManagers } from "../unit/cli/fake-managers.ts";
import { FakeProcess, type Surroundings, WORLDS } from "../unit/cli/fake-world.ts";

const DIRECTORY = join(import.meta.dir, "recordings/machinectl");

interface Recording {
  readonly world: string;
  readonly statements: string;
  readonly command: string;
  readonly body: string[];
}

function parseRecordings(text: string): Recording[] {
  const found: Recording[] = [];
  let [world, statements] = ["", ""];
  for (const line of text.split("\n")) {
    if (line.startsWith("# world ")) world = line.slice(8);
    else if (/^# C\d/.test(line)) statements = line.slice(2);
    else if (/^(pty)?\$ /.test(line)) {
      found.push({ world, statements, command: line, body: [] });
      statements = "";
    } else if (!line.startsWith("# ")) found.at(-1)?.body.push(line);
  }
  return found;
}

/** The arguments after `machinectl`. One recorded name contains a blank, which the recording does not quote. */
function argumentsOf(text: string): string[] {
  const words = text.replace("bad name!", "bad\u00a0name!").split(" ");
  return words.filter((word) => word !== "").map((word) => word.replace("\u00a0", " "));
}

/** Assignments before the command; a word without "=" continues the value before it. */
function environmentOf(words: readonly string[]): Record<string, string> {
  const env: Record<string, string> = {};
  let last = "";
  for (const word of words) {
    const assignment = /^([A-Z_]+)=(.*)$/.exec(word);
    if (assignment !== null) {
      last = assignment[1] ?? "";
      env[last] = assignment[2] ?? "";
    } else if (last !== "") env[last] += ` ${word}`;
  }
  return env;
}

function parseCommand(line: string): { args: string[]; around: Surroundings } {
  const [, before = "", after = ""] = /^(.*?)\bmachinectl\b(.*)$/.exec(line) ?? [];
  const columns = /^pty\$ -c (\d+)/.exec(before)?.[1];
  const env = environmentOf(before.split(" ").filter((word) => word !== ""));
  const redirected = / (2?)>\/dev\/null$/.exec(after);
  const around: Surroundings = {
    env,
    ...(before.includes("runuser -u joe") ? { euid: 1000 } : {}),
    ...(columns === undefined ? {} : { columns: Number(columns) }),
    ...(redirected?.[1] === "2" ? { stderrIsTty: false } : {}),
    ...(redirected?.[1] === "" ? { stdoutIsTty: false } : {}),
  };
  return { args: argumentsOf(after.replace(/ 2?>\/dev\/null$/, "")), around };
}

/** Decodes bytes that Python has escaped. */
function decodeEscapes(text: string): string {
  const bytes = text.replace(/\\(x[0-9a-f]{2}|r|t|\\)/g, (_, code: string) => {
    if (code === "r") return "\r";
    if (code === "t") return "\t";
    return code === "\\" ? "\\" : String.fromCharCode(Number.parseInt(code.slice(1), 16));
  });
  return Buffer.from(bytes, "latin1").toString();
}

function expectedScreen(body: readonly string[]): { screen: string; status: number } {
  const end = body.findIndex((line) => line.startsWith("--exit "));
  return { screen: decodeEscapes(body.slice(0, end).join("\n")), status: Number(body[end]?.split(" ")[1]) };
}

function expectedStreams(body: readonly string[]): { stdout: string; stderr: string; status: number } {
  const streams: Record<string, string> = { stdout: "", stderr: "" };
  let current = "";
  for (const line of body) {
    const status = /^\[exit (\d+)\]$/.exec(line)?.[1];
    if (status !== undefined)
      return { stdout: streams["stdout"] ?? "", stderr: streams["stderr"] ?? "", status: Number(status) };
    if (line === "[stdout]" || line === "[stderr]") current = line.slice(1, -1);
    else streams[current] += `${line}\n`;
  }
  throw new Error("recording without an exit status");
}

async function replay({ world, command, body }: Recording, managers: FakeManagers, around: Surroundings) {
  const surroundings = WORLDS[world];
  if (surroundings === undefined) throw new Error(`no world '${world}'`);
  const parsed = parseCommand(command);
  const process = new FakeProcess(surroundings, { ...parsed.around, ...around }, managers);
  const status = await runMachinectl(parsed.args, process);
  if (command.startsWith("pty$")) expect({ screen: process.screen, status }).toEqual(expectedScreen(body));
  else expect({ stdout: process.stdout, stderr: process.stderr, status }).toEqual(expectedStreams(body));
}

function replayAll(file: string, around: Surroundings): void {
  // Commands of one world share their state.
  const managers = new Map<string, FakeManagers>();
  for (const recording of parseRecordings(readFileSync(join(DIRECTORY, file), "utf8"))) {
    const { world, statements, command } = recording;
    test(`${statements} ${command}`.trim(), async () => {
      const kept = managers.get(world) ?? new FakeManagers(WORLDS[world] ?? { machines: [], images: [] });
      managers.set(world, kept);
      await replay(recording, kept, around);
    });
  }
}

for (const file of readdirSync(DIRECTORY).filter((name) => name.endsWith(".txt"))) {
  describe(file, () => replayAll(file, {}));
}

describe("list.txt, with a manager without Varlink", () => replayAll("list.txt", { sockets: ["system"] }));

describe("show.txt, without a bus", () => replayAll("show.txt", { sockets: ["/run/systemd/machine/private"] }));

/** The statements that a recording proves; this test fails when one of them loses its recording. */
const PROVED = [
  "C1 C2 C3 C4 C5 C6 C7 C8 C9 C10 C11 C12 C13 C14 C15 C16 C17 C18 C19 C20 C21 C22 C23 C24 C25 C27 C28",
  "C30 C31 C32 C33 C34 C35 C36 C38 C39 C40 C41 C42 C43 C45 C46 C47 C48 C49 C50 C51 C52 C53 C54 C55 C56",
  "C57 C58 C60 C67 C68 C69 C70 C72 C73 C74 C75 C77 C78 C79 C80 C81 C82 C83 C84 C85 C117 C118 C120 C121",
  "C122 C123 C124 C125 C126 C127",
];

test("every statement in the list of recorded ones has a recording", () => {
  const texts = readdirSync(DIRECTORY).map((file) => readFileSync(join(DIRECTORY, file), "utf8"));
  const named = new Set(
    texts.flatMap((text) => parseRecordings(text).flatMap(({ statements }) => statements.split(" "))),
  );
  expect(PROVED.flatMap((line) => line.split(" ")).filter((id) => !named.has(id))).toEqual([]);
});
