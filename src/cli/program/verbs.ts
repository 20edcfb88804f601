// The verbs of machinectl, one row each, in the order of the help text (machinectl(1), "Commands").
// Rows have the form of citty commands (meta, args, run), as plain data: citty itself is loaded only to print usage.
// Adding a verb: a row here, and a function in a file of its own that the row imports when it runs.

import { LIST_OPTIONS, type VerbRow } from "../command-line/verb-row.ts";
import {
  COMPLETE_VERB,
  DOCTOR_BUS_VERB,
  DOCTOR_POOL_VERB,
  REGISTER_END_VERB,
  RUN_MACHINE_VERB,
  RUN_REMOVE_VERB,
} from "./hidden-verbs.ts";
import { MACHINECTL_TRANSFER_VERBS } from "./transfer-verbs.ts";

const NAMES = {
  name: {
    type: "positional",
    required: true,
    repeated: true,
    description: "A machine, or several",
    complete: "machine",
  },
} as const satisfies VerbRow["args"];

const NAMES_OR_NONE = {
  name: {
    type: "positional",
    required: false,
    repeated: true,
    description: "A machine, or several; none means the manager",
    complete: "machine",
  },
} as const satisfies VerbRow["args"];

const IMAGES = {
  name: {
    type: "positional",
    required: true,
    repeated: true,
    description: "A machine image, or several",
    complete: "image",
  },
} as const satisfies VerbRow["args"];

const IMAGES_OR_NONE = {
  name: {
    type: "positional",
    required: false,
    repeated: true,
    description: "An image, or several; none means the pool",
    complete: "image",
  },
} as const satisfies VerbRow["args"];

const SETTINGS = {
  name: {
    type: "positional",
    required: true,
    repeated: true,
    description: "A machine, or the path of a file",
    complete: "settings",
  },
} as const satisfies VerbRow["args"];

const NEW_NAME = {
  name: { type: "positional", required: true, description: "An image", complete: "image" },
  newName: { type: "positional", required: true, description: "The new name", complete: "free" },
} as const satisfies VerbRow["args"];

const TO_MACHINE = {
  name: { type: "positional", required: true, description: "A machine", complete: "machine" },
  path: { type: "positional", required: true, description: "Where from", complete: "file" },
  target: {
    type: "positional",
    required: false,
    description: "Where to; the same path unless given",
    complete: "machine-path",
  },
} as const satisfies VerbRow["args"];

const FROM_MACHINE = {
  name: { type: "positional", required: true, description: "A machine", complete: "machine" },
  path: { type: "positional", required: true, description: "Where from", complete: "machine-path" },
  target: {
    type: "positional",
    required: false,
    description: "Where to; the same path unless given",
    complete: "file",
  },
} as const satisfies VerbRow["args"];

const BIND_VOLUME = {
  name: { type: "positional", required: true, description: "A machine", complete: "machine" },
  volume: {
    type: "positional",
    required: true,
    description: "PROVIDER:VOLUME[:CONFIG[:KEY=VALUE,…]]",
    complete: "free",
  },
} as const satisfies VerbRow["args"];

const UNBIND_VOLUME = {
  name: { type: "positional", required: true, description: "A machine", complete: "machine" },
  volume: { type: "positional", required: true, description: "PROVIDER:VOLUME", complete: "free" },
} as const satisfies VerbRow["args"];

