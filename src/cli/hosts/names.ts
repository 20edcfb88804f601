// The hosts that `-H` names, and which of them a word of the command line selects.
import type { VerbRow } from "../command-line/verb-row.ts";
import { Failure } from "../session/failure.ts";
import { parseRemote } from "../session/target.ts";

const MOST_HOSTS = 10_000;

/** Returns the lines of a file of hosts, without comments. */
async function hostsOfFile(path: string, readText: ReadText): Promise<string[]> {
  const text = await readText(path);
  if (text === null)
    throw new Failure(`Cannot read hosts from '${path}': there is no such file, or it may not be read`);
  return text
    .split("\n")
    .map((line) => line.replace(/(^|\s)#.*/, "").trim())
    .filter((line) => line !== "");
}

type ReadText = (path: string) => Promise<string | null>;

/** Returns the hosts, each once, in the order in which they are named. Throws a Failure for an invalid name. */
export async function hostsOf(text: string, readText: ReadText): Promise<string[]> {
  const named: string[] = [];
  for (const word of text.split(",").filter((part) => part !== "")) {
    if (word.startsWith("@")) named.push(...(await hostsOfFile(word.slice(1), readText)));
    else named.push(word);
  }
  const hosts = [...new Set(named)];
  for (const host of hosts) {
    try {
      parseRemote(host);
    } catch {
      throw new Failure(`'${host}' names no host: [USER@]HOST[:PORT], or @FILE with one in each line`);
    }
  }
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
