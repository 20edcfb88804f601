// The connection to the server: https with a private certificate authority, and proxies.
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isRoot, rootTest } from "../kernel/support.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { archive } from "../unit/worker/archive-builder.ts";
import { entries, FaultyServer, runWorker, Scratch } from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);

const scratch = new Scratch();
const hasOpenssl = havePrograms("https through a proxy", "openssl");
const reason = isRoot && hasOpenssl ? "" : " (left out: needs root and openssl)";
const TREE = new Uint8Array(archive({ name: "./", type: "5", mode: 0o755 }, { name: "f", data: "content" }));

/** A certificate authority, which signs certificates of servers. */
class Authority {
  readonly path = join(scratch.path, "ca.pem");

  constructor() {
    this.#run(`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=local
      -keyout ca.key -out ca.pem`);
  }

  /** A certificate for a subjectAltName, and its key. */
  issue(name: string, alternative: string, days = "30"): { cert: string; key: string } {
    this.#run(`openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=${name}
      -keyout ${name}.key -out ${name}.csr -addext subjectAltName=${alternative}`);
    this.#run(`openssl x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy
      -days ${days} -out ${name}.pem`);
    const read = (suffix: string) => readFileSync(join(scratch.path, `${name}.${suffix}`), "utf8");
    return { cert: read("pem"), key: read("key") };
  }

  #run(command: string): void {
    const { exitCode, stderr } = Bun.spawnSync(command.split(/\s+/), { cwd: scratch.path });
    if (exitCode !== 0) throw new Error(`${command}: ${stderr}`);
  }
}

function serveTls(tls: { cert: string; key: string }): string {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", tls, fetch: () => new Response(TREE) });
  afterAll(() => server.stop(true));
  return `https://127.0.0.1:${server.port}/t.tar`;
}

const pull = (root: string, url: string, env: Record<string, string>) =>
  runWorker("systemd-pull", ["tar", `--image-root=${root}`, "--verify=no", "--settings=no", url, "t"], env);

describe.skipIf(!isRoot || !hasOpenssl)(`https${reason}`, () => {
  const authority = hasOpenssl ? new Authority() : null;

  test("a server with a certificate of an authority that the host trusts is accepted, others are refused at once", async () => {
    const url = serveTls(authority?.issue("good", "IP:127.0.0.1") ?? { cert: "", key: "" });
    const root = scratch.root();
    expect((await pull(root, url, { SSL_CERT_FILE: authority?.path ?? "" })).code).toBe(0);
    expect(readFileSync(join(root, "t/f"), "utf8")).toBe("content");
    const other = scratch.root();
    const { code, log } = await pull(other, url, {});
    const refusal = `The certificate of '${new URL(url).host}' is refused: unable to verify`;
    expect([code, log]).toEqual([1, expect.stringContaining(refusal)]);
    expect(log).not.toContain("trying again");
    expect(entries(other)).toEqual([]);
  });

  test("a certificate for another name is refused", async () => {
    const url = serveTls(authority?.issue("other", "DNS:elsewhere.example") ?? { cert: "", key: "" });
    const { code, log } = await pull(scratch.root(), url, { SSL_CERT_FILE: authority?.path ?? "" });
    const refusal = `The certificate of '${new URL(url).host}' is refused: it is for another name`;
    expect([code, log]).toEqual([1, expect.stringContaining(refusal)]);
    expect(log).not.toContain("trying again");
  });
});

rootTest("a port at which no server listens fails the pull at once, as with the original", async () => {
  const closed = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
  const { port } = closed;
  closed.stop(true);
  const { code, log } = await pull(scratch.root(), `http://127.0.0.1:${port}/t.tar`, {});
  expect([code, log]).toEqual([1, expect.stringContaining("Connection refused")]);
  expect(log).not.toContain("trying again");
});

/** A proxy that records its requests: whole URLs for http, tunnels for https. */
class TestProxy {
  readonly asked: string[] = [];
  readonly #listener = Bun.listen<{ target: Bun.Socket<unknown> | null }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        socket.data = { target: null };
      },
      data: (socket, data) => void this.#take(socket, Buffer.from(data)),
      close: (socket) => void socket.data.target?.end(),
    },
  });

  constructor() {
    afterAll(() => this.#listener.stop(true));
  }

  get url(): string {
    return `http://user:secret@127.0.0.1:${this.#listener.port}`;
  }

  async #take(socket: Bun.Socket<{ target: Bun.Socket<unknown> | null }>, data: Buffer): Promise<void> {
    if (socket.data.target !== null) return void socket.data.target.write(data);
    const text = data.toString("latin1");
    const [method = "", address = ""] = text.split(" ");
    const authorization = /^proxy-authorization: (.*)\r$/im.exec(text)?.[1] ?? "";
    this.asked.push(`${method} ${address} ${authorization}`);
    if (method !== "CONNECT") {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${TREE.length}\r\n\r\n`);
      socket.write(TREE);
      return;
    }
    const [hostname = "", port = ""] = address.split(":");
    socket.data.target = await Bun.connect({
      hostname,
      port: Number(port),
      socket: { data: (_target, bytes) => void socket.write(bytes), close: () => void socket.end() },
    });
    socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
  }
}

const AUTHORIZED = `Basic ${Buffer.from("user:secret").toString("base64")}`;

rootTest("http uses the proxy that the environment names, except for the hosts in $no_proxy", async () => {
  const proxy = new TestProxy();
  const server = new FaultyServer();
  server.pages["t.tar"] = { body: Buffer.from(TREE) };
  const far = "http://images.invalid/t.tar";
  for (const name of ["http_proxy", "all_proxy"]) {
    expect((await pull(scratch.root(), far, { [name]: proxy.url })).code).toBe(0);
  }
  expect(proxy.asked).toEqual([`GET ${far} ${AUTHORIZED}`, `GET ${far} ${AUTHORIZED}`]);
  const near = { http_proxy: proxy.url, no_proxy: "localhost,127.0.0.1" };
  expect((await pull(scratch.root(), server.url("t.tar"), near)).code).toBe(0);
  expect([proxy.asked.length, server.asked("t.tar").length]).toEqual([2, 1]);
});

test.skipIf(!isRoot || !hasOpenssl)(`https uses a tunnel through the proxy${reason}`, async () => {
  const authority = new Authority();
  const proxy = new TestProxy();
  const url = serveTls(authority.issue("tunnel", "IP:127.0.0.1"));
  const env = { https_proxy: proxy.url, SSL_CERT_FILE: authority.path };
  expect((await pull(scratch.root(), url, env)).code).toBe(0);
  expect(proxy.asked).toEqual([`CONNECT ${new URL(url).host} ${AUTHORIZED}`]);
});
