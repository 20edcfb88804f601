// Names and passwords for registries, from where container tools keep them: containers-auth.json(5), docker's config.json,
// and the programs these files name.
import { join } from "node:path";
import { homeDirectory } from "../kernel/account.ts";
import { readSettings } from "../kernel/foreign-file.ts";
import { isErrno } from "../kernel/sys.ts";
import { log } from "./import-log.ts";

export interface Credentials {
  readonly user: string;
  /** Or, for the user IDENTITY_TOKEN, a token that others are given for. */
  readonly password: string;
}

/** The name that stands for none, where the password is a token of identity. */
export const IDENTITY_TOKEN = "<token>";

interface AuthFile {
  readonly auths?: Readonly<Record<string, { readonly auth?: string; readonly identitytoken?: string }>>;
  readonly credHelpers?: Readonly<Record<string, string>>;
  readonly credsStore?: string;
}

/** The files that may have credentials, the first that knows a registry wins. */
function authFiles(): string[] {
  const { REGISTRY_AUTH_FILE: given, XDG_RUNTIME_DIR: runtime, XDG_CONFIG_HOME: config } = process.env;
  if (given) return [given];
  const home = homeDirectory();
  return [
    join(runtime ?? `/run/containers/${process.geteuid?.() ?? 0}`, runtime ? "containers/auth.json" : "auth.json"),
    join(config ?? join(home, ".config"), "containers/auth.json"),
    join(home, ".docker/config.json"),
  ];
}

const AUTH_FILE_LIMIT_BYTES = 1 << 20;

function readAuthFile(path: string): AuthFile | null {
  try {
    return JSON.parse(readSettings(path, AUTH_FILE_LIMIT_BYTES).toString()) as AuthFile | null;
  } catch (error) {
    const reason = error instanceof Error && !(error instanceof SyntaxError) ? error.message : "It is no JSON";
    if (!isErrno(error, "ENOENT", "ENOTDIR")) log("warning", `Cannot read credentials from '${path}': ${reason}`);
    return null;
  }
}

const DOCKER_HUB = "registry-1.docker.io";
const DOCKER_NAMES = ["docker.io", "index.docker.io", "https://index.docker.io/v1/"];

/** The names a registry's entry may have, the most particular first: paths of images count. */
function keysOf(registry: string, image: string): string[] {
  const parts = image.split("/");
  const paths = parts.map((_, index) => `${registry}/${parts.slice(0, parts.length - index).join("/")}`);
  return [...paths, registry, `https://${registry}`, ...(registry === DOCKER_HUB ? DOCKER_NAMES : [])];
}

/** What is known for a registry; null when nothing is. */
export async function credentialsFor(registry: string, image: string): Promise<Credentials | null> {
  const keys = keysOf(registry, image);
  for (const path of authFiles()) {
    const file = readAuthFile(path);
    if (file === null) continue;
    const helper = keys.map((key) => file.credHelpers?.[key]).find((name) => name !== undefined);
    if (helper !== undefined) return askHelper(helper, registry);
    const entry = keys.map((key) => file.auths?.[key]).find((auth) => auth?.auth || auth?.identitytoken);
    if (entry?.identitytoken) return { user: IDENTITY_TOKEN, password: entry.identitytoken };
    if (entry?.auth) return decode(entry.auth);
    if (file.credsStore) return askHelper(file.credsStore, registry);
  }
  return null;
}

function decode(auth: string): Credentials | null {
  const text = Buffer.from(auth, "base64").toString();
  const colon = text.indexOf(":");
  return colon < 0 ? null : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

const HELPER_NAME = /^[A-Za-z0-9_-]+$/;
const HELPER_TIMEOUT_MS = 30_000;

/** docker-credential-NAME get: the registry on its standard input, an object on its standard output. */
async function askHelper(name: string, registry: string): Promise<Credentials | null> {
  const program = HELPER_NAME.test(name) ? Bun.which(`docker-credential-${name}`) : null;
  if (program === null) {
    log("warning", `No credential helper '${name}' on this host.`);
    return null;
  }
  const child = Bun.spawn([program, "get"], {
    stdio: [Buffer.from(registry), "pipe", "ignore"],
    timeout: HELPER_TIMEOUT_MS,
  });
  const text = await child.stdout.text();
  if ((await child.exited) !== 0) return null;
  try {
    const { Username: user, Secret: password } = JSON.parse(text) as { Username?: string; Secret?: string };
    return user !== undefined && password !== undefined ? { user, password } : null;
  } catch {
    log("warning", `Credential helper '${name}' did not answer as it should.`);
    return null;
  }
}
