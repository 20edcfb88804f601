// Names and passwords for registries, from the files of container tools: containers-auth.json(5), docker's config.json,
// and the programs that these files name.

import { isAbsolute, join } from "node:path";
import type { Subprocess } from "bun";
import { causeOf } from "../base/text/signal-cause.ts";
import { readSettings } from "../kernel/file/foreign-file.ts";
import { configDirectory, homeDirectory } from "../kernel/process/account.ts";
import { programPath } from "../kernel/process/program-path.ts";
import { isErrno } from "../kernel/syscall/sys.ts";

export interface Credentials {
  readonly user: string;
  /** For the user IDENTITY_TOKEN, a token that is exchanged for other tokens. */
  readonly password: string;
}

/** The name that means that the password is an identity token. */
export const IDENTITY_TOKEN = "<token>";

/** Called with the reason where credentials cannot be read. */
type Warn = (text: string) => void;

/** An entry of a file. Files are also written by hand: every value may be of any type. */
interface AuthEntry {
  readonly auth?: unknown;
  readonly identitytoken?: unknown;
  readonly username?: unknown;
  readonly password?: unknown;
}

interface AuthFile {
  readonly auths?: Readonly<Record<string, AuthEntry | null>>;
  readonly credHelpers?: Readonly<Record<string, unknown>>;
  readonly credsStore?: unknown;
}

/** Returns a value that is a text; "" for others. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/**
 * Whether a variable of XDG has a usable value: it counts as unset where it is empty or no absolute path. The current
 * directory, which may be anybody's, must not be searched for logins, nor for the names of programs that have them.
 */
function isPath(value: string | undefined): value is string {
  return value !== undefined && isAbsolute(value);
}

/** Returns the files that may have credentials; the first one with an entry for a registry is used. */
function authFiles(): string[] {
  const { REGISTRY_AUTH_FILE: given, XDG_RUNTIME_DIR: runtime, DOCKER_CONFIG } = process.env;
  if (given) return [given];
  return [
    isPath(runtime) ? join(runtime, "containers/auth.json") : `/run/containers/${process.geteuid?.() ?? 0}/auth.json`,
    join(configDirectory(), "containers/auth.json"),
    join(DOCKER_CONFIG || join(homeDirectory(), ".docker"), "config.json"),
  ];
}

const AUTH_FILE_LIMIT_BYTES = 1 << 20;

async function readAuthFile(path: string, warn: Warn): Promise<AuthFile | null> {
  try {
    return JSON.parse((await readSettings(path, AUTH_FILE_LIMIT_BYTES)).toString()) as AuthFile | null;
  } catch (error) {
    const reason = error instanceof Error && !(error instanceof SyntaxError) ? error.message : "It is not JSON";
    if (!isErrno(error, "ENOENT", "ENOTDIR")) warn(`Cannot read credentials from '${path}': ${reason}`);
    return null;
  }
}

const DOCKER_HUB = "registry-1.docker.io";
const DOCKER_NAMES = ["docker.io", "index.docker.io"];
/** The key of Docker's own program for its own registry. */
const DOCKER_HELPER_NAME = "https://index.docker.io/v1/";

/** Returns the possible keys of a registry's entry, the most specific first: with paths of images. */
function keysOf(registry: string, image: string): string[] {
  const parts = image.split("/");
  const paths = parts.map((_, index) => `${registry}/${parts.slice(0, parts.length - index).join("/")}`);
  return [...paths, registry, ...(registry === DOCKER_HUB ? DOCKER_NAMES : [])];
}

/**
 * Returns the entry of the first of `keys`. Some programs write keys as addresses of version 1 or 2 of the interface.
 */
