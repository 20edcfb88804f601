// The options of `machined fleet`: one for each setting of its file, and those of `setup`.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { OptionRow } from "../base/getopt.ts";
import { FLEET_CONF, type FleetSettings, SettingsError } from "../fleet/settings.ts";

/** A parsed command line of `machined fleet`. */
export interface FleetCommand {
  config: string | null;
  /** Settings by their names in the file, in the order given. */
  readonly settings: [name: string, value: string][];
  replicas: number;
  /** The size limit of each stream in bytes; -1 for none. */
  mostBytes: number;
  help: boolean;
}

interface Row extends OptionRow<FleetCommand, null> {
  readonly valueHint?: string;
  readonly description: string;
}

function setting(name: string, valueHint: string, description: string): Row {
  return { type: "string", valueHint, description, apply: ({ settings }, value) => void settings.push([name, value]) };
}

function whole(value: string, least: number, most: number, option: string): number {
  const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= least && number <= most))
    throw new SettingsError(`${option}${value}: '${value}' is not a number from ${least} to ${most}`);
  return number;
}

export const FLEET_OPTIONS: Readonly<Record<string, Row>> = {
  help: {
    type: "boolean",
    alias: "h",
    description: "Print this help",
    apply: (command) => {
      command.help = true;
    },
  },
  config: {
    type: "string",
    valueHint: "FILE",
    description: `The file of settings; ${FLEET_CONF} unless given`,
    apply: (command, file) => {
      command.config = file;
    },
  },
  url: setting("Url", "URL,…", "The server, or several of one cluster: nats://HOST:PORT or tls://HOST:PORT"),
  host: setting("Host", "NAME", "The name of this host in the fleet; its host name unless given"),
  "credentials-file": setting(
    "CredentialsFile",
    "FILE",
    "A .creds file of NATS: the identity and the key of this user",
  ),
  user: setting("User", "NAME", "A user of NATS that has a password"),
  "password-file": setting("PasswordFile", "FILE", "The file with the password of that user"),
  "tls-ca-file": setting(
    "TlsCaFile",
    "FILE",
    "Certificates of the authorities that the server's certificate is checked with; those of the system unless given",
  ),
  "tls-certificate-file": setting(
    "TlsCertificateFile",
    "FILE",
    "The certificate of this client, where the server asks for one",
  ),
  "tls-key-file": setting("TlsKeyFile", "FILE", "The private key of that certificate"),
  ttl: setting(
    "Ttl",
    "SPAN",
    "How long the server keeps the record of this host after its agent has stopped; 30s unless given",
  ),
  allow: setting("Allow", "SCOPE,…", "Which requests are answered: read, lifecycle, exec; read unless given"),
  "inbox-prefix": setting(
    "InboxPrefix",
    "WORD",
    "The first word of the subjects on which this user gets replies; _INBOX unless given",
  ),
  replicas: {
    type: "string",
    valueHint: "N",
    description: "With setup: on how many servers of a cluster each record is kept; 1 unless given",
    apply: (command, value) => {
      command.replicas = whole(value, 1, 5, "--replicas=");
    },
  },
  "max-bytes": {
    type: "string",
    valueHint: "BYTES",
    description: "With setup: the largest size of each bucket and of the stream of events; no limit unless given",
    apply: (command, value) => {
      command.mostBytes = whole(value, 1 << 20, Number.MAX_SAFE_INTEGER, "--max-bytes=");
    },
  },
};

/**
 * Returns the settings with the files that the service manager passes in `directory` (systemd.exec(5),
 * LoadCredential=).
 */
export function withCredentials(settings: FleetSettings, directory: string | undefined): FleetSettings {
  if (directory === undefined) return settings;
  const file = (name: string, given: string) => {
    const path = join(directory, name);
    return given === "" && existsSync(path) ? path : given;
  };
  return {
    ...settings,
    credentialsFile: file("fleet.creds", settings.credentialsFile),
    passwordFile: file("fleet.password", settings.passwordFile),
    tlsKeyFile: file("fleet.key", settings.tlsKeyFile),
  };
}
