// importctl, and machinectl's verbs for transfers, print what systemd's printed, byte by byte: every command of the
// recordings is run with a stand-in for the daemon, which sends what systemd's workers sent.
import { describe, expect, test } from "bun:test";
import { openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runClient } from "../../src/cli/program/client-program.ts";
import { IMPORTCTL } from "../../src/cli/program/importctl.ts";
import { MACHINECTL } from "../../src/cli/program/machinectl.ts";
import type { Bus } from "../../src/cli/session/ports.ts";
import type { BusCall } from "../../src/ipc/bus/connection.ts";
import type { BusTarget } from "../../src/ipc/bus/transport.ts";
import { Fd } from "../../src/kernel/file/fd.ts";
import { FakeBusError } from "../unit/cli/fake-managers.ts";
import { FakeProcess, FakeSyscallError, type Surroundings, WORLDS, type World } from "../unit/cli/fake-world.ts";

const DIRECTORY = join(import.meta.dir, "recordings/importctl");

interface Recording {
  readonly command: string;
  readonly body: string[];
}

function parseRecordings(text: string): Recording[] {
  const found: Recording[] = [];
  for (const line of text.split("\n")) {
    if (/^(pty)?\$ /.test(line)) found.push({ command: line, body: [] });
    else found.at(-1)?.body.push(line);
  }
  return found;
}

/** The words after the program's name. Some recorded words have blanks in them, which the record does not show. */
function wordsOf(text: string): string[] {
  const joined = text.replace(/bad name!|has space|bad ref::/g, (words) => words.replace(" ", "\u00a0"));
  const words = joined.replace(/ <.*$/, "").split(" ");
  return words.filter((word) => word !== "").map((word) => (word === "''" ? "" : word.replace("\u00a0", " ")));
}

function decodeEscapes(text: string): string {
  const bytes = text.replace(/\\(x[0-9a-f]{2}|r|t|\\)/g, (_, code: string) => {
    if (code === "r") return "\r";
    if (code === "t") return "\t";
    return code === "\\" ? "\\" : String.fromCharCode(Number.parseInt(code.slice(1), 16));
  });
  return Buffer.from(bytes, "latin1").toString();
}

interface Expected {
  readonly stdout: string;
  readonly stderr: string;
  /** What a terminal shows; empty without one. */
  readonly screen: string;
  readonly status: number;
}

function expectedOf({ command, body }: Recording): Expected {
  if (command.startsWith("pty$")) {
    const end = body.findIndex((line) => line.startsWith("--exit "));
    // The recorder adds a line end to the output.
    const shown = decodeEscapes(body.slice(0, end).join("\n"));
    const screen = shown.endsWith(`${CLEAR}\n`) ? shown.slice(0, -1) : shown;
    return { stdout: "", stderr: "", screen, status: Number(body[end]?.split(" ")[1]) };
  }
  const streams: Record<string, string> = { "[stdout]": "", "[stderr]": "" };
  let current = "";
  for (const line of body) {
    const status = /^\[exit (\d+)\]$/.exec(line)?.[1];
    if (status !== undefined) {
      const [stdout = "", stderr = ""] = Object.values(streams);
      return { stdout, stderr, screen: "", status: Number(status) };
    }
    if (line in streams) current = line;
    else streams[current] += `${line}\n`;
  }
  throw new Error("recording without an exit status");
}

/** The events of a transfer, in order: a line of its log, or its progress. */
type Event = string | number;

const CLEAR = "\r\u001b]9;4;0;\u001b\\\u001b[K\r";
const ESCAPE = "\\x1b";
const BAR = new RegExp(`^\\rTotal: ${ESCAPE}\\]9;4;1;(\\d+)${ESCAPE}\\\\[^%]*%${ESCAPE}\\[0m${ESCAPE}\\[K\\r`);

