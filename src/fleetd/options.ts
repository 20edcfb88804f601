// The options of `machined fleet`: one for each setting of its file, and those of `setup`.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { OptionRow } from "../base/getopt.ts";
import { type FleetSettings, SettingsError } from "../fleet/settings.ts";

/** What a command line of `machined fleet` says. */
export interface FleetCommand {
  config: string | null;
  /** Settings by their names in the file, in the order given. */
  readonly settings: [name: string, value: string][];
  replicas: number;
  /** Of each stream; -1 for no limit. */
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
    throw new SettingsError(`${option} takes a number from ${least} to ${most}`);
  return number;
}

export const FLEET_OPTIONS: Readonly<Record<string, Row>> = {
  help: {
    type: "boolean",
    alias: "h",
    description: "Print this overview",
    apply: (command) => {
      command.help = true;
    },
  },
  config: {
    type: "string",
    valueHint: "FILE",
    description: "The file of settings",
    apply: (command, file) => {
      command.config = file;
    },
  },
  url: setting("Url", "URL,…", "The server: nats://HOST:PORT or tls://HOST:PORT"),
  host: setting("Host", "NAME", "What this host is called in the fleet; its host name unless given"),
  "credentials-file": setting("CredentialsFile", "FILE", "A .creds file of NATS"),
  user: setting("User", "NAME", "The user of NATS"),
  "password-file": setting("PasswordFile", "FILE", "A file with the password"),
  "tls-ca-file": setting("TlsCaFile", "FILE", "The certificates that the server's must be signed by"),
  "tls-certificate-file": setting("TlsCertificateFile", "FILE", "The certificate of this host"),
  "tls-key-file": setting("TlsKeyFile", "FILE", "The key for that"),
  ttl: setting("Ttl", "SPAN", "How long this host stays without being written again; 30s unless given"),
  allow: setting("Allow", "SCOPE,…", "What may be asked for: read, lifecycle, exec; read unless given"),
  "inbox-prefix": setting("InboxPrefix", "WORD", "What begins the inboxes of this user: _INBOX…"),
  replicas: {
    type: "string",
    valueHint: "N",
    description: "With setup: on how many servers of a cluster data is kept",
    apply: (command, value) => {
      command.replicas = whole(value, 1, 5, "--replicas=");
    },
  },
  "max-bytes": {
    type: "string",
    valueHint: "BYTES",
    description: "With setup: the limit of each bucket and of the events",
    apply: (command, value) => {
      command.mostBytes = whole(value, 1 << 20, Number.MAX_SAFE_INTEGER, "--max-bytes=");
    },
  },
};

/** The settings with the credentials that the service manager hands over (systemd.exec(5), LoadCredential=), where there are any. */
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
