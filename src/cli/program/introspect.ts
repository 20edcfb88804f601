// `--introspect-cli`: prints options and verbs as one line of JSON, for programs that complete or wrap command lines.

import { COMPATIBLE_WITH } from "../../base/vocabulary/version.ts";
import type { ClientProgram } from "../command-line/verb-row.ts";
import { type VerbRow, wordLimits } from "../command-line/verb-row.ts";
import { formatJson, type Json } from "../format/json.ts";
import { NO_PAINT } from "../format/terminal.ts";
import { FEATURES } from "./version.ts";

const MEDIA_TYPE = "application/vnd.io.systemd.cli-introspection-0";

type OptionRow = Awaited<ReturnType<ClientProgram["options"]>>[string];

function optionJson([key, row]: [string, OptionRow]): Json {
  const long = key.length === 1 ? `-${key}` : `--${key}`;
  return {
    names: row.alias === undefined ? [long] : [`-${row.alias}`, long],
    argument: row.type === "string" ? "required_argument" : "no_argument",
    ...(row.valueHint === undefined ? {} : { metavar: row.valueHint }),
    ...(row.hidden === true || row.description === undefined ? {} : { help: row.description }),
  };
}

/**
 * Returns the description of a verb. The counts of arguments include the verb itself; without a limit they are omitted.
 */
function verbJson(verb: VerbRow): Json {
  const { least, most } = wordLimits(verb);
  return {
    names: [verb.meta.name, ...(verb.meta.alias ?? [])],
    ...(verb.meta.hidden === true ? {} : { abstract: [verb.meta.description] }),
    ...(least === 0 ? {} : { minArguments: least + 1 }),
    ...(most === Number.POSITIVE_INFINITY ? {} : { maxArguments: most + 1 }),
    ...(verb.isDefault === true ? { isDefault: true } : {}),
  };
}

/** Returns the description of a client as a line of JSON. */
export async function introspection({ name, abstract, options, verbs }: ClientProgram): Promise<string> {
  const command: Json = {
    names: [name],
    project: "machined",
    version: String(COMPATIBLE_WITH),
    features: FEATURES,
    abstract: [abstract],
    options: Object.entries(await options()).map(optionJson),
    verbs: verbs.map(verbJson),
  };
  return formatJson({ mediaType: MEDIA_TYPE, commands: [command] }, "short", NO_PAINT);
}
