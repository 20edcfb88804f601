// The settings of the fleet, /etc/machined/fleet.conf: the NATS server, the login, the host's name. The syntax is that
// of systemd.

import { parseSpanMs } from "../base/text/span.ts";
import { HOST_RULE, isFleetHost, SCOPES, type Scope } from "./names.ts";

/** The settings file of the host. */
export const FLEET_CONF = "/etc/machined/fleet.conf";

/** The settings; in the file their names begin with a capital letter. */
export interface FleetSettings {
  /** The URLs of the server, or of several servers of one cluster. */
  readonly urls: readonly string[];
  /** The name of the host in the fleet; "" for its host name. */
  readonly host: string;
  /** The path of a .creds file of NATS; "" for none. */
  readonly credentialsFile: string;
  readonly user: string;
  readonly passwordFile: string;
  readonly tlsCaFile: string;
  readonly tlsCertificateFile: string;
  readonly tlsKeyFile: string;
  /** The time after which the record of a host expires, unless it is written again. */
  readonly ttlMs: number;
  readonly allow: readonly Scope[];
  /** The prefix of this user's inboxes. */
  readonly inboxPrefix: string;
}

/** An invalid setting. The message names it. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";
}

export const DEFAULTS: FleetSettings = {
  ...{ urls: [], host: "", credentialsFile: "", user: "", passwordFile: "" },
  ...{ tlsCaFile: "", tlsCertificateFile: "", tlsKeyFile: "" },
  ...{ ttlMs: 30_000, allow: ["read"], inboxPrefix: "_INBOX" },
};

const LEAST_TTL_MS = 3000;
const MOST_TTL_MS = 24 * 3600_000;

/** Checks the URLs: `nats://`, `tls://`, or nothing before HOST[:PORT]. */
export function parseUrls(text: string): string[] {
  const urls = text.split(/[\s,]+/).filter((url) => url !== "");
  for (const url of urls) {
    if (!/^((nats|tls):\/\/)?[^\s/]+\/?$/.test(url))
      throw new SettingsError(
        `'${url.slice(url.lastIndexOf("@") + 1)}' is not the URL of a NATS server: nats://HOST:PORT or tls://HOST:PORT (in a password, write '/' as %2F)`,
      );
    if (!isDecodable(url.slice(0, Math.max(url.lastIndexOf("@"), 0))))
      throw new SettingsError(
        `The login in the URL of '${url.slice(url.lastIndexOf("@") + 1)}' cannot be decoded (in it, write '%' as %25)`,
      );
  }
  return urls;
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function path(text: string): string {
  if (text !== "" && !text.startsWith("/"))
    throw new SettingsError(`'${text}' is not an absolute path: it begins with '/'`);
  return text;
}

function host(text: string): string {
  if (text !== "" && !isFleetHost(text))
    throw new SettingsError(`'${text}' is not a name that a host can have in the fleet: ${HOST_RULE}`);
  return text;
}

function ttlMs(text: string): number {
  const ms = parseSpanMs(text);
  if (ms === undefined || ms < LEAST_TTL_MS || ms > MOST_TTL_MS)
    throw new SettingsError(`'${text}' is not a time from ${LEAST_TTL_MS / 1000}s to 1d`);
  return ms;
}

function allow(text: string): Scope[] {
  const words = text.split(/[\s,]+/).filter((word) => word !== "");
  const unknown = words.find((word) => !SCOPES.some((scope) => scope === word));
  if (unknown !== undefined) throw new SettingsError(`'${unknown}' is not a scope: there are ${SCOPES.join(", ")}`);
  return SCOPES.filter((scope) => words.includes(scope));
}

function inboxPrefix(text: string): string {
  if (!/^_INBOX[A-Za-z0-9_-]*$/.test(text))
    throw new SettingsError(
      `'${text}' is not valid: it is _INBOX, followed by letters, digits, '_' and '-', without a dot`,
    );
  return text;
}

/** The parser of each setting. */
const READERS: Readonly<Record<string, (text: string) => Partial<FleetSettings>>> = {
  Url: (text) => ({ urls: parseUrls(text) }),
  Host: (text) => ({ host: host(text) }),
  CredentialsFile: (text) => ({ credentialsFile: path(text) }),
  User: (text) => ({ user: text }),
  PasswordFile: (text) => ({ passwordFile: path(text) }),
  TlsCaFile: (text) => ({ tlsCaFile: path(text) }),
  TlsCertificateFile: (text) => ({ tlsCertificateFile: path(text) }),
  TlsKeyFile: (text) => ({ tlsKeyFile: path(text) }),
  Ttl: (text) => ({ ttlMs: ttlMs(text) }),
  Allow: (text) => ({ allow: allow(text) }),
  InboxPrefix: (text) => ({ inboxPrefix: inboxPrefix(text) }),
};

/** Returns the settings with one of them changed; throws a SettingsError. */
export function withSetting(settings: FleetSettings, name: string, text: string): FleetSettings {
  const read = Object.hasOwn(READERS, name) ? READERS[name] : undefined;
  if (read === undefined)
    throw new SettingsError(`Setting '${name}' is not known: there are ${Object.keys(READERS).join(", ")}`);
  try {
    return { ...settings, ...read(text) };
  } catch (error) {
    throw error instanceof SettingsError ? new SettingsError(`${name}=: ${error.message}`) : error;
  }
}

function outside(section: string): string {
  if (section === "") return "A setting is before the first section: add the line '[Fleet]' above it";
  return `A setting is in section [${section}], but only [Fleet] is known: add the line '[Fleet]' above it`;
}

/** Reads the text of a settings file; throws a SettingsError that names the line. */
export function parseFleetConf(text: string, file: string): FleetSettings {
  let settings = DEFAULTS;
  let section = "";
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const heading = /^\[([^\]]*)\]$/.exec(line)?.[1];
    const equals = line.indexOf("=");
    try {
      if (heading !== undefined) section = heading;
      else if (section !== "Fleet") throw new SettingsError(outside(section));
      else if (equals < 0) throw new SettingsError("The line has no '=': a setting is written NAME=VALUE");
      else settings = withSetting(settings, line.slice(0, equals).trim(), line.slice(equals + 1).trim());
    } catch (error) {
      throw error instanceof SettingsError ? new SettingsError(`${file}:${index + 1}: ${error.message}`) : error;
    }
  }
  return settings;
}