function entryOf<Entry>(
  entries: Readonly<Record<string, Entry>> | undefined,
  keys: readonly string[],
): Entry | undefined {
  const plain = new Map<string, Entry>();
  for (const [name, entry] of Object.entries(entries ?? {})) {
    const key = name.replace(/^https?:\/\//, "").replace(/\/(v[12]\/?)?$/, "");
    if (name === key || !plain.has(key)) plain.set(key, entry);
  }
  const known = keys.find((key) => plain.has(key));
  return known === undefined ? undefined : plain.get(known);
}

/**
 * Returns the credentials for a registry, from the files of the user that this process runs as; null where there are
 * none.
 */
export async function credentialsFor(registry: string, image: string, warn: Warn): Promise<Credentials | null> {
  const keys = keysOf(registry, image);
  for (const path of authFiles()) {
    const file = await readAuthFile(path, warn);
    const found = file === null ? null : await credentialsIn(file, keys, registry, warn);
    if (found !== null) return found;
  }
  return null;
}

async function credentialsIn(
  file: AuthFile,
  keys: readonly string[],
  registry: string,
  warn: Warn,
): Promise<Credentials | null> {
  // An empty name means that the registry has no helper, and not that of the others either.
  const own = entryOf(file.credHelpers, keys);
  const helper = textOf(own);
  if (helper !== "") return askHelpers(helper, registry, warn);
  const entry = entryOf(withContent(file.auths), keys);
  const [token, auth, user] = [textOf(entry?.identitytoken), textOf(entry?.auth), textOf(entry?.username)];
  if (token !== "") return { user: IDENTITY_TOKEN, password: token };
  if (auth !== "") return decode(auth);
  if (user !== "") return { user, password: textOf(entry?.password) };
  const store = textOf(file.credsStore);
  return store === "" || own !== undefined ? null : askHelpers(store, registry, warn);
}

/** Returns the entries with content: where a credential store has the password, the entry is empty. */
function withContent(auths: AuthFile["auths"]): AuthFile["auths"] {
  const isFull = (entry: AuthEntry | null) =>
    [entry?.auth, entry?.identitytoken, entry?.username].some((value) => textOf(value) !== "");
  return Object.fromEntries(Object.entries(auths ?? {}).filter(([, entry]) => isFull(entry)));
}

async function askHelpers(name: string, registry: string, warn: Warn): Promise<Credentials | null> {
  for (const server of registry === DOCKER_HUB ? [DOCKER_HELPER_NAME, "docker.io", registry] : [registry]) {
    const found = await askHelper(name, server, warn);
    if (found !== null) return found;
  }
  return null;
}

function decode(auth: string): Credentials | null {
  // Old versions of Docker's program padded it with zeros.
  const text = Buffer.from(auth, "base64").toString().replace(/\0+$/, "");
  const colon = text.indexOf(":");
  return colon < 0 ? null : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

const HELPER_NAME = /^[A-Za-z0-9_-]+$/;
const HELPER_TIMEOUT_MS = 30_000;
/** How long the output of a helper that has ended is read: what it has written is there already. */
const REST_MS = 1000;

/**
 * Runs `docker-credential-NAME get` with the registry as standard input; returns the credentials in its output, or
 * null.
 */
async function askHelper(name: string, registry: string, warn: Warn): Promise<Credentials | null> {
  const program = HELPER_NAME.test(name) ? programPath(`docker-credential-${name}`) : null;
  if (program === null) {
    warn(`No credential helper '${name}' on this host.`);
    return null;
  }
  const began = performance.now();
  const child = Bun.spawn([program, "get"], {
    stdio: [Buffer.from(registry), "pipe", "ignore"],
    timeout: HELPER_TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  const text = await outputOf(child);
  const status = await child.exited;
  if (child.signalCode !== null) {
    const isLate = performance.now() - began >= HELPER_TIMEOUT_MS;
    const why = isLate
      ? `did not answer in ${HELPER_TIMEOUT_MS / 1000} s`
      : `was ended by ${causeOf(child.signalCode)}`;
    warn(`Credential helper '${name}' ${why}.`);
  }
  if (status !== 0) return null;
  try {
    const { Username: user, Secret: password } = JSON.parse(text) as { Username?: string; Secret?: string };
    return user !== undefined && password !== undefined ? { user, password } : null;
  } catch {
    warn(`Credential helper '${name}' printed no valid credentials.`);
    return null;
  }
}

/**
 * Returns what a helper writes until it ends. A program that it has started and left behind, such as an agent, may hold
 * its output open for much longer.
 */
async function outputOf(child: Subprocess<Buffer, "pipe", "ignore">): Promise<string> {
  const reader = child.stdout.getReader();
  const parts: Uint8Array[] = [];
  const reading = (async () => {
    for (let part = await reader.read(); !part.done; part = await reader.read()) parts.push(part.value);
  })();
  await Promise.race([reading, child.exited.then(() => Bun.sleep(REST_MS))]);
  await reader.cancel();
  return Buffer.concat(parts).toString();
}
