// nss-mymachines hosts|passwd|group KEY: names of machines and users of containers, printed as getent(1) prints them.
// For scripts, and for C libraries that load no modules.

import { errnoText } from "../base/errno.ts";
import { errnoNameOf } from "../base/error.ts";
import { formatAddress } from "../base/ip-address.ts";
import { type HelpText, helpWidth, layOutHelp } from "../base/text/help-text.ts";
import { runtimeDirectory } from "../ipc/runtime-directory.ts";
import { SocketStream } from "../kernel/socket/stream.ts";
import { connectUnix } from "../kernel/socket/unix.ts";
import { printError, print as printText } from "../kernel/terminal/print.ts";

const HELP: HelpText = {
  usage: "nss-mymachines hosts|passwd|group KEY…",
  about: [
    "Looks up names of machines, and users and groups of containers, as nss-mymachines(8) does for the C library. Prints what getent(1) would print.",
    "Exit status: 0 when every key was found, 1 for a wrong command line or a daemon that does not answer, 2 when a key was not found.",
  ],
};

const DEADLINE_MS = 2_000;
/** More than an answer with the addresses of any machine has. */
const MOST_BYTES = 1 << 20;
const FOUND = 0;
const FAILED = 1;
const NOT_FOUND = 2;

type Format = (lines: readonly string[], key: string) => string[];

interface Database {
  request(key: string): string;
  /** The answers about a key that is known. */
  readonly found: RegExp;
  readonly format: Format;
}

const isId = (key: string) => /^\d+$/.test(key);

const DATABASES: Readonly<Record<string, Database>> = {
  hosts: {
    request: (key) => `HOST ${key}`,
    found: /^OK \d+\n(?:(?:4 [0-9a-f]{8}|6 [0-9a-f]{32})\n)*$/,
    format: hostLines,
  },
  passwd: {
    request: (key) => (isId(key) ? `UID ${key}` : `USER ${key}`),
    found: /^PW [^\s:]+ \d+ \d+ [^\n:]*\n$/,
    format: userLine,
  },
  group: {
    request: (key) => (isId(key) ? `GID ${key}` : `GROUP ${key}`),
    found: /^GR [^\s:]+ \d+\n$/,
    format: groupLine,
  },
};

/** Runs the program; returns its exit code. */
export async function main(args: string[]): Promise<number> {
  const [database, ...keys] = args;
  if (database === "--help" || database === "-h")
    return print(layOutHelp(HELP, helpWidth(process.stdout, process.env)), FOUND);
  const row = database !== undefined && Object.hasOwn(DATABASES, database) ? DATABASES[database] : undefined;
  if (row === undefined || keys.length === 0) {
    printError(layOutHelp(HELP, helpWidth(process.stderr, process.env)));
    return FAILED;
  }
  let code = FOUND;
  for (const key of keys) {
    const lines = await lookUp(row, key);
    if (lines === null) return FAILED;
    if (lines.length === 0) code = NOT_FOUND;
    for (const line of lines) print(`${line}\n`, FOUND);
  }
  return code;
}

function print(text: string, code: number): number {
  printText(text);
  return code;
}

/** Returns the lines of a key, none where it is unknown; null, after a message, where the daemon cannot be reached. */
async function lookUp(database: Database, key: string): Promise<string[] | null> {
  if (/[\n\0]/.test(key)) return [];
  try {
    const answer = await exchange(`${database.request(key)}\n`);
    if (answer === "NO\n") return [];
    if (database.found.test(answer)) return database.format(answer.trimEnd().split("\n"), key);
    const [, errno] = /^ER (\d{1,4})\n$/.exec(answer) ?? [];
    if (errno === undefined)
      throw new Error(answer === "" ? "the connection was closed without an answer" : "the answer is not valid");
    printError(`nss-mymachines: Failed to look up '${key}': ${errnoText(Number(errno))}\n`);
  } catch (error) {
    const reason = errnoNameOf(error) === null ? (error as Error).message : errnoText(errnoNameOf(error) as string);
    printError(`nss-mymachines: Failed to ask systemd-machined: ${reason}\n`);
  }
  return null;
}

function exchange(request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const timer = setTimeout(() => {
      reject(new Error(`no answer within ${DEADLINE_MS / 1000} s`));
      stream.close();
    }, DEADLINE_MS);
    const stream = new SocketStream(connectUnix(`${runtimeDirectory()}/machine/names`), {
      data: (bytes) => {
        answer += bytes.toString("latin1");
        if (answer.length > MOST_BYTES) stream.close();
      },
      end: (error) => {
        clearTimeout(timer);
        if (error === undefined) resolve(answer);
        else reject(error);
      },
    });
    stream.write(Buffer.from(request));
  });
}

/** Formats a reply about a host: "OK IFINDEX", then "4 HEX" or "6 HEX" for each address. */
function hostLines([, ...addresses]: readonly string[], key: string): string[] {
  return addresses.map((line) => {
    const bytes = Buffer.from(line.slice(2), "hex");
    return `${formatAddress(bytes).padEnd(15)} ${key}`;
  });
}

/** Formats a reply about a user: "PW NAME UID GID GECOS". */
function userLine([line = ""]: readonly string[]): string[] {
  const [, name, uid, gid, ...gecos] = line.split(" ");
  return [`${name}:x:${uid}:${gid}:${gecos.join(" ")}:/:/usr/sbin/nologin`];
}

/** Formats a reply about a group: "GR NAME GID". */
function groupLine([line = ""]: readonly string[]): string[] {
  const [, name, gid] = line.split(" ");
  return [`${name}:x:${gid}:`];
}