export const VERBS: readonly VerbRow[] = [
  {
    meta: { name: "list", description: "List the machines that are running" },
    group: "Machine",
    hosts: "rows",
    isDefault: true,
    args: {},
    options: ["all", "full", "max-addresses", "output", "json", "no-legend", ...LIST_OPTIONS],
    columns: async () => (await import("../machine/columns.ts")).MACHINE_COLUMNS,
    run: async (session) => (await import("../machine/list.ts")).list(session),
  },
  {
    meta: { name: "status", description: "Print the state of machines for people" },
    group: "Machine",
    hosts: "pages",
    args: NAMES,
    options: ["full", "lines", "output", "json"],
    run: async (session, names) => (await import("../machine/status.ts")).status(session, names),
  },
  {
    meta: { name: "show", description: "Print properties of machines or of the manager" },
    group: "Machine",
    hosts: "pages",
    args: NAMES_OR_NONE,
    options: ["property", "value", "all", "json"],
    run: async (session, names) => (await import("../machine/show.ts")).show(session, names),
  },
  {
    meta: { name: "stats", description: "Print what machines use: processors, memory, input and output, network" },
    group: "Machine",
    runsThere: "with-pipes",
    hosts: "rows",
    args: {
      name: {
        type: "positional",
        required: false,
        repeated: true,
        description: "A machine, or several",
        complete: "machine",
      },
    },
    options: ["delay", "iterations", "all", "full", "json", "no-legend", ...LIST_OPTIONS],
    columns: async () => (await import("../stats/table.ts")).STATS_COLUMNS,
    run: async (session, names) => (await import("../stats/stats.ts")).stats(session, names),
  },
  {
    meta: { name: "top", description: "Show what machines use on the whole terminal, updated every second" },
    group: "Machine",
    args: {
      name: {
        type: "positional",
        required: false,
        repeated: true,
        description: "A machine, or several",
        complete: "machine",
      },
    },
    options: ["all"],
    run: async (session, names) => (await import("../stats/top.ts")).top(session, names),
  },
  {
    meta: { name: "events", description: "Print what happens to machines and images, as it happens or from the log" },
    group: "Machine",
    hosts: "events",
    args: {
      name: {
        type: "positional",
        required: false,
        repeated: true,
        description: "A machine or image, or several",
        complete: "machine",
      },
    },
    options: [
      ...["lines", "type", "since", "until", "after-cursor", "no-follow", "full", "json"],
      ...["columns", "filter", "template"],
    ],
    columns: async () => (await import("../events/columns.ts")).EVENT_COLUMNS,
    run: async (session, names) => (await import("../events/events.ts")).events(session, names),
  },
  {
    meta: { name: "logs", description: "Print what a machine logged, also when it has ended" },
    group: "Machine",
    args: { name: { type: "positional", required: true, description: "A machine", complete: "machine-or-host" } },
    options: ["follow", "lines", "since", "until", "unit", "grep", "output", "json", "all", "quiet"],
    run: async (session, words) => (await import("../logs/logs.ts")).logs(session, words),
  },
  {
    meta: { name: "metrics", description: "Print metrics of machines for Prometheus, or write them to a file" },
    group: "Machine",
    args: {
      file: {
        type: "positional",
        required: false,
        description: "A file that is replaced as a whole; none means standard output",
        complete: "file",
      },
    },
    run: async (session, words) => (await import("../stats/metrics.ts")).metrics(session, words),
  },
  {
    meta: { name: "inventory", description: "Print machines as an inventory of Ansible, or as targets of Prometheus" },
    group: "Machine",
    args: {
      kind: { type: "positional", required: true, description: "ansible or prometheus-sd", complete: "inventory" },
      argument: {
        type: "positional",
        required: false,
        repeated: true,
        description:
          "ansible: --list or --host NAME; prometheus-sd: --port=PORT, and a file that is replaced as a whole",
        complete: "free",
      },
    },
    wordsUntilRest: 2,
    run: async (session, words) => (await import("../inventory/inventory.ts")).inventory(session, words),
  },
  {
    meta: { name: "start", description: "Start images as services" },
    group: "Machine",
    hosts: "silent",
    args: IMAGES,
    options: ["runner", "quiet"],
    run: async (session, names) => (await import("../image/start.ts")).start(session, names),
  },
  {
    meta: { name: "login", description: "Get a login prompt of a machine" },
    group: "Machine",
    runsThere: "on-terminal",
    args: {
      name: {
        type: "positional",
        required: false,
        description: "A machine; none means this host",
        complete: "machine-or-host",
      },
    },
    options: ["quiet"],
    run: async (session, words) => (await import("../exec/shell.ts")).loginAnywhere(session, words),
  },
  {
    meta: { name: "shell", description: "Run a shell or another program in a machine" },
    group: "Machine",
    runsThere: "on-terminal",
    args: {
      machine: {
        type: "positional",
        required: false,
        description: "A user and a machine, or one of them",
        complete: "login",
      },
      command: {
        type: "positional",
        required: false,
        repeated: true,
        description: "A program with its arguments",
        complete: "command",
      },
    },
    wordsUntilRest: 3,
    options: ["uid", "setenv", "wait-status", "quiet"],
    run: async (session, words) => (await import("../exec/shell.ts")).shellAnywhere(session, words),
  },
  {
    meta: { name: "exec", description: "Run a command in machines, with clean streams and its exit status" },
    group: "Machine",
    hosts: "streams",
    args: {
      machine: {
        type: "positional",
        required: true,
        description: "A machine, or several: NAME,NAME or a quoted pattern",
        complete: "login",
      },
      command: {
        type: "positional",
        required: true,
        repeated: true,
        description: "A program with its arguments",
        complete: "command",
      },
    },
    wordsUntilRest: 2,
    options: ["tty", "stdin", "uid", "setenv", "chdir", "timeout", "detach", "json", "parallel", "verbose"],
    run: async (session, words) => (await import("../exec/exec.ts")).exec(session, words),
  },
  {
    meta: { name: "wait", description: "Wait until machines have booted, have an address or have ended" },
    group: "Machine",
    hosts: "silent",
    args: NAMES,
    options: ["for", "any", "timeout", "quiet"],
    run: async (session, names) => (await import("../exec/wait.ts")).wait(session, names),
  },
  {
    meta: { name: "run", description: "Run an image, which is pulled where it is missing" },
    group: "Machine",
    args: {
      image: {
        type: "positional",
        required: true,
        description: "An image, the URL of one, or one of a registry: [oci:]REF",
        complete: "image",
      },
      command: {
        type: "positional",
        required: false,
        repeated: true,
        description: "A program with its arguments; the machine ends with it",
        complete: "command",
      },
    },
    wordsUntilRest: 2,
    options: [
      ...["name", "rm", "tty", "network", "bind", "port", "nspawn-option", "pull", "setenv"],
      ...["runner", "vmspawn-option"],
      ...["uid", "chdir", "stdin", "timeout", "verify", "quiet"],
    ],
    run: async (session, words) => (await import("../run/run.ts")).run(session, words),
  },
  {
    meta: { name: "doctor", description: "Check this host or a machine, and print what repairs a problem" },
    group: "Machine",
    args: {
      name: {
        type: "positional",
        required: false,
        description: "A machine; none means this host",
        complete: "machine",
      },
    },
    options: ["json", "quiet"],
    run: async (session, words) => (await import("../doctor/doctor.ts")).doctor(session, words),
  },
  {
    meta: { name: "register", description: "Register a process as a machine, or run a command as one" },
    group: "Machine",
    args: {
      name: { type: "positional", required: true, description: "The name of the new machine", complete: "free" },
      command: {
        type: "positional",
        required: false,
        repeated: true,
        description: "A program with its arguments, to be run as the leader",
        complete: "command",
      },
    },
    wordsUntilRest: 3,
    options: ["leader", "class", "service", "root-directory", "vsock-cid", "ssh-address", "ssh-private-key"],
    run: async (session, words) => (await import("../machine/register.ts")).register(session, words),
  },
  {
    meta: { name: "unregister", description: "Remove machines from the registry; their processes continue" },
    group: "Machine",
    hosts: "silent",
    args: NAMES,
    run: async (session, names) => (await import("../machine/register.ts")).unregister(session, names),
  },
  {
    meta: { name: "enable", description: "Start images at boot" },
    group: "Machine",
    hosts: "streams",
    args: IMAGES,
    options: ["now", "runner", "quiet"],
    run: async (session, names) => (await import("../image/enable.ts")).enable(session, names),
  },
  {
    meta: { name: "disable", description: "Do not start images at boot" },
    group: "Machine",
    hosts: "streams",
    args: IMAGES,
    options: ["now", "runner", "quiet"],
    run: async (session, names) => (await import("../image/enable.ts")).disable(session, names),
  },
  {
    meta: { name: "poweroff", alias: ["stop"], description: "Ask machines to power off" },
    group: "Machine",
    hosts: "silent",
    args: NAMES,
    run: async (session, names) => (await import("../machine/power.ts")).powerOff(session, names),
  },
  {
    meta: { name: "reboot", alias: ["restart"], description: "Ask machines to reboot" },
    group: "Machine",
    hosts: "silent",
    args: NAMES,
    run: async (session, names) => (await import("../machine/power.ts")).reboot(session, names),
  },
  {
    meta: { name: "terminate", description: "End machines at once" },
    group: "Machine",
    hosts: "silent",
    args: NAMES,
    run: async (session, names) => (await import("../machine/power.ts")).terminate(session, names),
  },
  {
    meta: { name: "pause", description: "Pause virtual machines that have a control socket" },
    group: "Machine",
    hosts: "silent",
    args: NAMES,
    run: async (session, names) => (await import("../machine/power.ts")).pause(session, names),
  },
  {
    meta: { name: "resume", description: "Resume paused machines" },
    group: "Machine",
    hosts: "silent",
    args: NAMES,
    run: async (session, names) => (await import("../machine/power.ts")).resume(session, names),
  },
  {
    meta: { name: "kill", description: "Send a signal to the processes of machines" },
    group: "Machine",
    hosts: "silent",
    args: NAMES,
    options: ["kill-whom", "signal"],
    run: async (session, names) => (await import("../machine/power.ts")).kill(session, names),
  },
  {
    meta: { name: "copy-to", description: "Copy files from this host into a machine" },
    group: "Machine",
    args: TO_MACHINE,
    options: ["force"],
    run: async (session, words) => (await import("../exec/copy.ts")).copyVerb("to")(session, words),
  },
  {
    meta: { name: "copy-from", description: "Copy files from a machine to this host" },
    group: "Machine",
    args: FROM_MACHINE,
    options: ["force"],
    run: async (session, words) => (await import("../exec/copy.ts")).copyVerb("from")(session, words),
  },
  {
    meta: { name: "bind", description: "Bind mount a file or directory of this host into a machine" },
    group: "Machine",
    args: TO_MACHINE,
    options: ["read-only", "mkdir"],
    run: async (session, words) => (await import("../machine/bind.ts")).bind(session, words),
  },
  {
    meta: { name: "bind-volume", description: "Attach a volume to a running virtual machine" },
    group: "Machine",
    args: BIND_VOLUME,
    run: async (session, words) => (await import("../machine/volumes.ts")).bindVolume(session, words),
  },
  {
    meta: { name: "unbind-volume", description: "Detach a volume from a virtual machine" },
    group: "Machine",
    args: UNBIND_VOLUME,
    run: async (session, words) => (await import("../machine/volumes.ts")).unbindVolume(session, words),
  },
  {
    meta: { name: "list-images", description: "List the images that machines can be started from" },
    group: "Image",
    hosts: "rows",
    args: {},
    options: ["all", "full", "output", "json", "no-legend", ...LIST_OPTIONS],
    columns: async () => (await import("../image/columns.ts")).IMAGE_COLUMNS,
    run: async (session) => (await import("../image/list.ts")).listImages(session),
  },
  {
    meta: { name: "image-status", description: "Print the state of images or of the pool for people" },
    group: "Image",
    hosts: "pages",
    args: IMAGES_OR_NONE,
    options: ["json"],
    run: async (session, names) => (await import("../image/status.ts")).imageStatus(session, names),
  },
  {
    meta: { name: "show-image", description: "Print properties of images or of the manager" },
    group: "Image",
    hosts: "pages",
    args: IMAGES_OR_NONE,
    options: ["property", "value", "all", "json"],
    run: async (session, names) => (await import("../image/show.ts")).showImage(session, names),
  },
  {
    meta: { name: "edit", description: "Change the settings of machines with an editor" },
    group: "Image",
    args: SETTINGS,
    run: async (session, names) => (await import("../image/nspawn-edit.ts")).edit(session, names),
  },
  {
    meta: { name: "cat", description: "Print the settings of machines" },
    group: "Image",
    args: SETTINGS,
    run: async (session, names) => (await import("../image/nspawn-files.ts")).cat(session, names),
  },
  {
    meta: { name: "clone", description: "Clone an image" },
    group: "Image",
    hosts: "silent",
    args: NEW_NAME,
    options: ["read-only"],
    run: async (session, words) => (await import("../image/images.ts")).clone(session, words),
  },
  {
    meta: { name: "rename", description: "Rename an image" },
    group: "Image",
    hosts: "silent",
    args: NEW_NAME,
    run: async (session, words) => (await import("../image/images.ts")).rename(session, words),
  },
  {
    meta: { name: "read-only", description: "Make an image read-only, or writable again" },
    group: "Image",
    hosts: "silent",
    args: {
      name: { type: "positional", required: true, description: "An image", complete: "image" },
      bool: {
        type: "positional",
        required: false,
        description: "Whether it is to be read-only; yes unless given",
        complete: "boolean",
      },
    },
    run: async (session, words) => (await import("../image/images.ts")).readOnly(session, words),
  },
  {
    meta: { name: "remove", description: "Remove images" },
    group: "Image",
    hosts: "silent",
    args: IMAGES,
    run: async (session, names) => (await import("../image/images.ts")).remove(session, names),
  },
  {
    meta: { name: "set-limit", description: "Limit the space of an image, or of all together" },
    group: "Image",
    hosts: "silent",
    args: {
      name: {
        type: "positional",
        required: false,
        description: "An image; left out, the pool is meant",
        complete: "image",
      },
      bytes: { type: "positional", required: true, description: "A size like 5G; '-' for no limit", complete: "free" },
    },
    run: async (session, words) => (await import("../image/images.ts")).setLimit(session, words),
  },
  {
    meta: { name: "clean", description: "Remove hidden images, or with --all all of them" },
    group: "Image",
    hosts: "streams",
    args: {},
    options: ["all", "json"],
    run: async (session) => (await import("../image/images.ts")).clean(session),
  },
  ...MACHINECTL_TRANSFER_VERBS,
  COMPLETE_VERB,
  DOCTOR_BUS_VERB,
  DOCTOR_POOL_VERB,
  REGISTER_END_VERB,
  RUN_MACHINE_VERB,
  RUN_REMOVE_VERB,
  {
    meta: { name: "help", description: "Print this overview, or the usage of one command", hidden: true },
    group: "Machine",
    hosts: "none",
    args: { command: { type: "positional", required: false, description: "A command", complete: "verb" } },
    anyWords: true,
    run: async (session, words, program) => (await import("./help.ts")).help(session, words, program),
  },
];
