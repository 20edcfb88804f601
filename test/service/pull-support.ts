// A web server with selectable faults, and functions that run the worker programs with it in a scratch directory.
import { afterAll } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MAIN = join(import.meta.dir, "../../src/main.ts");

export interface Page {
  readonly body?: Buffer | string;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Answers in place of everything else; `count` is the number of requests for the page, including this one. */
  readonly answer?: (request: Request, count: number) => Response | Promise<Response>;
  /** Whether the server supports ranges of the body. */
  readonly ranges?: boolean;
}

export class FaultyServer {
  readonly pages: Record<string, Page> = {};
  readonly requests: { path: string; headers: Headers }[] = [];
  readonly #server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 60,
    fetch: (request) => this.#answer(request),
  });

  constructor() {
    afterAll(() => this.#server.stop(true));
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.#server.port}/${path}`;
  }

  asked(path: string): Headers[] {
    return this.requests.filter((request) => request.path === path).map(({ headers }) => headers);
  }

  #answer(request: Request): Response | Promise<Response> {
    const path = new URL(request.url).pathname.slice(1);
    this.requests.push({ path, headers: request.headers });
    const page = this.pages[path];
    if (page === undefined) return new Response("none", { status: 404 });
    if (page.answer !== undefined) return page.answer(request, this.asked(path).length);
    return page.ranges ? ranged(request, page) : plain(request, page);
  }
}

function plain(request: Request, { body = "", status = 200, headers = {} }: Page): Response {
  const tag = headers["ETag"];
  if (tag !== undefined && (request.headers.get("if-none-match") ?? "").split(", ").includes(tag)) {
    return new Response(null, { status: 304, headers: { ETag: tag } });
  }
  return new Response(bytesOf(body), { status, headers });
}

export function bytesOf(body: Buffer | string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(body));
}

function ranged(request: Request, page: Page): Response {
  const body = Buffer.from(page.body ?? "");
  const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get("range") ?? "");
  const validator = request.headers.get("if-range");
  const known = [page.headers?.["ETag"], page.headers?.["Last-Modified"]];
  if (match === null || (validator !== null && !known.includes(validator))) return plain(request, page);
  const [from, to] = [Number(match[1]), match[2] === "" ? body.length - 1 : Number(match[2])];
  if (from >= body.length) return new Response(null, { status: 416 });
  return new Response(bytesOf(body.subarray(from, to + 1)), {
    status: 206,
    headers: { ...page.headers, "Content-Range": `bytes ${from}-${to}/${body.length}` },
  });
}

/**
 * What a raw server sends for one request: exactly these bytes, and then it closes the connection, or sends nothing
 * more.
 */
export interface RawReply {
  readonly head: readonly string[];
  readonly body?: Buffer;
  readonly after?: "close" | "wait";
}

export interface RawRequest {
  readonly path: string;
  readonly headers: ReadonlyMap<string, string>;
  /** The start of a Range header; 0 without one. */
  readonly from: number;
  /** The number of requests for this path, including this one. */
  readonly count: number;
}

/** A server that may send invalid answers, which no library corrects. */
export class RawServer {
  readonly requests: RawRequest[] = [];
  readonly #listener: Bun.TCPSocketListener<undefined>;

  constructor(answer: (request: RawRequest) => RawReply | null) {
    this.#listener = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data: (socket, data) => {
          const request = this.#parse(Buffer.from(data).toString("latin1"));
          const reply = answer(request) ?? { head: ["404 Not Found", "Content-Length: 0"] };
          sendAll(
            socket,
            Buffer.concat([Buffer.from(`HTTP/1.1 ${reply.head.join("\r\n")}\r\n\r\n`), reply.body ?? Buffer.alloc(0)]),
            reply.after !== "wait",
          );
        },
        drain: (socket) => flush(socket),
      },
    });
    afterAll(() => this.#listener.stop(true));
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.#listener.port}/${path}`;
  }

  #parse(text: string): RawRequest {
    const [first = "", ...lines] = text.split("\r\n");
    const path = first.split(" ")[1]?.slice(1) ?? "";
    const headers = new Map(
      lines
        .filter((line) => line.includes(": "))
        .map((line): [string, string] => {
          const at = line.indexOf(": ");
          return [line.slice(0, at).toLowerCase(), line.slice(at + 2)];
        }),
    );
    const from = Number(/^bytes=(\d+)-/.exec(headers.get("range") ?? "")?.[1] ?? 0);
    const request = { path, headers, from, count: this.requests.filter((one) => one.path === path).length + 1 };
    this.requests.push(request);
    return request;
  }
}

const waiting = new WeakMap<object, { rest: Buffer; close: boolean }>();

type RawSocket = { write(data: Buffer): number; end(): unknown };

function sendAll(socket: RawSocket, bytes: Buffer, close: boolean): void {
  waiting.set(socket, { rest: bytes, close });
  flush(socket);
}

function flush(socket: RawSocket): void {
  const state = waiting.get(socket);
  if (state === undefined) return;
  state.rest = state.rest.subarray(Math.max(0, socket.write(state.rest)));
  if (state.rest.length > 0) return;
  waiting.delete(socket);
  if (state.close) socket.end();
}

export interface Run {
  readonly code: number;
  readonly log: string;
  readonly stdout: Buffer;
}

export class Scratch {
  readonly path = mkdtempSync(join(tmpdir(), "pull-test-"));
  #roots = 0;

  constructor() {
    afterAll(() => {
      Bun.spawnSync(["chattr", "-R", "-i", this.path], { stderr: "ignore" });
      rmSync(this.path, { recursive: true, force: true });
    });
  }

  /** A new directory of images. */
  root(): string {
    return join(this.path, `root${this.#roots++}`);
  }
}

export function startWorker(program: string, args: readonly string[], env: Record<string, string> = {}) {
  return Bun.spawn([process.execPath, MAIN, program, ...args], {
    env: { PATH: process.env["PATH"] ?? "", SYSTEMD_IMPORT_SYNC: "no", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Runs a worker program until it ends. */
export async function runWorker(program: string, args: readonly string[], env?: Record<string, string>): Promise<Run> {
  const child = startWorker(program, args, env);
  const [stdout, log] = await Promise.all([new Response(child.stdout).bytes(), child.stderr.text()]);
  return { code: await child.exited, log, stdout: Buffer.from(stdout) };
}

/** The number of bytes of a running download in its directory of images. */
export function spooledBytes(root: string): number {
  if (!existsSync(root)) return 0;
  const spool = readdirSync(root).find((name) => /^\.#pull-[0-9a-f]+\.part$/.test(name));
  return spool === undefined ? 0 : statSync(join(root, spool)).size;
}

/** The names in a directory of images, sorted, without lock files. */
export function entries(root: string): string[] {
  return readdirSync(root)
    .filter((name) => !name.endsWith(".lck"))
    .sort();
}
