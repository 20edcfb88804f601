// The fleet over TLS, with certificates on both sides and with .creds files: a nats-server in operator mode, whose
// account and users are made here (docs of NATS: "Decentralized JWT Authentication").
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAccount, createOperator, createUser, type KeyPair } from "@nats-io/nkeys";
import type { Subprocess } from "bun";
import { isRoot, register, TestDaemon } from "../lib/daemon.ts";
import { freePort, SELF } from "../lib/nats.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";

setDefaultTimeout(GUARD_MS);

const has = isRoot && havePrograms("the fleet over TLS", "nats-server", "openssl", "unshare");
const directory = mkdtempSync(join(tmpdir(), "machined-fleet-tls-"));
const port = freePort();
const at = (name: string) => join(directory, name);
const children: Subprocess[] = [];
let daemon: TestDaemon;

function openssl(...args: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["openssl", ...args], { cwd: directory, stderr: "pipe" });
  if (exitCode !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
}

/** A certificate that an authority signs, for a name and addresses. */
function certify(name: string, authority: string, names: string): void {
  openssl(
    "req",
    "-newkey",
    "ed25519",
    "-nodes",
    "-keyout",
    `${name}.key`,
    "-out",
    `${name}.csr`,
    "-subj",
    `/CN=${name}`,
  );
  writeFileSync(at(`${name}.ext`), `subjectAltName=${names}\n`);
  const signer = ["-CA", `${authority}.pem`, "-CAkey", `${authority}.key`, "-CAcreateserial"];
  openssl(
    "x509",
    "-req",
    "-in",
    `${name}.csr`,
    ...signer,
    "-out",
    `${name}.pem`,
    "-days",
    "30",
    "-extfile",
    `${name}.ext`,
  );
}

function makeAuthority(name: string): void {
  const key = ["-newkey", "ed25519", "-nodes", "-keyout", `${name}.key`];
  openssl("req", "-x509", ...key, "-out", `${name}.pem`, "-subj", `/CN=${name}`, "-days", "30");
}

/** A JWT for nats-server: claims that an issuer has signed. */
function token(issuer: KeyPair, subject: KeyPair, nats: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = {
    jti: crypto.randomUUID(),
    iat: Math.floor(Date.now() / 1000),
    iss: issuer.getPublicKey(),
    name: "test",
    sub: subject.getPublicKey(),
    nats: { version: 2, ...nats },
  };
  const text = `${part({ typ: "JWT", alg: "ed25519-nkey" })}.${part(claims)}`;
  return `${text}.${Buffer.from(issuer.sign(Buffer.from(text))).toString("base64url")}`;
}

const UNLIMITED = { subs: -1, data: -1, payload: -1 };

/** Writes a .creds file of a user of the account. */
function makeCredentials(account: KeyPair, file: string, permissions: object): void {
  const user = createUser();
  const jwt = token(account, user, { type: "user", ...UNLIMITED, ...permissions });
  const block = (name: string, text: string) => `-----BEGIN ${name}-----\n${text}\n------END ${name}------\n\n`;
  const seed = new TextDecoder().decode(user.getSeed());
  writeFileSync(file, block("NATS USER JWT", jwt) + block("USER NKEY SEED", seed), { mode: 0o600 });
}

