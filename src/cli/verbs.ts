// The verbs of machinectl, one row each, in the order of the help text (machinectl(1), "Commands").
// Rows have the form of citty commands (meta, args, run), as plain data: citty itself is loaded only to print usage.
// Adding a verb: a row here, and a function in a file of its own that the row imports when it runs.
import type { VerbRow } from "./verb-row.ts";

const NAMES = {
  name: { type: "positional", required: true, repeated: true, description: "A machine, or several" },
} as const satisfies VerbRow["args"];

const NAMES_OR_NONE = {
  name: {
    type: "positional",
    required: false,
    repeated: true,
    description: "A machine, or several; none means the manager",
  },
} as const satisfies VerbRow["args"];

const IMAGES = {
  name: { type: "positional", required: true, repeated: true, description: "A machine image, or several" },
} as const satisfies VerbRow["args"];

const PATHS = {
  name: { type: "positional", required: true, description: "A machine" },
  path: { type: "positional", required: true, description: "Where from" },
  target: { type: "positional", required: false, description: "Where to; the same path unless given" },
} as const satisfies VerbRow["args"];

export const VERBS: readonly VerbRow[] = [
  {
    meta: { name: "list", description: "List the machines that are running" },
    group: "Machine",
    isDefault: true,
    args: {},
    options: ["all", "full", "max-addresses", "output", "json", "no-legend"],
    run: async (session) => (await import("./list.ts")).list(session),
  },
  {
    meta: { name: "status", description: "Print what there is to know about machines" },
    group: "Machine",
    args: NAMES,
    options: ["full", "lines", "output", "json"],
    run: async (session, names) => (await import("./status.ts")).status(session, names),
  },
  {
    meta: { name: "show", description: "Print properties of machines or of the manager" },
    group: "Machine",
    args: NAMES_OR_NONE,
    options: ["property", "value", "all", "json"],
    run: async (session, names) => (await import("./show.ts")).show(session, names),
  },
  {
    meta: { name: "start", description: "Start images as services" },
    group: "Machine",
    args: IMAGES,
    options: ["runner"],
    run: async (session, names) => (await import("./start.ts")).start(session, names),
  },
  {
    meta: { name: "login", description: "Get a login prompt of a machine" },
    group: "Machine",
    args: { name: { type: "positional", required: false, description: "A machine; none means this host" } },
    run: async (session, words) => (await import("./login.ts")).login(session, words),
  },
  {
    meta: { name: "shell", description: "Run a shell or another program in a machine" },
    group: "Machine",
    args: {
      machine: { type: "positional", required: false, description: "A user and a machine, or one of them" },
      command: { type: "positional", required: false, repeated: true, description: "A program with its arguments" },
    },
    wordsUntilRest: 2,
    options: ["uid", "setenv", "quiet"],
    run: async (session, words) => (await import("./shell.ts")).shell(session, words),
  },
  {
    meta: { name: "enable", description: "Start images at boot from now on" },
    group: "Machine",
    args: IMAGES,
    options: ["now", "runner"],
    run: async (session, names) => (await import("./enable.ts")).enable(session, names),
  },
  {
    meta: { name: "disable", description: "No longer start images at boot" },
    group: "Machine",
    args: IMAGES,
    options: ["now", "runner"],
    run: async (session, names) => (await import("./enable.ts")).disable(session, names),
  },
  {
    meta: { name: "poweroff", alias: ["stop"], description: "Ask machines to power off" },
    group: "Machine",
    args: NAMES,
    run: async (session, names) => (await import("./power.ts")).powerOff(session, names),
  },
  {
    meta: { name: "reboot", alias: ["restart"], description: "Ask machines to reboot" },
    group: "Machine",
    args: NAMES,
    run: async (session, names) => (await import("./power.ts")).reboot(session, names),
  },
  {
    meta: { name: "terminate", description: "End machines at once" },
    group: "Machine",
    args: NAMES,
    run: async (session, names) => (await import("./power.ts")).terminate(session, names),
  },
  {
    meta: { name: "kill", description: "Send a signal to the processes of machines" },
    group: "Machine",
    args: NAMES,
    options: ["kill-whom", "signal"],
    run: async (session, names) => (await import("./power.ts")).kill(session, names),
  },
  {
    meta: { name: "copy-to", description: "Copy files from this host into a machine" },
    group: "Machine",
    args: PATHS,
    options: ["force"],
    run: async (session, words) => (await import("./copy-files.ts")).copyTo(session, words),
  },
  {
    meta: { name: "copy-from", description: "Copy files from a machine to this host" },
    group: "Machine",
    args: PATHS,
    options: ["force"],
    run: async (session, words) => (await import("./copy-files.ts")).copyFrom(session, words),
  },
  {
    meta: { name: "bind", description: "Show a file or directory of this host in a machine" },
    group: "Machine",
    args: PATHS,
    options: ["read-only", "mkdir"],
    run: async (session, words) => (await import("./bind.ts")).bind(session, words),
  },
  {
    meta: { name: "help", description: "Print this overview, or the usage of one command", hidden: true },
    group: "Machine",
    args: { command: { type: "positional", required: false, description: "A command" } },
    anyWords: true,
    run: async (session, words, program) => (await import("./help.ts")).help(session, words, program),
  },
];
