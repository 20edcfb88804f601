// A connection to a NATS server. It ends with its first fault: whoever has it makes another, so that nothing is kept and sent later
// that nobody waits for any more.
import { readFileSync } from "node:fs";
import type { ConnectionOptions, NatsConnection } from "@nats-io/transport-node";
import { errnoText } from "../base/errno.ts";
import { errnoNameOf } from "../base/error.ts";
import { type FleetSettings, SettingsError } from "./settings.ts";

/** The server is asked this often whether it is there, and given up after two questions without an answer. */
const PING_MS = 10_000;
const CONNECT_MS = 5000;
const MOST_FILE_BYTES = 1 << 20;

/** The reason of an errno, else the message of an error. */
export function reasonOf(error: unknown): string {
  const errno = errnoNameOf(error);
  return errno === null ? (error as Error).message : errnoText(errno);
}

/** The text of the file that a setting names. */
function fileText(setting: string, path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new SettingsError(`Cannot read '${path}' (${setting}=): ${reasonOf(error)}`);
  }
  if (text.length > MOST_FILE_BYTES)
    throw new SettingsError(`'${path}' (${setting}=) has more than ${MOST_FILE_BYTES} bytes: it is not used`);
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

/** User and password that stand in a URL. */
function accountOf(url: string): { user: string; pass: string } | null {
  const [, user, pass] = /^(?:[a-z]+:\/\/)?([^@:/]*)(?::([^@]*))?@/.exec(url) ?? [];
  return user === undefined ? null : { user: decodeURIComponent(user), pass: decodeURIComponent(pass ?? "") };
}

/** The URLs of the servers without what is secret in them. */
export function shownUrls({ urls }: Pick<FleetSettings, "urls">): string {
  return urls.map((url) => url.replace(/^((?:nats|tls):\/\/)?.*@/, "$1")).join(", ");
}

/** Connects. Throws a SettingsError for files that cannot be read, or an error of NATS. */
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

/** The scope that a subject of a refused request belongs to; null for others. */
export function refusedSubject(error: unknown): string | null {
  const seen = error instanceof Error ? [error, error.cause] : [];
  for (const one of seen) {
    if (one instanceof Error && one.name === "PermissionViolationError" && "subject" in one) return String(one.subject);
  }
  return null;
}