/** The events that caused a terminal's content: a bar alone is progress, one after a line belongs to the line. */
function eventsOnScreen(screen: string): Event[] {
  const events: Event[] = [];
  let rest = screen.slice(screen.indexOf(CLEAR));
  let isAfterLine = false;
  while (rest !== "" && rest !== CLEAR) {
    const bar = BAR.exec(rest);
    if (bar !== null) {
      if (!isAfterLine) events.push(Number(bar[1]) / 100);
      isAfterLine = false;
      rest = rest.slice(bar[0].length);
      continue;
    }
    expect(rest.startsWith(CLEAR)).toBe(true);
    const end = rest.indexOf("\r\r\n");
    const line = rest.slice(CLEAR.length, end);
    if (!line.startsWith("Enqueued")) events.push(line);
    isAfterLine = true;
    rest = rest.slice(end + 3);
  }
  return events;
}

/** A line on a coloured screen: a red line was an error. */
function messageOf(priority: number, line: string): [number, string] {
  const [start, end] = ["\u001b[0;1;31m", "\u001b[0m"];
  const red = line.startsWith(start) && line.endsWith(end) ? line.slice(start.length, -end.length) : undefined;
  return red === undefined ? [priority, line] : [DAEMON + ERROR, red];
}

function eventsOf({ stderr, screen }: Expected): Event[] {
  if (screen.includes(CLEAR)) return eventsOnScreen(screen);
  const lines = stderr.split("\n").slice(0, -1);
  return lines.slice(lines.findIndex((line) => line.startsWith("Enqueued")) + 1);
}

type Row = readonly [number, string, string, string, string, number];
const SLOW = "http://127.0.0.1:8000/slow";
const TWO: readonly Row[] = [
  [53, "pull-tar", `${SLOW}/mini.tar.gz`, "s1", "machine", 0.32],
  [54, "pull-raw", `${SLOW}/disk.raw`, "another-name", "machine", 0.13],
];

const IMPORT1 = "/org/freedesktop/import1";
const DAEMON = 3 << 3;
const [ERROR, INFO] = [3, 6];

/** The daemon, whose answers make the client print what was recorded. */
class FakeImportd {
  readonly calls: BusCall[] = [];
  readonly #expected: Expected;
  readonly #handlers: { member: string; handler: Parameters<Bus["subscribe"]>[1] }[] = [];

  constructor(expected: Expected) {
    this.#expected = expected;
  }

  get #isQuiet(): boolean {
    return !(this.#expected.stderr + this.#expected.screen).includes("Enqueued");
  }

  bus(): Bus {
    return {
      call: async (call) => {
        this.calls.push(call);
        await Promise.resolve();
        return this.#answer(call);
      },
      subscribe: async (rule, handler) => {
        this.#handlers.push({ member: rule.member ?? "", handler });
        return async () => {};
      },
      onClose: () => {},
      close: () => {},
    };
  }

  #answer({ member }: BusCall): unknown[] {
    const { stdout, stderr, screen } = this.#expected;
    const refusal = /^(?:Failed to transfer image|Could not cancel transfer): (.*)$/m.exec(stderr)?.[1];
    if (refusal !== undefined) throw new FakeBusError("org.freedesktop.DBus.Error.InvalidArgs", refusal);
    if (member === "CancelTransfer") return [];
    if (member === "ListImages") return [imagesRecorded()];
    if (member === "ListTransfersEx") return [transfersIn(stdout || screen)];
    const id = Number(/Enqueued transfer job (\d+)/.exec(stderr || screen)?.[1] ?? 1);
    queueMicrotask(() => this.#happen(id));
    return [id, `${IMPORT1}/transfer/_${id}`];
  }

  #send(member: string, path: string, body: unknown[]): void {
    for (const { member: wanted, handler } of this.#handlers) {
      if (wanted === member) handler(body, { path, member, sender: ":1.7" });
    }
  }

  #happen(id: number): void {
    const own = `${IMPORT1}/transfer/_${id}`;
    this.#send("LogMessage", `${own}0`, [6, "somebody else's"]);
    // Facility "daemon"; with --quiet only errors were recorded.
    const priority = DAEMON + (this.#isQuiet ? ERROR : INFO);
    for (const event of eventsOf(this.#expected)) {
      if (typeof event === "number") this.#send("ProgressUpdate", own, [event]);
      else this.#send("LogMessage", own, messageOf(priority, event));
    }
    this.#send("TransferRemoved", IMPORT1, [id, own, this.#expected.status === 0 ? "done" : "failed"]);
  }
}