function makeServerFiles(): void {
  makeAuthority("ca");
  makeAuthority("other");
  certify("server", "ca", "IP:127.0.0.1,DNS:localhost");
  certify("client", "ca", "DNS:client");
  certify("stranger", "other", "DNS:client");
  const [operator, system, account] = [createOperator(), createAccount(), createAccount()];
  const limits = { ...UNLIMITED, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
  const storage = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const own = (key: KeyPair, more = {}) => token(operator, key, { type: "account", limits: { ...limits, ...more } });
  makeCredentials(account, at("all.creds"), {});
  makeCredentials(account, at("exec.creds"), { pub: { allow: ["machined.*.exec.run"] }, sub: { allow: ["_INBOX.>"] } });
  writeFileSync(
    at("nats.conf"),
    `listen: "127.0.0.1:${port}"
jetstream: { store_dir: "${at("data")}" }
tls: { cert_file: "${at("server.pem")}", key_file: "${at("server.key")}", ca_file: "${at("ca.pem")}", verify: true }
operator: "${token(operator, operator, { type: "operator", system_account: system.getPublicKey() })}"
system_account: ${system.getPublicKey()}
resolver: MEMORY
resolver_preload: {
  ${system.getPublicKey()}: "${own(system)}"
  ${account.getPublicKey()}: "${own(account, storage)}"
}
`,
  );
}

/** A settings file. */
function conf(name: string, change: Readonly<Record<string, string>> = {}): string {
  const settings = {
    Url: `tls://127.0.0.1:${port}`,
    CredentialsFile: at("all.creds"),
    TlsCaFile: at("ca.pem"),
    TlsCertificateFile: at("client.pem"),
    TlsKeyFile: at("client.key"),
    Ttl: "10min",
    ...change,
  };
  const lines = Object.entries(settings)
    .filter(([, value]) => value !== "")
    .map(([key, value]) => `${key}=${value}\n`);
  writeFileSync(at(`${name}.conf`), `[Fleet]\n${lines.join("")}`);
  return at(`${name}.conf`);
}

async function client(...args: string[]): Promise<{ stdout: string; stderr: string; status: number }> {
  const env = { PATH: process.env["PATH"] ?? "", HOME: directory };
  const child = Bun.spawn([...SELF, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { stdout, stderr, status: await child.exited };
}

const list = (file: string) => client("machinectl", `--fleet=${file}`, "list", "--no-legend", "--columns=host,machine");

beforeAll(async () => {
  if (!has) return;
  makeServerFiles();
  const files = ["-c", at("nats.conf"), "-l", at("nats.log")];
  children.push(Bun.spawn(["nats-server", ...files], { stdio: ["ignore", "ignore", "ignore"] }));
  const setup = conf("setup");
  await waitFor(async () => {
    const { status, stderr } = await client("fleet", `--config=${setup}`, "setup");
    if (status !== 0) throw new Error(stderr);
  }, "the buckets and streams");
  daemon = await TestDaemon.start();
  await register(await daemon.bus(), "deb1", await daemon.leader("--net"));
  const env = { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: daemon.runtime };
  const args = ["fleet", `--config=${conf("agent", { Host: "web1", Allow: "read lifecycle" })}`];
  children.push(Bun.spawn([...SELF, ...args], { env, stdio: ["ignore", "ignore", "inherit"] }));
  await waitFor(async () => expect((await list(setup)).stdout).toContain("deb1"), "the agent's machines");
});

afterAll(async () => {
  for (const child of children) {
    child.kill("SIGKILL");
    await child.exited;
  }
  await daemon?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

describe.skipIf(!has)(
  has ? "a fleet over TLS" : "a fleet over TLS (left out: needs root, nats-server, openssl and unshare)",
  () => {
    test("agents and clients with certificates and .creds files work together", async () => {
      const file = conf("reader");
      expect(await list(file)).toEqual({ stdout: "web1 deb1\n", stderr: "", status: 0 });
      const status = await client("machinectl", `--fleet=${file}`, "status", "web1/deb1", "--json=short");
      expect(status).toMatchObject({ status: 0, stdout: expect.stringContaining("deb1") });
    });

    test("a server whose certificate is not signed by the authority is refused", async () => {
      const { stderr, status } = await list(conf("strange-server", { TlsCaFile: at("other.pem") }));
      expect(status).toBe(1);
      expect(stderr).toMatch(/^Cannot connect to the NATS server at tls:\/\/127\.0\.0\.1:\d+: .*certificate/);
    });

    test("the server refuses a client certificate of another authority, and a client without one", async () => {
      const stranger = { TlsCertificateFile: at("stranger.pem"), TlsKeyFile: at("stranger.key") };
      for (const change of [stranger, { TlsCertificateFile: "", TlsKeyFile: "" }]) {
        const { stdout, stderr, status } = await list(conf("stranger", change));
        expect({ stdout, status }).toEqual({ stdout: "", status: 1 });
        expect(stderr).toMatch(
          /^Cannot connect to the NATS server at tls:\S+: the server closed the connection before the login/,
        );
      }
    });

    test("a user whose token permits only commands cannot read records", async () => {
      const { stderr, status } = await list(conf("runner", { CredentialsFile: at("exec.creds") }));
      expect(status).toBe(1);
      expect(stderr).toContain("This user of NATS does not have the scope 'read'");
    });

    test("errors name an unknown token, an invalid file and a missing file", async () => {
      makeCredentials(createAccount(), at("foreign.creds"), {});
      writeFileSync(at("broken.creds"), "no credentials\n");
      for (const [name, reason] of [
        ["foreign.creds", /: Authorization Violation\n/],
        ["broken.creds", /: CredentialsFile= names no \.creds file of NATS\n/],
        ["missing.creds", /^Cannot read '.*missing\.creds' \(CredentialsFile=\): No such file or directory\n/],
      ] as const) {
        const { stderr, status } = await list(conf("foreign", { CredentialsFile: at(name) }));
        expect({ stderr, status }).toEqual({ stderr: expect.stringMatching(reason), status: 1 });
      }
    });
  },
);
