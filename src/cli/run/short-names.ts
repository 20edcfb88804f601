// Resolves short names of container images (`debian:13`) by containers-registries.conf(5): an alias replaces the name;
// otherwise the registries of `unqualified-search-registries` are tried in order. There is no built-in registry: a name
// without an alias and without such registries is sent unchanged to the transfer daemon, whose rules
// (systemd/oci-registry) may have a registry for it.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { errnoNameOf } from "../../base/error.ts";
import { parseOciReference } from "../../base/vocabulary/oci-reference.ts";
import { Failure, failed } from "../session/failure.ts";

/** The configuration: registries to search, and full names by short names. */
interface Registries {
  readonly search: readonly string[];
  readonly aliases: Readonly<Record<string, string>>;
}

const SEARCH = "unqualified-search-registries";
const FULL_NAME = "An image is also found by its full name, REGISTRY/IMAGE[:TAG], for which these files are not read.";
const TOPS = ["/usr/share/containers", "/etc/containers"];

/**
 * Returns what `read` returns; `absent` where nothing has the path. Throws a Failure where something has it and cannot
 * be read: without its aliases and registries, a name would mean another image.
 */
function unlessMissing<Value, Absent>(path: string, read: () => Value, absent: Absent): Value | Absent {
  try {
    return read();
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errnoNameOf(error) ?? "")) return absent;
    throw failed(`Cannot read '${path}', which says what short names of images mean`, error, FULL_NAME);
  }
}

function namesIn(directory: string): string[] {
  return unlessMissing(directory, () => readdirSync(directory), [])
    .filter((name) => name.endsWith(".conf"))
    .sort();
}

function readFile(path: string): string | null {
  return unlessMissing(path, () => readFileSync(path, "utf8"), null);
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Parses one file; `search` is null if the file does not set it. Throws a Failure for a file that is not TOML. */
function parse(path: string, text: string): { search: readonly string[] | null; aliases: Record<string, string> } {
  let document: unknown;
  try {
    document = Bun.TOML.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    throw new Failure(`Failed to parse '${path}' as TOML: ${reason}`, { cause: error, hint: FULL_NAME });
  }
  if (!isTable(document)) return { search: null, aliases: {} };
  const { [SEARCH]: search, aliases = {} } = document;
  if (search !== undefined && !areTexts(search)) throw wrongType(path, SEARCH, "a list of texts");
  if (!isTable(aliases) || !areTexts(Object.values(aliases))) throw wrongType(path, "aliases", "a table of texts");
  return { search: search ?? null, aliases: aliases as Record<string, string> };
}

function areTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

function wrongType(path: string, key: string, wanted: string): Failure {
  return new Failure(`Failed to parse '${path}': '${key}' is not ${wanted}`, { hint: FULL_NAME });
}

/** Reads the configuration files below the directories; later ones override earlier ones. */
export function readRegistries(tops: readonly string[] = TOPS): Registries {
  let search: readonly string[] = [];
  let aliases: Record<string, string> = {};
  for (const top of tops) {
    const parts = join(top, "registries.conf.d");
    for (const path of [join(top, "registries.conf"), ...namesIn(parts).map((name) => join(parts, name))]) {
      const text = readFile(path);
      if (text === null) continue;
      const found = parse(path, text);
      search = found.search ?? search;
      aliases = { ...aliases, ...found.aliases };
    }
  }
  return { search, aliases };
}

/**
 * Returns the references to try, in order, for a reference that the user typed. `read` is called for a short name only.
 */
export function candidates(reference: string, read: () => Registries): string[] {
  const parsed = parseOciReference(reference);
  if (parsed === undefined || parsed.registry !== null) return [reference];
  const { search, aliases } = read();
  const version = reference.slice(parsed.image.length);
  const alias = Object.hasOwn(aliases, parsed.image) ? aliases[parsed.image] : undefined;
  if (alias !== undefined) return [`${alias}${version}`];
  return search.length === 0 ? [reference] : search.map((registry) => `${registry}/${reference}`);
}