/** The transfers in a recorded table. */
function transfersIn(text: string): unknown[][] {
  const rows = TWO.filter(([id]) => new RegExp(`^${id} `, "m").test(text));
  const only = rows.length === 1 && text.includes("20%");
  return rows.map((row) => [...(only ? [...row.slice(0, 5), 0.2] : row), `${IMPORT1}/transfer/_${row[0]}`]);
}

const UNKNOWN = 0xffff_ffff_ffff_ffffn;

/** The images of the recordings, as the JSON among them has them. */
function imagesRecorded(): unknown[][] {
  const text = readFileSync(join(DIRECTORY, "importctl.txt"), "utf8");
  const json = text.split("\n").find((line) => line.startsWith("[{")) ?? "[]";
  const size = (value: number | null) => (value === null ? UNKNOWN : BigInt(value));
  const rows = (JSON.parse(json) as Record<string, never>[]).map((row) => [
    ...[row["class"], row["name"], row["type"], row["path"], row["ro"]],
    ...[BigInt(row["crtime"] ?? 0), BigInt(row["mtime"] ?? 0)],
    ...[size(row["usage"] ?? null), UNKNOWN, size(row["limit"] ?? null), UNKNOWN],
  ]);
  return rows.reverse();
}

const FILES = ["mini.tar", "mini.tar.gz", "mini.tar.xz", "disk.raw"].map((name) => `/root/files/${name}`);

/** A process with the files of the recordings. */
class ImportProcess extends FakeProcess {
  readonly daemon: FakeImportd;

  constructor(around: Surroundings, expected: Expected) {
    super(WORLDS["empty"] as World, around);
    this.daemon = new FakeImportd(expected);
  }

  override connectBus = async (target: BusTarget): Promise<Bus> => {
    if (target.kind === "user") {
      const advice = "(consider using --machine=<user>@.host --user to connect to bus of other user)";
      throw new FakeSyscallError("ENOMEDIUM", `$DBUS_SESSION_BUS_ADDRESS and $XDG_RUNTIME_DIR not defined ${advice}`);
    }
    return this.daemon.bus();
  };

  override openFile = async (file: string | number, use = "read"): Promise<Fd> => {
    const isFolder = /^\/root\/files\/?$/.test(String(file));
    if (use === "directory" && !isFolder) throw new FakeSyscallError("ENOTDIR");
    const isThere = typeof file === "number" || isFolder || FILES.includes(file) || file === "/etc/passwd";
    const canBeMade = use === "create" && !String(file).startsWith("/nonexistent");
    if (!isThere && !canBeMade) throw new FakeSyscallError("ENOENT");
    return Fd.adopt(openSync("/dev/null", "r"));
  };
}

async function replay(recording: Recording): Promise<ImportProcess> {
  const { command } = recording;
  const [, before = "", program = "", after = ""] = /^(.*?)\b(machinectl|importctl)\b(.*)$/.exec(command) ?? [];
  const columns = /-c (\d+)/.exec(before)?.[1];
  const env = Object.fromEntries([...before.matchAll(/([A-Z_]+)=(\S*)/g)].map(([, name, value]) => [name, value]));
  const expected = expectedOf(recording);
  const around = { env, ...(columns === undefined ? {} : { columns: Number(columns) }) };
  const process = new ImportProcess(around, expected);
  const status = await runClient(program === "importctl" ? IMPORTCTL : MACHINECTL, wordsOf(after), process);
  if (command.startsWith("pty$")) {
    const screen = withoutProgressLines(expected.screen);
    const shown = screen === expected.screen ? process.screen : withPlainBars(process.screen);
    expect({ screen: shown, status }).toEqual({ screen, status: expected.status });
  } else {
    const printed = { stdout: process.stdout, stderr: process.stderr, status };
    expect(printed).toEqual(pick(expected, "stdout", "stderr") as typeof printed);
  }
  return process;
}

