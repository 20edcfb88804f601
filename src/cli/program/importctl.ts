// importctl: download, import and export images (importctl(1)).

import { type ClientProgram, LIST_OPTIONS, type VerbRow } from "../command-line/verb-row.ts";
import type { Ports } from "../session/ports.ts";
import { processPorts } from "../session/process-ports.ts";
import { runClient } from "./client-program.ts";
import { COMPLETE_VERB } from "./hidden-verbs.ts";
import { TRANSFER_VERBS } from "./transfer-verbs.ts";

const PULL_OCI: VerbRow = {
  meta: { name: "pull-oci", description: "Download a container image of an OCI registry" },
  group: "Transfer",
  hosts: "streams",
  args: {
    ref: { type: "positional", required: true, description: "[REGISTRY/]IMAGE[:TAG]", complete: "free" },
    name: { type: "positional", required: false, description: "The name of the image", complete: "free" },
  },
  options: ["force", "read-only", "class", "quiet"],
  run: async (session, words) => (await import("../transfer/transfer.ts")).pull(session, "oci", words),
};

const PUSH_OCI: VerbRow = {
  meta: { name: "push-oci", description: "Send an image to an OCI registry" },
  group: "Transfer",
  runsThere: "with-pipes",
  hosts: "streams",
  args: {
    name: { type: "positional", required: true, description: "An image", complete: "image" },
    ref: { type: "positional", required: true, description: "REGISTRY/IMAGE[:TAG]", complete: "free" },
  },
  options: ["base", "format", "class", "quiet"],
  run: async (session, words) => (await import("../transfer/push.ts")).push(session, words),
};

const LIST_IMAGES: VerbRow = {
  meta: { name: "list-images", description: "List the images that are here" },
  group: "Transfer",
  hosts: "rows",
  args: {},
  options: ["class", "json", "no-legend", ...LIST_OPTIONS],
  columns: async () => (await import("../transfer/columns.ts")).IMAGE_COLUMNS,
  run: async (session) => (await import("../transfer/list.ts")).listImages(session),
};

const HELP: VerbRow = {
  meta: { name: "help", description: "Print this overview, or the usage of one command" },
  group: "Transfer",
  hosts: "none",
  args: { command: { type: "positional", required: false, description: "A command", complete: "verb" } },
  anyWords: true,
  run: async (session, words, program) => (await import("./help.ts")).help(session, words, program),
};

/** Returns the rows that importctl shares with machinectl, with its own rows inserted in the order of the help text. */
function ownRows(): VerbRow[] {
  return TRANSFER_VERBS.flatMap((row) => {
    if (row.meta.name === "pull-raw") return [row, PULL_OCI];
    if (row.meta.name === "export-raw") return [row, PUSH_OCI];
    return [row.meta.name === "list-transfers" ? { ...row, isDefault: true } : row];
  });
}

/** The tables of importctl. */
export const IMPORTCTL: ClientProgram = {
  name: "importctl",
  abstract: "Download, import and export images of machines, portable services and system extensions.",
  groups: ["Transfer"],
  verbs: [...ownRows(), LIST_IMAGES, COMPLETE_VERB, HELP],
  options: async () => (await import("./importctl-options.ts")).IMPORTCTL_OPTIONS,
};

/** Runs importctl; `args` are the arguments after the program's name. Returns the exit status. */
export function runImportctl(args: readonly string[], ports: Ports): Promise<number> {
  return runClient(IMPORTCTL, args, ports);
}

/** The entry point of the program. */
export async function main(args: string[]): Promise<number> {
  return runImportctl(args, processPorts());
}
