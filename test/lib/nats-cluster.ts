// Three nats-servers of one cluster on the loopback interface, with JetStream, and agents and clients that connect to
// any of them.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { Subprocess } from "bun";
import { beginProgram, freePort } from "./nats.ts";
import { waitFor } from "./wait-for.ts";

interface Server {
  readonly name: string;
  readonly port: number;
  readonly routes: number;
  process: Subprocess | null;
}

export class TestCluster implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "machined-cluster-"));
  readonly #servers: readonly Server[] = ["a", "b", "c"].map((name) => ({
    ...{ name, port: freePort(), routes: freePort(), process: null },
  }));
  readonly #children: Subprocess[] = [];

  /** Starts the servers; makes the buckets and the stream with a copy on each server. */
  static async start(ttl: string): Promise<TestCluster> {
    const cluster = new TestCluster();
    for (const { name } of cluster.#servers) cluster.runServer(name);
    const setup = ["fleet", `--url=${cluster.urls()}`, `--ttl=${ttl}`, "--replicas=3", "setup"];
    await waitFor(async () => {
      const child = cluster.begin(setup);
      const [error, status] = await Promise.all([child.stderr.text(), child.exited]);
      if (status !== 0) throw new Error(error);
    }, "the buckets and the stream");
    return cluster;
  }

  /** The URLs of all servers, or of some. */
  urls(...names: readonly string[]): string {
    const chosen = this.#servers.filter(({ name }) => names.length === 0 || names.includes(name));
    return chosen.map(({ port }) => `nats://127.0.0.1:${port}`).join(",");
  }

  get names(): string[] {
    return this.#servers.map(({ name }) => name);
  }

  /** Starts a server, for the first time or again with its data. */
  runServer(name: string): void {
    const server = this.#server(name);
    const file = join(this.directory, `${name}.conf`);
    const routes = this.#servers.map((one) => `"nats://127.0.0.1:${one.routes}"`).join(", ");
    writeFileSync(
      file,
      `server_name: ${name}
listen: "127.0.0.1:${server.port}"
jetstream: { store_dir: "${join(this.directory, name)}" }
cluster: { name: test, listen: "127.0.0.1:${server.routes}", routes: [ ${routes} ] }
`,
    );
    const log = join(this.directory, `${name}.log`);
    server.process = Bun.spawn(["nats-server", "-c", file, "-l", log], { stdio: ["ignore", "ignore", "ignore"] });
  }

  /** Starts the servers that have ended. */
  runDead(): void {
    for (const { name, process } of this.#servers) {
      if (process !== null && (process.exitCode !== null || process.signalCode !== null)) this.runServer(name);
    }
  }

  async signalServer(name: string, signal: NodeJS.Signals): Promise<void> {
    const { process } = this.#server(name);
    process?.kill(signal);
    if (signal !== "SIGSTOP" && signal !== "SIGCONT") await process?.exited;
  }

  #server(name: string): Server {
    const server = this.#servers.find((one) => one.name === name);
    if (server === undefined) throw new Error(`There is no server ${name}`);
    return server;
  }

  connect(): Promise<NatsConnection> {
    return connect({ servers: this.urls().replaceAll("nats://", "").split(","), reconnect: false });
  }

  /** Returns the name of the server that leads a stream. */
  async leader(stream: string): Promise<string> {
    const nats = await this.connect();
    try {
      const api = await jetstreamManager(nats);
      const { cluster } = await api.streams.info(stream);
      return cluster?.leader ?? "";
    } finally {
      await nats.close();
    }
  }

  /** Starts the agent of a host. */
  agent(host: string, runtime: string, ...more: readonly string[]): Subprocess<"ignore", "pipe", "pipe"> {
    const args = ["fleet", `--url=${this.urls()}`, `--host=${host}`, "--allow=read,lifecycle,exec", ...more];
    return this.begin(args, { MACHINED_RUNTIME_DIRECTORY: runtime });
  }

  /** Starts a program of this project. */
  begin(args: readonly string[], env: Readonly<Record<string, string>> = {}): Subprocess<"ignore", "pipe", "pipe"> {
    const child = beginProgram(args, { HOME: this.directory, ...env });
    this.#children.push(child);
    return child;
  }

  /** Runs `machinectl --fleet` to its end. */
  async machinectl(...args: readonly string[]): Promise<{ stdout: string; stderr: string; status: number }> {
    const child = this.begin(["machinectl", `--fleet=${this.urls()}`, ...args]);
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    return { stdout, stderr, status: await child.exited };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [...this.#children, ...this.#servers.map(({ process }) => process)]) {
      child?.kill("SIGKILL");
      await child?.exited;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}