const PROGRESS_LINE = new RegExp(
  `\\r${ESCAPE}\\]9;4;0;${ESCAPE}\\\\${ESCAPE}\\[K\\rGot \\d+% of [^\\r]*\\r\\r\\n`,
  "g",
);
const BAR_ANYWHERE = /\rTotal: [^%]*\]9;4;1;(\d+)[^%]*%[^\r]*\r/g;

/** Bars reduced to their percentages: after a line about progress, machined's bars contain the rate. */
function withPlainBars(screen: string): string {
  return screen.replace(BAR_ANYWHERE, "<$1%>");
}

/**
 * systemd's screen without the lines that machined shows in the bar, and without the bars that were drawn below them.
 */
function withoutProgressLines(screen: string): string {
  if (screen.match(PROGRESS_LINE) === null) return screen;
  return withPlainBars(screen.replace(PROGRESS_LINE, "<line>")).replace(/<line><\d+%>/g, "");
}

function pick(expected: Expected, ...keys: (keyof Expected)[]): Partial<Expected> {
  return Object.fromEntries([...keys, "status" as const].map((key) => [key, expected[key]]));
}

for (const file of readdirSync(DIRECTORY).filter((name) => name.endsWith(".txt"))) {
  describe(`C131 C132 C135 C136 C137 ${file}`, () => {
    for (const recording of parseRecordings(readFileSync(join(DIRECTORY, file), "utf8"))) {
      test(recording.command, async () => {
        await replay(recording);
      });
    }
  });
}

