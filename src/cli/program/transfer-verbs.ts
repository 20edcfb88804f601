// Rows of the verbs about transfers that both machinectl and importctl have (machinectl(1), importctl(1)).

import { LIST_OPTIONS, type VerbRow } from "../command-line/verb-row.ts";
import type { Session } from "../session/session.ts";

const URL_AND_NAME = {
  url: {
    type: "positional",
    required: true,
    description: "Where it is downloaded from: http, https or file",
    complete: "free",
  },
  name: {
    type: "positional",
    required: false,
    description: "The name of the image; '-' only keeps the download",
    complete: "free",
  },
} as const satisfies VerbRow["args"];

const FILE_AND_NAME = {
  file: { type: "positional", required: true, description: "A file; '-' means standard input", complete: "file" },
  name: { type: "positional", required: false, description: "The name of the image", complete: "free" },
} as const satisfies VerbRow["args"];

const NAME_AND_FILE = {
  name: { type: "positional", required: true, description: "An image", complete: "image" },
  file: { type: "positional", required: false, description: "A file; none means standard output", complete: "file" },
} as const satisfies VerbRow["args"];

const PULL = ["verify", "force", "read-only", "class", "keep-download", "quiet"];
const IMPORT = ["force", "read-only", "class", "quiet"];
const EXPORT = ["format", "class", "quiet"];

/** The rows of both clients. */
export const TRANSFER_VERBS: readonly VerbRow[] = [
  {
    meta: { name: "pull-tar", description: "Download a tar file as an image" },
    group: "Transfer",
    hosts: "streams",
    args: URL_AND_NAME,
    options: PULL,
    run: async (session, words) => (await import("../transfer/transfer.ts")).pull(session, "tar", words),
  },
  {
    meta: { name: "pull-raw", description: "Download a disk image" },
    group: "Transfer",
    hosts: "streams",
    args: URL_AND_NAME,
    options: PULL,
    run: async (session, words) => (await import("../transfer/transfer.ts")).pull(session, "raw", words),
  },
  {
    meta: { name: "import-tar", description: "Make an image of a tar file" },
    group: "Transfer",
    args: FILE_AND_NAME,
    options: IMPORT,
    run: async (session, words) => (await import("../transfer/transfer.ts")).importImage(session, "tar", words),
  },
  {
    meta: { name: "import-raw", description: "Make an image of a disk image file" },
    group: "Transfer",
    args: FILE_AND_NAME,
    options: IMPORT,
    run: async (session, words) => (await import("../transfer/transfer.ts")).importImage(session, "raw", words),
  },
  {
    meta: { name: "import-fs", description: "Make an image of a directory" },
    group: "Transfer",
    args: {
      ...FILE_AND_NAME,
      file: { type: "positional", required: true, description: "A directory", complete: "directory" },
    },
    options: IMPORT,
    run: async (session, words) => (await import("../transfer/transfer.ts")).importImage(session, "fs", words),
  },
  {
    meta: { name: "export-tar", description: "Write an image to a tar file" },
    group: "Transfer",
    args: NAME_AND_FILE,
    options: EXPORT,
    run: async (session, words) => (await import("../transfer/transfer.ts")).exportImage(session, "tar", words),
  },
  {
    meta: { name: "export-raw", description: "Write a disk image to a file" },
    group: "Transfer",
    args: NAME_AND_FILE,
    options: EXPORT,
    run: async (session, words) => (await import("../transfer/transfer.ts")).exportImage(session, "raw", words),
  },
  {
    meta: { name: "list-transfers", description: "List the transfers that are running" },
    group: "Transfer",
    hosts: "rows",
    args: {},
    options: ["class", "json", "no-legend", ...LIST_OPTIONS],
    columns: async () => (await import("../transfer/columns.ts")).TRANSFER_COLUMNS,
    run: async (session) => (await import("../transfer/list.ts")).listTransfers(session),
  },
  {
    meta: { name: "cancel-transfer", description: "End transfers before they are done" },
    group: "Transfer",
    args: {
      id: {
        type: "positional",
        required: true,
        repeated: true,
        description: "A transfer, or several",
        complete: "transfer",
      },
    },
    run: async (session, words) => (await import("../transfer/list.ts")).cancelTransfers(session, words),
  },
];

const DISTRIBUTION_IMPORTCTL = "/usr/bin/importctl";

/**
 * Prepares the settings of machinectl for a verb of importctl: the class is `machine`, -o is ignored. Prints the
 * notice.
 */
function redirect(session: Session, verb: string): void {
  const { settings, report, ports } = session;
  settings.imageClass = "machine";
  settings.output = "short";
  // A host before 256 has no importctl: there, these verbs are not replaced, and scripts do not expect the notice.
  if (settings.quiet || !ports.isThere(DISTRIBUTION_IMPORTCTL)) return;
  report.notice(
    `The 'machinectl ${verb}' command has been replaced by 'importctl -m ${verb}'. Redirecting invocation.`,
  );
}

/** The rows of machinectl. As in 256 and later, they print a notice, and the help does not show them. */
export const MACHINECTL_TRANSFER_VERBS: readonly VerbRow[] = TRANSFER_VERBS.map((row) => ({
  ...row,
  meta: { ...row.meta, hidden: true },
  options: (row.options ?? []).filter((name) => name !== "class" && name !== "keep-download"),
  announce: (session) => redirect(session, row.meta.name),
}));
