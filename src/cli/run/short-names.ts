// Short names of container images (`debian:13`), as containers-registries.conf(5) has them: an alias is the whole name; else the
// registries of `unqualified-search-registries` are tried one after the other. There is no registry of ours: a name that neither
// knows goes to the transfer daemon as it is, whose rules (systemd/oci-registry) may know where it is.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseOciReference } from "../../base/vocabulary/oci-reference.ts";
import { Failure } from "../session/failure.ts";

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

/** What one file says; throws a Failure for a file that is no TOML. */
function parse(path: string, text: string): { search: readonly string[] | null; aliases: Record<string, string> } {
  let document: unknown;
  try {
    document = Bun.TOML.parse(text);
  } catch (error) {
    throw new Failure(`'${path}' makes no sense: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
  if (!isTable(document)) return { search: null, aliases: {} };
  const search = document["unqualified-search-registries"];
  const aliases = isTable(document["aliases"]) ? Object.entries(document["aliases"]) : [];
  return {
    search: search === undefined ? null : texts(search),
    aliases: Object.fromEntries(aliases.filter((entry): entry is [string, string] => typeof entry[1] === "string")),
  };
}

/** Reads the configuration below the directories, the later ones winning. */
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

/** The references to try for what the user wrote, in their order. */
export function candidates(reference: string, { search, aliases }: Registries): string[] {
  const parsed = parseOciReference(reference);
  if (parsed === undefined || parsed.registry !== null) return [reference];
  const version = reference.slice(parsed.image.length);
  const alias = Object.hasOwn(aliases, parsed.image) ? aliases[parsed.image] : undefined;
  if (alias !== undefined) return [`${alias}${version}`];
  return search.length === 0 ? [reference] : search.map((registry) => `${registry}/${reference}`);
}
