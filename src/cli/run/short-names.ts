// Resolves short names of container images (`debian:13`) by containers-registries.conf(5): an alias replaces the name;
// otherwise the registries of `unqualified-search-registries` are tried in order. There is no built-in registry: a name
// without an alias and without such registries is sent unchanged to the transfer daemon, whose rules
// (systemd/oci-registry) may have a registry for it.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseOciReference } from "../../base/vocabulary/oci-reference.ts";
import { Failure } from "../session/failure.ts";

/** The configuration: registries to search, and full names by short names. */
interface Registries {
  readonly search: readonly string[];
  readonly aliases: Readonly<Record<string, string>>;
}

const TOPS = ["/usr/share/containers", "/etc/containers"];

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith(".conf"))
      .sort();
  } catch {
    return [];
  }
}

function readFile(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

/** Parses one file; `search` is null if the file does not set it. Throws a Failure for a file that is not TOML. */
function parse(path: string, text: string): { search: readonly string[] | null; aliases: Record<string, string> } {
  let document: unknown;
  try {
    document = Bun.TOML.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    throw new Failure(`Failed to parse '${path}' as TOML: ${reason}`, { cause: error });
  }
  if (!isTable(document)) return { search: null, aliases: {} };
  const search = document["unqualified-search-registries"];
  const aliases = isTable(document["aliases"]) ? Object.entries(document["aliases"]) : [];
  return {
    search: search === undefined ? null : texts(search),
    aliases: Object.fromEntries(aliases.filter((entry): entry is [string, string] => typeof entry[1] === "string")),
  };
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

/** Returns the references to try, in order, for a reference that the user typed. */
export function candidates(reference: string, { search, aliases }: Registries): string[] {
  const parsed = parseOciReference(reference);
  if (parsed === undefined || parsed.registry !== null) return [reference];
  const version = reference.slice(parsed.image.length);
  const alias = Object.hasOwn(aliases, parsed.image) ? aliases[parsed.image] : undefined;
  if (alias !== undefined) return [`${alias}${version}`];
  return search.length === 0 ? [reference] : search.map((registry) => `${registry}/${reference}`);
}
