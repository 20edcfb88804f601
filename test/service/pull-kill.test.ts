// Workers and daemons that are killed anywhere in a download: the next call resumes the download, and no files are left
// over. MACHINED_KILLS and MACHINED_KILL_MIB set the number of kills and the size of the file.
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isRoot } from "../kernel/support.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { workersOf } from "../lib/workers.ts";
import { archive } from "../unit/worker/archive-builder.ts";
import { Announcements, manager, TestImportd } from "./import-support.ts";
import { entries, runWorker, Scratch, startWorker } from "./pull-support.ts";

const KILLS = Number(process.env["MACHINED_KILLS"] ?? 3);
const MIB = Number(process.env["MACHINED_KILL_MIB"] ?? 24);
setDefaultTimeout(GUARD_MS);

const scratch = new Scratch();
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

/** A server that supports ranges, sends at a limited rate on each connection, and counts the bytes that it has sent. */
class ThrottledServer {
  readonly files: Record<string, Buffer> = {};
  sent = 0;
  #heard = 0;
  #target: { at: number; reached: () => void } | null = null;
  readonly #timers = new Set<ReturnType<typeof setInterval>>();
  readonly #listener = Bun.listen<{ rest: Buffer; timer: ReturnType<typeof setInterval> | null }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        socket.data = { rest: Buffer.alloc(0), timer: null };
      },
      data: (socket, data) => this.#answer(socket, Buffer.from(data).toString("latin1")),
      close: (socket) => this.#stop(socket.data.timer),
    },
  });

  constructor() {
    afterAll(() => {
      for (const timer of this.#timers) clearInterval(timer);
      this.#listener.stop(true);
    });
  }

  url(name: string): string {
    return `http://127.0.0.1:${this.#listener.port}/${name}`;
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Resolves when a number of bytes were sent, counted from now. */
  after(bytes: number): Promise<void> {
    this.#heard = this.sent;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#target = { at: bytes, reached: resolve };
    return promise;
  }

  #stop(timer: ReturnType<typeof setInterval> | null): void {
    if (timer === null) return;
    clearInterval(timer);
    this.#timers.delete(timer);
  }

  #answer(socket: Bun.Socket<{ rest: Buffer; timer: ReturnType<typeof setInterval> | null }>, text: string): void {
    const body = this.files[text.split(" ")[1]?.slice(1) ?? ""];
    if (body === undefined) return void socket.write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    const range = /^range: bytes=(\d+)-(\d*)\r$/im.exec(text);
    const [from, to] = [Number(range?.[1] ?? 0), range?.[2] ? Number(range[2]) + 1 : body.length];
    const head = [
      range === null ? "200 OK" : "206 Partial Content",
      'ETag: "s"',
      "Accept-Ranges: bytes",
      `Content-Length: ${to - from}`,
      ...(range === null ? [] : [`Content-Range: bytes ${from}-${to - 1}/${body.length}`]),
    ];
    socket.write(`HTTP/1.1 ${head.join("\r\n")}\r\n\r\n`);
    socket.data.rest = body.subarray(from, to);
    socket.data.timer = setInterval(() => {
      const taken = Math.max(0, socket.write(socket.data.rest.subarray(0, PIECE)));
      this.#count(taken);
      socket.data.rest = socket.data.rest.subarray(taken);
      if (socket.data.rest.length === 0) this.#stop(socket.data.timer);
    }, 2);
    this.#timers.add(socket.data.timer);
  }

  #count(bytes: number): void {
    this.sent += bytes;
    if (this.#target === null || this.sent - this.#heard < this.#target.at) return;
    this.#target.reached();
    this.#target = null;
  }
}

/** The bytes of every two milliseconds: slow enough that a large file is downloaded on several connections. */
const PIECE = 30_000;

const server = new ThrottledServer();
// With holes, because the length of a file must not be taken for the number of received bytes.
const content = Buffer.concat(
  Array.from({ length: MIB / 4 }, () => Buffer.concat([randomBytes(3 << 20), Buffer.alloc(1 << 20)])),
);
server.files["disk.raw"] = content;
server.files["tree.tar"] = archive(
  { name: "./", type: "5", mode: 0o755 },
  { name: "a", data: content.subarray(0, content.length >> 1) },
  { name: "b", data: content.subarray(content.length >> 1) },
);

/** The bytes that may be downloaded again. */
function allowance(size: number): number {
  return Math.max(0.03 * size, 2 << 20);
}

/** Bytes that the kernel has received: no process has read them yet, so none can keep them. */
function onTheWay(port: number): number {
  const ending = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = readFileSync("/proc/net/tcp", "latin1").split("\n").slice(1);
  return rows.reduce((sum, row) => {
    const [, local = "", remote = "", , queues = "0:0"] = row.trim().split(/\s+/);
    if (!local.endsWith(ending) && !remote.endsWith(ending)) return sum;
    return queues.split(":").reduce((total, bytes) => total + Number.parseInt(bytes, 16), sum);
  }, 0);
}

/** A moment that is chosen at random. */
function somewhere(name: string): { at: number; size: number } {
  const size = server.files[name]?.length ?? 0;
  return { at: Math.floor(Math.random() * size), size };
}

