// A connection to a NATS server. It does not reconnect: after a fault its owner opens another one, so that no queued
// request is sent after its caller has given up.
import { readFileSync } from "node:fs";
import type { ConnectionOptions, NatsConnection } from "@nats-io/transport-node";
import { errnoText } from "../base/errno.ts";
import { errnoNameOf } from "../base/error.ts";
import { type FleetSettings, SettingsError } from "./settings.ts";

/** The interval of pings to the server. After two pings without an answer the connection ends. */
const PING_MS = 10_000;
const CONNECT_MS = 5000;
const MOST_FILE_BYTES = 1 << 20;

/** Returns the text of an error's errno or, without one, its message. */
export function reasonOf(error: unknown): string {
  const errno = errnoNameOf(error);
  return errno === null ? (error as Error).message : errnoText(errno);
}

/** Returns the text of the file that a setting names. Throws a SettingsError. */
function fileText(setting: string, path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new SettingsError(`Cannot read '${path}' (${setting}=): ${reasonOf(error)}`);
  }
  if (text.length > MOST_FILE_BYTES)
    throw new SettingsError(`'${path}' (${setting}=) is longer than ${MOST_FILE_BYTES} bytes`);
  return text;
}

function tlsOptions(settings: FleetSettings): ConnectionOptions {
  const { tlsCaFile, tlsCertificateFile, tlsKeyFile, urls } = settings;
  const isWanted = urls.some((url) => url.startsWith("tls://"));
  if (!isWanted && tlsCaFile === "" && tlsCertificateFile === "") return {};
  const part = (key: string, setting: string, path: string) => (path === "" ? {} : { [key]: fileText(setting, path) });
  return {
    tls: {
      ...part("ca", "TlsCaFile", tlsCaFile),
      ...part("cert", "TlsCertificateFile", tlsCertificateFile),
      ...part("key", "TlsKeyFile", tlsKeyFile),
    },
  };
}

/** Returns the user and password in a URL, or null. The last '@' ends them, as in other URLs. */
function accountOf(url: string): { user: string; pass: string } | null {
  const [, user, pass] = /^(?:[a-z]+:\/\/)?([^:/]*?)(?::(.*))?@[^@]*$/.exec(url) ?? [];
  return user === undefined ? null : { user: decodeURIComponent(user), pass: decodeURIComponent(pass ?? "") };
}

/** Returns the URLs of the servers without users and passwords. */
export function shownUrls({ urls }: Pick<FleetSettings, "urls">): string {
  return urls.map((url) => url.replace(/^((?:nats|tls):\/\/)?.*@/, "$1")).join(", ");
}

/** Connects with the given client name. Throws a SettingsError for files that cannot be read, or an error of NATS. */
export async function connectFleet(settings: FleetSettings, name: string): Promise<NatsConnection> {
  const nats = await import("@nats-io/transport-node");
  const { urls, credentialsFile, user, passwordFile, inboxPrefix } = settings;
  const given = urls.map(accountOf).find((one) => one !== null) ?? null;
  const account =
    user === "" ? given : { user, pass: passwordFile === "" ? "" : fileText("PasswordFile", passwordFile).trimEnd() };
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
      : {
          authenticator: nats.credsAuthenticator(
            new TextEncoder().encode(fileText("CredentialsFile", credentialsFile)),
          ),
        }),
    inboxPrefix,
    reconnect: false,
    timeout: CONNECT_MS,
    pingInterval: PING_MS,
    maxPingOut: 2,
  } as ConnectionOptions);
}

/** Returns the subject that the server refused to this user; null for other errors. */
export function refusedSubject(error: unknown): string | null {
  const seen = error instanceof Error ? [error, error.cause] : [];
  for (const one of seen) {
    if (one instanceof Error && one.name === "PermissionViolationError" && "subject" in one) return String(one.subject);
  }
  return null;
}
