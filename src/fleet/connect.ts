// A connection to a NATS server. It ends with its first fault: whoever has it makes another, so that nothing is kept and sent later
// that nobody waits for any more.
import { readFileSync } from "node:fs";
import type { ConnectionOptions, NatsConnection } from "@nats-io/transport-node";
import { type FleetSettings, SettingsError } from "./settings.ts";

/** The server is asked this often whether it is there, and given up after two questions without an answer. */
const PING_MS = 10_000;
const CONNECT_MS = 5000;
const MOST_FILE_BYTES = 1 << 20;

function fileText(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new SettingsError(`Cannot read '${path}': ${(error as Error).message}`);
  }
  if (text.length > MOST_FILE_BYTES) throw new SettingsError(`'${path}' is too large`);
  return text;
}

function tlsOptions(settings: FleetSettings): ConnectionOptions {
  const { tlsCaFile, tlsCertificateFile, tlsKeyFile, urls } = settings;
  const isWanted = urls.some((url) => url.startsWith("tls://"));
  if (!isWanted && tlsCaFile === "" && tlsCertificateFile === "") return {};
  const part = (key: string, path: string) => (path === "" ? {} : { [key]: fileText(path) });
  return { tls: { ...part("ca", tlsCaFile), ...part("cert", tlsCertificateFile), ...part("key", tlsKeyFile) } };
}

/** User and password that stand in a URL. */
function accountOf(url: string): { user: string; pass: string } | null {
  const [, user, pass] = /^(?:[a-z]+:\/\/)?([^@:/]*)(?::([^@]*))?@/.exec(url) ?? [];
  return user === undefined ? null : { user: decodeURIComponent(user), pass: decodeURIComponent(pass ?? "") };
}

/** Connects. Throws a SettingsError for files that cannot be read, or an error of NATS. */
export async function connectFleet(settings: FleetSettings, name: string): Promise<NatsConnection> {
  const nats = await import("@nats-io/transport-node");
  const { urls, credentialsFile, user, passwordFile, inboxPrefix } = settings;
  const given = urls.map(accountOf).find((one) => one !== null) ?? null;
  const account = user === "" ? given : { user, pass: passwordFile === "" ? "" : fileText(passwordFile).trimEnd() };
  return nats.connect({
    name,
    servers: urls.map((url) =>
      url
        .replace(/^[a-z]+:\/\//, "")
        .replace(/^.*@/, "")
        .replace(/\/$/, ""),
    ),
    ...tlsOptions(settings),
    ...(credentialsFile === ""
      ? account === null
        ? {}
        : account
      : { authenticator: nats.credsAuthenticator(new TextEncoder().encode(fileText(credentialsFile))) }),
    inboxPrefix,
    reconnect: false,
    timeout: CONNECT_MS,
    pingInterval: PING_MS,
    maxPingOut: 2,
  } as ConnectionOptions);
}

/** The scope that a subject of a refused request belongs to; null for others. */
export function refusedSubject(error: unknown): string | null {
  const seen = error instanceof Error ? [error, error.cause] : [];
  for (const one of seen) {
    if (one instanceof Error && one.name === "PermissionViolationError" && "subject" in one) return String(one.subject);
  }
  return null;
}