function expectWhole(root: string, name: string, where: string): void {
  const found =
    name === "disk.raw"
      ? [sha256(readFileSync(join(root, "image.raw")))]
      : [sha256(Buffer.concat(["a", "b"].map((part) => readFileSync(join(root, "image", part)))))];
  expect([where, ...found]).toEqual([where, sha256(content)]);
  expect([where, ...entries(root).filter((entry) => entry.startsWith(".#"))]).toEqual([where]);
}

const worst = { worker: 0, daemon: 0 };
afterAll(() => {
  const show = (share: number) => `${(share * 100).toFixed(2)} %`;
  console.log(
    `${KILLS} kills of each in ${MIB} MiB; fetched again at most: ${show(worst.worker)} after a worker's, ${show(worst.daemon)} after a daemon's`,
  );
});

describe.skipIf(!isRoot)(`downloads that are killed${isRoot ? "" : " (left out: needs root)"}`, () => {
  test("after a worker is killed at any point, the next one resumes, has the same content and leaves no other files", async () => {
    for (let i = 0; i < KILLS; i++) {
      const name = i % 2 === 0 ? "disk.raw" : "tree.tar";
      const { at, size } = somewhere(name);
      const root = scratch.root();
      const args = [
        name.endsWith("raw") ? "raw" : "tar",
        `--image-root=${root}`,
        "--verify=no",
        "--keep-download=no",
        server.url(name),
        "image",
      ];
      server.sent = 0;
      const child = startWorker("systemd-pull", args);
      await Promise.race([server.after(at), child.exited]);
      child.kill("SIGSTOP");
      const unseen = onTheWay(server.port);
      child.kill("SIGKILL");
      await child.exited;
      if (["image", "image.raw"].some((image) => existsSync(join(root, image)))) server.sent = unseen;
      const { code, log } = await runWorker("systemd-pull", [...args.slice(0, 2), "--force", ...args.slice(2)]);
      expect([at, code, code === 0 ? "" : log]).toEqual([at, 0, ""]);
      expectWhole(root, name, `killed at ${at}`);
      const again = server.sent - unseen - size;
      worst.worker = Math.max(worst.worker, again / size);
      expect(again).toBeLessThan(allowance(size));
      rmSync(root, { recursive: true });
    }
  });

  test("after a daemon is killed at any point, its workers end, and the next call resumes", async () => {
    await using daemon = await TestImportd.start({ SYSTEMD_PULL_PATH: "", SYSTEMD_IMPORT_SYNC: "no" });
    const root = join(daemon.images, "var/lib/machines");
    for (let i = 0; i < KILLS; i++) {
      const name = i % 2 === 0 ? "disk.raw" : "tree.tar";
      const { at, size } = somewhere(name);
      const begin = async () => {
        const bus = await daemon.bus();
        const heard = await Announcements.of(bus);
        const member = name.endsWith("raw") ? "PullRawEx" : "PullTarEx";
        const [id] = await manager(bus, member, "sssst", server.url(name), "image", "machine", "no", 1n);
        return { heard, id: id as number };
      };
      server.sent = 0;
      const reached = server.after(at);
      await begin();
      await reached;
      // None where the download has ended by now.
      const [worker] = workersOf(daemon.pid);
      await daemon.kill("SIGKILL");
      if (worker !== undefined) await waitFor(() => expect(isRunning(worker)).toBe(false), "the end of the worker");
      // The kill may have come too late: then the next call is another download.
      if (["image", "image.raw"].some((image) => existsSync(join(root, image)))) server.sent = 0;
      await daemon.run();
      const { heard, id } = await begin();
      await waitFor(() => expect(heard.of(id, "TransferRemoved").length).toBe(1), `the end of transfer ${id}`);
      expect([at, await heard.result(id)]).toEqual([at, "done"]);
      expectWhole(root, name, `killed at ${at}`);
      const again = server.sent - size;
      worst.daemon = Math.max(worst.daemon, again / size);
      expect(again).toBeLessThan(allowance(size));
      for (const image of ["image", "image.raw"]) rmSync(join(root, image), { recursive: true, force: true });
    }
  });

  test("partial downloads that were not resumed for a week are removed, newer ones stay", async () => {
    const root = scratch.root();
    mkdirSync(root);
    const [old, young, alone] = ["a", "b", "c"].map((digit) => `.#pull-${digit.repeat(16)}`);
    for (const name of [`${old}.part`, `${old}.state`, `${young}.part`, `${young}.state`, `${alone}.state.new`]) {
      writeFileSync(join(root, name), "x");
    }
    const eightDaysAgo = Date.now() / 1000 - 8 * 86_400;
    for (const suffix of ["part", "state"]) utimesSync(join(root, `${old}.${suffix}`), eightDaysAgo, eightDaysAgo);
    utimesSync(join(root, `${young}.part`), eightDaysAgo, eightDaysAgo);
    expect((await runWorker("systemd-import-sweep", [root])).code).toBe(0);
    expect(entries(root)).toEqual([`${young}.part`, `${young}.state`]);
  });
});

function isRunning(pid: number): boolean {
  try {
    return !/^State:\sZ/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return false;
  }
}
