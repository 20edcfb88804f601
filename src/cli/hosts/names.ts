// The hosts that `-H` names, and which of them a word of the command line selects.
import { isIP } from "node:net";
import { errnoText } from "../../base/errno.ts";
import { errnoNameOf } from "../../base/error.ts";
import type { VerbRow } from "../command-line/verb-row.ts";
import { Failure } from "../session/failure.ts";
import { parseRemote } from "../session/target.ts";

const MOST_HOSTS = 10_000;

/** The limit of a file of hosts. */
const MOST_BYTES = 4 << 20;

/** A word that names a host, and where it stands. */
interface NamedHost {
  readonly host: string;
  /** The file and the line; "" for the command line. */
  readonly place: string;
}

type ReadText = (path: string) => Promise<string>;

/** Reads a file of hosts, which may be a pipe of a shell. Throws a Failure. */
export async function readHostsFile(path: string): Promise<string> {
  const { open } = await import("node:fs/promises");
  try {
    await using file = await open(path, "r");
    const parts: Buffer[] = [];
    for (let size = 0; size <= MOST_BYTES; ) {
      const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(64 << 10) });
      if (bytesRead === 0) return Buffer.concat(parts).toString();
      parts.push(buffer.subarray(0, bytesRead));
      size += bytesRead;
    }
  } catch (error) {
    const errno = errnoNameOf(error);
    if (errno === null) throw error;
    throw new Failure(`Cannot read hosts from '${path}': ${errnoText(errno)}`);
  }
  throw new Failure(`Cannot read hosts from '${path}': it has more than ${MOST_BYTES >> 20} MiB`);
}

/** Returns the hosts of a file, one in each line, without comments. */
async function hostsOfFile(path: string, read: ReadText): Promise<NamedHost[]> {
  const lines = (await read(path)).split("\n");
  return lines.flatMap((line, index) => {
    const host = line.replace(/(^|\s)#.*/, "").trim();
    return host === "" ? [] : [{ host, place: `${path}:${index + 1}: ` }];
  });
}

/** Throws a Failure for a word that ssh(1) would not take as a host. */
function requireHost({ host, place }: NamedHost): void {
  const isOne = !/[\s,]/.test(host) && !host.startsWith("-");
  try {
    if (isOne && parseRemote(host).kind === "ssh") return;
  } catch {
    // The same failure as that of several words.
  }
  const isAddress = isIP(host) === 6;
  throw new Failure(`${place}'${host}' names no host: [USER@]HOST[:PORT], or @FILE with one in each line`, {
    hint: isAddress ? `An IPv6 address is written in brackets: [${host}]` : undefined,
  });
}

/** Returns the hosts, each once, in the order in which they are named. Throws a Failure for an invalid name. */
export async function hostsOf(text: string, read: ReadText): Promise<string[]> {
  const groups: NamedHost[][] = [];
  for (const word of text.split(",").filter((part) => part !== "")) {
    groups.push(word.startsWith("@") ? await hostsOfFile(word.slice(1), read) : [{ host: word, place: "" }]);
  }
  const named = groups.flat();
  for (const one of named) requireHost(one);
  const hosts = [...new Set(named.map(({ host }) => host))];
  if (hosts.length === 0) throw new Failure(`'${text}' names no host`);
  if (hosts.length > MOST_HOSTS) throw new Failure(`-H names ${hosts.length} hosts; ${MOST_HOSTS} are possible`);
  return hosts;
}

const ADDRESSABLE = ["machine", "machine-or-host", "image", "login"];

/**
 * Splits `HOST/NAME` of one of the hosts; returns null for a word without a host. Throws a Failure for another host.
 */
function addressOf(word: string, hosts: readonly string[]): { host: string; name: string } | null {
  if (!word.includes("/")) return null;
  const fitting = hosts.filter((host) => word.startsWith(`${host}/`)).sort((a, b) => b.length - a.length);
  const [host] = fitting;
  if (host === undefined) throw new Failure(`'${word}' names a host that is not among those of -H`);
  return { host, name: word.slice(host.length + 1) };
}

/** Returns the word for a host; null where it names another host. The first word of `exec` can have several names. */
function wordOn(host: string, word: string, hosts: readonly string[], hasSeveral: boolean): string | null {
  const kept = (hasSeveral ? word.split(",") : [word]).flatMap((part) => {
    const address = addressOf(part, hosts);
    if (address === null) return [part];
    return address.host === host ? [address.name] : [];
  });
  return kept.length === 0 ? null : kept.join(",");
}

/** Returns the words after the verb for a host; null where none of the names belongs to that host. */
export function wordsFor(
  host: string,
  hosts: readonly string[],
  verb: VerbRow,
  words: readonly string[],
): string[] | null {
  const rows = Object.values(verb.args);
  const said: string[] = [];
  let dropped = 0;
  let named = 0;
  for (const [index, word] of words.entries()) {
    const row = rows[Math.min(index, rows.length - 1)];
    if (row === undefined || !ADDRESSABLE.includes(row.complete)) {
      said.push(word);
      continue;
    }
    const meant = wordOn(host, word, hosts, row.complete === "login");
    if (meant !== null) {
      said.push(meant);
      named++;
    } else if (row.repeated === true) dropped++;
    else return null;
  }
  return dropped > 0 && named === 0 ? null : said;
}