describe("calls to the daemon", () => {
  /** The calls of a command line whose transfer succeeds. */
  async function callsOf(line: string): Promise<string[]> {
    const done = { command: `$ ${line}`, body: ["[stderr]", "Enqueued transfer job 1. …", "[exit 0]"] };
    const expected = expectedOf(done);
    const process = new ImportProcess({}, expected);
    const [program = "", ...rest] = line.split(" ");
    await runClient(program === "importctl" ? IMPORTCTL : MACHINECTL, wordsOf(rest.join(" ")), process);
    return process.daemon.calls.map(({ member, signature, body = [] }) => {
      const shown = body.map((value) => (value instanceof Fd ? "fd" : String(value)));
      return `${member}(${signature}) ${shown.join(" ")}`;
    });
  }

  const URL = "http://h/i.tar.gz";
  test.each([
    [`importctl -m pull-tar ${URL}`, `PullTarEx(sssst) ${URL} i machine signature 4`],
    [`importctl -m -N pull-tar ${URL}`, `PullTarEx(sssst) ${URL} i machine signature 0`],
    [`importctl -P pull-tar ${URL} n`, `PullTarEx(sssst) ${URL} n portable signature 0`],
    [
      `importctl -S --keep-download=yes --force --read-only pull-raw ${URL} -`,
      `PullRawEx(sssst) ${URL}  sysext signature 7`,
    ],
    [`importctl -C pull-oci reg.example/a/b:1`, "PullOci(ssst) reg.example/a/b:1 b confext 0"],
    [`machinectl --verify=no --force pull-raw ${URL} x.raw.xz`, `PullRawEx(sssst) ${URL} x machine no 5`],
    ["machinectl import-tar /root/files/mini.tar", "ImportTarEx(hsst) fd mini machine 0"],
    ["machinectl --read-only import-raw - r", "ImportRawEx(hsst) fd r machine 2"],
    ["importctl -P --force import-fs /root/files", "ImportFileSystemEx(hsst) fd files portable 1"],
    ["importctl -m export-tar a b.tar.zst", "ExportTarEx(sshst) a machine fd zstd 0"],
    ["importctl -m export-raw --format=xz a -", "ExportRawEx(sshst) a machine fd xz 0"],
    ["importctl -S list-transfers", "ListTransfersEx(st) sysext 0"],
    ["importctl list-images", "ListImages(st)  0"],
    ["importctl cancel-transfer 0x1f", "CancelTransfer(u) 31"],
    ["importctl cancel-transfer 010", "CancelTransfer(u) 8"],
  ])("%s", async (line, call) => {
    expect(await callsOf(line)).toEqual([call]);
  });

  test("an export of an unknown image fails before a file with content is truncated", async () => {
    const process = new ImportProcess({ hasContent: true }, { stdout: "", stderr: "", screen: "", status: 1 });
    process.openFile = () => Promise.reject(new Error("the file was opened"));
    expect(await runClient(IMPORTCTL, ["-m", "export-tar", "nosuch", "backup.tar"], process)).toBe(1);
    expect(process.stderr).toBe("Image nosuch not found.\n");
    expect(process.daemon.calls.map(({ member }) => member)).toEqual(["ListImages"]);
  });

  test("C117 --no-ask-password forbids interactive authorization", async () => {
    const process = new ImportProcess({}, expectedOf({ command: "$ x", body: ["[exit 0]"] }));
    await runClient(IMPORTCTL, ["--no-ask-password", "cancel-transfer", "4"], process);
    expect(process.daemon.calls[0]?.interactive).toBe(false);
  });

  test("C134 Ctrl-C ends the client, but not the transfer", async () => {
    const process = new ImportProcess({}, { stdout: "", stderr: "", screen: "", status: 0 });
    process.daemon.bus = () => ({
      call: async () => [9, `${IMPORT1}/transfer/_9`],
      subscribe: async () => async () => {},
      onClose: () => {},
      close: () => {},
    });
    process.interrupt = Promise.resolve();
    expect(await runClient(IMPORTCTL, ["-m", "pull-tar", URL], process)).toBe(1);
    expect(process.stderr).toBe(
      "Enqueued transfer job 9. Press C-c to continue download in background.\n" +
        'Continuing download in the background. Use "importctl cancel-transfer 9" to abort transfer.\n',
    );
  });

  test("a daemon that ends during a transfer is reported as a failure", async () => {
    const process = new ImportProcess({}, { stdout: "", stderr: "", screen: "", status: 0 });
    process.daemon.bus = () => ({
      call: async () => [9, `${IMPORT1}/transfer/_9`],
      subscribe: async (rule, handler) => {
        const gone = ["org.freedesktop.import1", ":1.7", ""];
        if (rule.member === "NameOwnerChanged") setTimeout(() => handler(gone, { path: "", sender: "", member: "" }));
        return async () => {};
      },
      onClose: () => {},
      close: () => {},
    });
    expect(await runClient(IMPORTCTL, ["-m", "pull-tar", URL], process)).toBe(1);
    expect(process.stderr).toContain("The transfer daemon ended before the transfer did.\n");
  });

  test("where the newer calls are unknown, the calls of 252 are used if they mean the same", async () => {
    const older = async (line: string) => {
      const process = new ImportProcess({}, { stdout: "", stderr: "", screen: "", status: 0 });
      const members: string[] = [];
      process.daemon.bus = () => ({
        call: async ({ member, body = [] }) => {
          members.push(`${member} ${body.filter((value) => !(value instanceof Fd)).join(" ")}`);
          if (member.endsWith("Ex"))
            throw new FakeBusError("org.freedesktop.DBus.Error.UnknownMethod", "Unknown method");
          return member.startsWith("List") ? [[[3, "pull-tar", "u", "l", -1, "/p"]]] : [9, "/p"];
        },
        subscribe: async () => async () => {},
        onClose: () => {},
        close: () => {},
      });
      process.interrupt = Promise.resolve();
      await runClient(IMPORTCTL, line.split(" "), process);
      return [members.slice(1).join(), process.stdout];
    };
    expect(await older(`-m --verify=checksum --force pull-tar ${URL}`)).toEqual([`PullTar ${URL} i checksum true`, ""]);
    expect(await older("-m --read-only import-tar - x")).toEqual(["ImportTar x false true", ""]);
    expect(await older("-m export-raw x y.xz")).toEqual(["ExportRaw x xz", ""]);
    expect(await older(`-P pull-tar ${URL}`)).toEqual(["", ""]);
    expect(await older(`-m --read-only pull-tar ${URL}`)).toEqual(["", ""]);
    expect((await older("list-transfers --no-legend"))[1]).toBe("3 - pull-tar machine l u\n");
    expect((await older("-P list-transfers"))[1]).toBe("No transfers.\n");
  });
});
