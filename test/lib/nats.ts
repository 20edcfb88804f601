// A nats-server for a test on a port of the loopback interface, and agents of hosts that connect to it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { Subprocess } from "bun";
import { waitFor } from "./wait-for.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const DOCUMENT = join(import.meta.dir, "../../docs/fleet.md");
/** The directory of the executable to test; without it, the sources are run. */
const DIST = process.env["MACHINED_DIST"];
/** The words that run the program under test. */
export const SELF = DIST === undefined ? [process.execPath, MAIN] : [join(DIST, "machined")];

/**
 * Returns the nats-server.conf of docs/fleet.md with another address and directory. Throws if it does not contain
 * these.
 */
function documentedConfiguration(address: string, directory: string): string {
  const [, text] = /```text\n(# nats-server\.conf\n[\s\S]*?)```/.exec(readFileSync(DOCUMENT, "utf8")) ?? [];
  if (text === undefined) throw new Error("docs/fleet.md shows no nats-server.conf");
  const [moved, placed] = [text.replace("0.0.0.0:4222", address), text.replace("/var/lib/nats", directory)];
  if (moved === text || placed === text)
    throw new Error("The nats-server.conf of docs/fleet.md names no address or directory");
  return moved.replace("/var/lib/nats", directory);
}

/** The output and exit status of a program. */
interface Run {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

/** Returns a TCP port of 127.0.0.1 that was free just now. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

/** Starts a program of this project, without input. */
export function beginProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Subprocess<"ignore", "pipe", "pipe"> {
  return Bun.spawn([...SELF, ...args], {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

interface ReadEvent {
  readonly event: string;
  readonly machine: string;
  readonly cursor: string;
}

/** Reads the output of `events --json=short`; returns a function that returns the events so far. */
export function followEvents(reader: Subprocess<"ignore", "pipe", "pipe">): () => ReadEvent[] {
  let seen = "";
  void (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of reader.stdout) seen += decoder.decode(chunk, { stream: true });
  })();
  return () =>
    seen
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as ReadEvent);
}

/** A server with the clients and agents that use it. */
export class TestFleet implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "machined-fleet-"));
  readonly port = freePort();
  readonly #children: Subprocess[] = [];
  #server: Subprocess | null = null;

  /** Starts a server with the documented configuration, and makes the streams by `machined fleet setup`. */
  static async start(ttl = "10min"): Promise<TestFleet> {
    const fleet = new TestFleet();
    writeFileSync(
      join(fleet.directory, "nats.conf"),
      documentedConfiguration(`127.0.0.1:${fleet.port}`, join(fleet.directory, "data")),
    );
    await fleet.runServer();
    const { status, stderr } = await fleet.client(["fleet", `--config=${fleet.conf("setup", { Ttl: ttl })}`, "setup"]);
    if (status !== 0) throw new Error(stderr);
    return fleet;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** Starts the server, for the first time or again with its data. */
  async runServer(): Promise<void> {
    const files = ["-c", join(this.directory, "nats.conf"), "-l", join(this.directory, "nats.log")];
    this.#server = Bun.spawn(["nats-server", ...files], { stdio: ["ignore", "ignore", "ignore"] });
    await waitFor(async () => (await this.connect("setup")).close(), "the server");
  }

  /** Sends a signal to the server; waits for its end, except after SIGSTOP and SIGCONT. */
  async signalServer(signal: NodeJS.Signals): Promise<void> {
    this.#server?.kill(signal);
    if (signal !== "SIGSTOP" && signal !== "SIGCONT") await this.#server?.exited;
  }

  /** Writes a settings file for a user of the documented configuration, with `more` settings; returns its path. */
  conf(user: string, more: Readonly<Record<string, string>> = {}): string {
    const file = join(this.directory, `${user}.conf`);
    writeFileSync(join(this.directory, `${user}.password`), `${user}-password\n`, { mode: 0o600 });
    const prefix = user === "setup" ? {} : { InboxPrefix: `_INBOX_${user}` };
    const password = join(this.directory, `${user}.password`);
    const settings = { Url: this.url, User: user, PasswordFile: password, ...prefix, ...more };
    const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
    writeFileSync(file, `[Fleet]\n${lines.join("")}`);
    return file;
  }

  /** Connects to the server as a user. */
  connect(user: string): Promise<NatsConnection> {
    return connect({
      servers: `127.0.0.1:${this.port}`,
      ...{ user, pass: `${user}-password`, reconnect: false },
      ...(user === "setup" ? {} : { inboxPrefix: `_INBOX_${user}` }),
    });
  }

  /** Starts the agent of a host; `runtime` is the runtime directory of the host's daemon. */
  agent(
    host: string,
    runtime: string,
    more: Readonly<Record<string, string>> = {},
  ): Subprocess<"ignore", "ignore", "pipe"> {
    const settings = { Host: host, Ttl: "10min", Allow: "read lifecycle", ...more };
    const child = Bun.spawn([...SELF, "fleet", `--config=${this.conf(host, settings)}`], {
      env: { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: runtime },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#children.push(child);
    return child;
  }

  /** Runs a program of this project to its end. */
  async client(args: readonly string[]): Promise<Run> {
    const child = this.begin(args);
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    return { stdout, stderr, status: await child.exited };
  }

  /** Starts a program of this project. */
  begin(args: readonly string[], env: Readonly<Record<string, string>> = {}): Subprocess<"ignore", "pipe", "pipe"> {
    const child = beginProgram(args, { HOME: this.directory, ...env });
    this.#children.push(child);
    return child;
  }

  /** Runs `machinectl --fleet` as a user. */
  machinectl(user: string, ...args: string[]): Promise<Run> {
    return this.client(["machinectl", `--fleet=${this.conf(user)}`, ...args]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [...this.#children, this.#server]) {
      child?.kill("SIGKILL");
      await child?.exited;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}
