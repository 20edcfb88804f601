// machinectl prints about images what systemd's printed, byte by byte: the recorded commands are run with a simulated
// manager in the same state. The titles name the statements of docs/conformance.md.
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runMachinectl } from "../../src/cli/program/machinectl.ts";
import { FakeProcess, type World } from "../unit/cli/fake-world.ts";
import { FakeImages, IMAGE_WORLDS } from "./images-fake.ts";

const DIRECTORY = join(import.meta.dir, "recordings/machinectl-images");

interface Recording {
  readonly orders: readonly string[];
  readonly statements: string;
  readonly command: string;
  readonly body: string[];
}

function parse(text: string): Recording[] {
  const found: Recording[] = [];
  let [orders, statements] = [[] as string[], ""];
  for (const line of text.split("\n")) {
    if (/^# (world|now|make) /.test(line)) orders.push(line.slice(2));
    else if (/^# C\d/.test(line)) statements = line.slice(2);
    else if (/^(pty)?\$ /.test(line)) {
      found.push({ orders, statements, command: line, body: [] });
      [orders, statements] = [[], ""];
    } else if (!line.startsWith("# ")) found.at(-1)?.body.push(line);
  }
  return found;
}

function words(text: string): string[] {
  return Array.from(text.matchAll(/"([^"]*)"|(\S+)/g), ([, quoted, plain]) => quoted ?? plain ?? "");
}

/** The assignments before the program, the columns of the terminal, and the arguments. */
function parseCommand(line: string) {
  const [, before = "", after = ""] = /^(.*?)\bmachinectl\b(.*)$/.exec(line) ?? [];
  const columns = /^pty\$ -c (\d+)/.exec(before)?.[1];
  const env = Object.fromEntries(Array.from(before.matchAll(/([A-Z_]+)=(\S+)/g), ([, key, value]) => [key, value]));
  return { args: words(after), env, columns: columns === undefined ? undefined : Number(columns) };
}

function section(body: readonly string[], name: string): string {
  const start = body.indexOf(`[${name}]`);
  if (start < 0) return "";
  const rest = body.slice(start + 1);
  const end = rest.findIndex((line) => /^\[(stdout|stderr|exit \d+)\]$/.test(line));
  return rest
    .slice(0, end)
    .map((line) => `${line}\n`)
    .join("");
}

/** Bytes of a recorded terminal are escaped as in Python. */
function unescapeBytes(text: string): string {
  const bytes = text.replaceAll(/\\x([0-9a-f]{2})|\\r|\\t|\\\\/g, (all, hex?: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return { "\\r": "\r", "\\t": "\t", "\\\\": "\\" }[all] ?? all;
  });
  return Buffer.from(bytes, "latin1").toString();
}

for (const file of readdirSync(DIRECTORY).filter((name) => name.endsWith(".txt"))) {
  describe(`recordings of ${file}`, () => {
    let images = new FakeImages(IMAGE_WORLDS["list"] ?? []);
    for (const [index, { orders, statements, command, body }] of parse(
      readFileSync(join(DIRECTORY, file), "utf8"),
    ).entries()) {
      test(`${index + 1} ${statements} ${command}`, async () => {
        for (const order of orders) {
          const [what = "", value = ""] = order.split(" ");
          if (what === "world") images = new FakeImages(IMAGE_WORLDS[value] ?? []);
          else if (what === "now") images.nowUsec = BigInt(value);
          else images.make(value);
        }
        const { args, env, columns } = parseCommand(command);
        const world: World = { machines: [], images: [], nowUsec: images.nowUsec };
        const around = { env: { TERM: "dumb", ...env }, ...(columns === undefined ? {} : { columns }) };
        const process = new FakeProcess(world, around, images);
        const status = await runMachinectl(args, process);
        if (columns !== undefined) {
          const shown = body
            .slice(
              0,
              body.findIndex((line) => line.startsWith("--exit")),
            )
            .join("\n")
            .replace(/\n+$/, "\n");
          expect(process.screen).toBe(unescapeBytes(shown));
          return;
        }
        expect(process.stdout).toBe(section(body, "stdout"));
        expect(process.stderr).toBe(section(body, "stderr"));
        expect(`[exit ${status}]`).toBe(body.find((line) => line.startsWith("[exit")) ?? "");
      });
    }
  });
}

test("clean --json= prints the removed images on stdout", async () => {
  const images = new FakeImages(IMAGE_WORLDS["list"] ?? []);
  for (const [args, row] of [
    [["clone", "alpha", ".h1"], ""],
    [["clean", "--json=short"], '[{"name":".h1","freed":null}]\n'],
    [["clean", "--json=short"], "[]\n"],
  ] as const) {
    const process = new FakeProcess({ machines: [], images: [], nowUsec: 0n }, { env: { TERM: "dumb" } }, images);
    expect(await runMachinectl([...args], process)).toBe(0);
    expect([process.stdout, process.stderr]).toEqual([row, ""]);
  }
});
