// What a client that follows a transfer prints on a real terminal and into a pipe; the daemon is simulated.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "../../../lib/wait-for.ts";

const CLIENT = join(import.meta.dir, "../transfer-client.ts");
const URL = "http://host/image.tar";
const TRANSFER = "/org/freedesktop/import1/transfer/_7";
const INFO = 30;

class Follower implements AsyncDisposable {
  screen = "";
  readonly #directory = mkdtempSync(join(tmpdir(), "transfer-test-"));
  readonly #fifo = join(this.#directory, "events");
  #events: FileHandle | null = null;
  readonly child: Bun.Subprocess;

  constructor(args: readonly string[], columns: number | null, env: Record<string, string> = {}) {
    Bun.spawnSync(["mkfifo", this.#fifo]);
    const data = (_terminal: unknown, bytes: Uint8Array) => {
      this.screen += Buffer.from(bytes).toString();
    };
    this.child = Bun.spawn([process.execPath, CLIENT, ...args], {
      env: { PATH: process.env["PATH"] ?? "", TERM: "xterm", LC_ALL: "C.UTF-8", EVENTS: this.#fifo, ...env },
      ...(columns === null
        ? { stdio: ["ignore", "ignore", "pipe"] as const }
        : { terminal: { cols: columns, rows: 10, data } }),
    });
  }

  async send(...event: unknown[]): Promise<void> {
    this.#events ??= await open(this.#fifo, "w");
    await this.#events.write(`${JSON.stringify(event)}\n`);
  }

  async progress(percent: number, line: string): Promise<void> {
    await this.send("LogMessage", INFO, line);
    await this.send("ProgressUpdate", percent / 100);
  }

  shows(text: string): Promise<void> {
    return waitFor(() => expect(this.screen).toContain(text), text);
  }

  async end(): Promise<number> {
    await this.send("TransferRemoved", 7, TRANSFER, "done");
    return this.child.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
    this.child.terminal?.close();
    await this.#events?.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** The lines that a terminal of unlimited width shows at the end. */
function remaining(screen: string): string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the test searches for them
  const plain = screen.replace(/\u001b\]9;4;[^\u001b]*\u001b\\/g, "").replace(/\u001b\[[0-9;:]*m/g, "");
  return plain.split("\n").map((line) => {
    let shown = "";
    for (const part of line.split("\r")) {
      if (part.startsWith("\u001b[K") || part.startsWith("\u001b[J")) shown = part.slice(3);
      else shown = part.replace("\u001b[K", "") + shown.slice(part.length);
    }
    return shown.trimEnd();
  });
}

const ENQUEUED = "Enqueued transfer job 7. Press C-c to continue download in background.";
const left = (percent: number) => `Got ${percent}% of ${URL}. 6s left at 129.6K/s.`;

test("a terminal shows one live line that is erased after each update, and other lines stay above it", async () => {
  await using follower = new Follower(["-m", "pull-tar", URL], 80);
  await follower.shows("Enqueued");
  for (const percent of [1, 2, 15, 30]) await follower.progress(percent, left(percent));
  await follower.shows(" 30%");
  await follower.send("LogMessage", INFO, "Downloading 2 layers.");
  await follower.send("LogMessage", INFO, "evil \u001b[2J\rname");
  await follower.progress(99, left(99));
  await follower.shows(" 99%");
  expect(await follower.end()).toBe(0);
  expect(remaining(follower.screen)).toEqual([ENQUEUED, "Downloading 2 layers.", "evil \\x1b[2J\\x0dname", ""]);
});

test("the live line shows time and rate where the terminal is wide enough, and leaves the last column free", async () => {
  for (const [columns, isDetailed] of [
    [80, true],
    [50, false],
    [30, false],
  ] as const) {
    await using follower = new Follower(["-m", "pull-tar", URL], columns, { NO_COLOR: "1" });
    await follower.progress(40, left(40));
    await follower.shows(" 40%");
    const bar = Bun.stripANSI(follower.screen.split("\r").find((part) => part.includes(" 40%")) ?? "");
    expect([columns, Bun.stringWidth(bar), bar.endsWith("6s left at 129.6K/s")]).toEqual([
      columns,
      columns - 1,
      isDetailed,
    ]);
    await follower.end();
  }
});

test("when the terminal becomes narrower, the live line is drawn again in the new width and the old one is erased", async () => {
  await using follower = new Follower(["-m", "pull-tar", URL], 80, { NO_COLOR: "1" });
  await follower.progress(40, "Got 40% of it.");
  await follower.shows(" 40%");
  const before = follower.screen.length;
  follower.child.terminal?.resize(40, 10);
  await waitFor(() => expect(follower.screen.slice(before)).toContain(" 40%"), "the new line");
  const anew = follower.screen.slice(before);
  expect(anew).toStartWith("\r\u001b[J\rTotal: ");
  expect(Bun.stringWidth(Bun.stripANSI(anew).replaceAll("\r", ""))).toBe(39);
  expect(await follower.end()).toBe(0);
});

test("Ctrl-C erases the live line, and the transfer continues", async () => {
  await using follower = new Follower(["-m", "pull-tar", URL], 120);
  await follower.progress(40, left(40));
  await follower.shows(" 40%");
  follower.child.terminal?.write("\u0003");
  expect(await follower.child.exited).toBe(1);
  await follower.shows("to abort transfer.");
  expect(remaining(follower.screen)).toEqual([
    ENQUEUED,
    'Continuing download in the background. Use "importctl cancel-transfer 7" to abort transfer.',
    "",
  ]);
});

test("with TERM=dumb a line is printed for each tenth without escape sequences; with -q nothing is printed", async () => {
  await using dumb = new Follower(["-m", "pull-tar", URL], 80, { TERM: "dumb" });
  for (const percent of [1, 2, 15, 16]) await dumb.progress(percent, `Got ${percent}% of it.`);
  await dumb.end();
  await dumb.shows("Got 15% of it.");
  expect(dumb.screen).toBe(`${ENQUEUED}\r\nGot 1% of it.\r\nGot 15% of it.\r\n`);
  await using quiet = new Follower(["-m", "-q", "pull-tar", URL], 80);
  await quiet.progress(15, "Got 15% of it.");
  expect([await quiet.end(), quiet.screen]).toEqual([0, ""]);
});

test("into a pipe, a line is printed for each tenth", async () => {
  await using follower = new Follower(["-m", "pull-tar", URL], null);
  for (let percent = 1; percent <= 100; percent++) await follower.progress(percent, `Imported ${percent}%.`);
  await follower.send("LogMessage", INFO, "Imported 100% by hand");
  expect(await follower.end()).toBe(0);
  const tenths = [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100].map((percent) => `Imported ${percent}%.`);
  const text = await new Response(follower.child.stderr as ReadableStream).text();
  expect(text.trimEnd().split("\n")).toEqual([ENQUEUED, ...tenths, "Imported 100% by hand"]);
});
