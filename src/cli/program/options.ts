// The options of machinectl, one row each, in the order of the help text (machinectl(1), "Options").
// Rows have the form of citty argument definitions; getopt.ts parses by them, help.ts and introspect.ts print them.

import { COMPRESSIONS } from "../../base/vocabulary/compression.ts";
import { CHOSEN_TYPES } from "../../base/vocabulary/event.ts";
import { KILL_WHOM } from "../../base/vocabulary/machine.ts";
import { OUTPUT_MODES } from "../../base/vocabulary/output-mode.ts";
import { VERIFY_MODES } from "../../base/vocabulary/transfer.ts";
import type { OptionRow, OptionTable } from "../command-line/getopt.ts";
import {
  type OptionContext,
  setDelay,
  setEnvironment,
  setEventTypes,
  setFormat,
  setIterations,
  setJson,
  setJsonVersion,
  setLeader,
  setLines,
  setMachineClass,
  setMaxAddresses,
  setNetwork,
  setOutput,
  setParallel,
  setPull,
  setRunner,
  setSignal,
  setStdin,
  setTimeoutSpan,
  setVerify,
  setVsockCid,
  setWaitFor,
} from "../command-line/option-values.ts";
import {
  JSON_CHOICES,
  JSON_VERSIONS,
  PULL_MODES,
  RUNNERS,
  type Settings,
  WAIT_CONDITIONS,
} from "../session/settings.ts";

type Row = OptionRow<Settings, OptionContext>;

/** An option without a value, which sets some settings. */
function flag(description: string, set: Partial<Settings>): Row {
  return { type: "boolean", description, apply: (settings) => void Object.assign(settings, set) };
}

/** An option without a value, which does something to the settings. */
function valueless(description: string, apply: Row["apply"]): Row {
  return { type: "boolean", description, apply };
}

/** An option with a value. */
function valued(valueHint: string, description: string, apply: Row["apply"]): Row {
  return { type: "string", valueHint, description, apply };
}

/** An option whose values are known. */
function listed(valueHint: string, values: NonNullable<Row["values"]>, description: string, apply: Row["apply"]): Row {
  return { ...valued(valueHint, description, apply), values };
}

function short(alias: string, row: Row): Row {
  return { ...row, alias };
}

/** An option that the original does not have. */
function added(row: Row): Row {
  return { ...row, added: true };
}

function hidden(row: Row): Row {
  return { ...row, hidden: true };
}

const OUTPUT_HELP = `Form of journal entries (${OUTPUT_MODES.join(", ")}); the json ones turn tables into JSON`;

/** The table of options. */
export const OPTIONS: OptionTable<Settings, OptionContext> = {
  help: {
    type: "boolean",
    alias: "h",
    description: "Print this overview; after a command, the page of that command",
    apply: (_s, _value, context) => context.help,
  },
  version: { type: "boolean", description: "Print the version", apply: (_s, _value, context) => context.version },
  host: short(
    "H",
    listed(
      "[USER@]HOST",
      "host",
      "Work on another host, over ssh; on several: HOST,HOST or @FILE",
      (settings, host) => {
        settings.transport = { kind: "remote", host };
      },
    ),
  ),
  machine: short(
    "M",
    listed("CONTAINER", "machine", "Work on the manager inside a container", (settings, name) => {
      settings.transport = { kind: "machine", name };
    }),
  ),
  fleet: added({
    ...valued(
      "URL|FILE",
      "Work on the hosts behind a NATS server; on some of them with -H HOST,HOST",
      (settings, server) => {
        settings.fleet = server;
      },
    ),
    isValueOptional: true,
  }),
  system: flag("Talk to the machine manager of the system", { scope: "system" }),
  user: flag("Talk to the machine manager of the calling user", { scope: "user" }),
  value: flag("With show: print values without their names", { valueOnly: true }),
  property: short(
    "p",
    valued("NAME", "With show: print only properties of this name", (settings, name) => {
      settings.properties.push(name);
    }),
  ),
  P: valued("NAME", "Short for --value --property=NAME", (settings, name) => {
    settings.properties.push(name);
    settings.valueOnly = true;
  }),
  all: short("a", flag("Include hidden machines and empty properties", { all: true })),
  full: short("l", flag("Do not shorten anything to fit the terminal", { full: true })),
  "kill-whom": listed("WHOM", KILL_WHOM.values, "Who gets the signal: leader, supervisor or all", (settings, whom) => {
    settings.killWhom = whom;
  }),
  signal: short("s", listed("SIGNAL", "signal", "The signal to send, or 'list'", setSignal)),
  uid: listed("USER", "user", "The user to run a shell or command as", (settings, uid) => {
    settings.uid = uid;
  }),
  setenv: short(
    "E",
    listed("VAR[=VALUE]", "variable", "Set an environment variable for a shell or command", setEnvironment),
  ),
  "wait-status": flag("With shell: exit with the program's own exit status", { waitStatus: true }),
  "read-only": flag("Make the bind mount or the clone read-only", { readOnly: true }),
  mkdir: flag("Create the target of a bind mount where it is missing", { mkdir: true }),
  lines: short(
    "n",
    valued("INTEGER", "How many journal entries to print, or with events how many of the last events", setLines),
  ),
  "max-addresses": listed("INTEGER", ["all"], "How many addresses to list at most, or 'all'", setMaxAddresses),
  output: short("o", listed("STRING", OUTPUT_MODES, OUTPUT_HELP, setOutput)),
  json: listed("MODE", JSON_CHOICES, "Print the output as JSON (pretty, short, off)", setJson),
  force: flag("Replace existing files when copying", { force: true }),
  now: flag("With enable and disable: start or power off as well", { now: true }),
  runner: listed("RUNNER", RUNNERS, "Run images as containers (nspawn) or as virtual machines (vmspawn)", setRunner),
  V: flag("Short for --runner=vmspawn", { runner: "vmspawn" }),
  verify: hidden(
    listed("MODE", VERIFY_MODES.values, `How a download is verified (${VERIFY_MODES.values.join(", ")})`, setVerify),
  ),
  format: hidden(listed("FORMAT", COMPRESSIONS, `Compression of an export (${COMPRESSIONS.join(", ")})`, setFormat)),
  tty: added(short("t", flag("With exec and run: give the command a terminal", { tty: true }))),
  stdin: added(listed("BOOL", ["yes", "no"], "With exec and run: whether the command reads standard input", setStdin)),
  chdir: added(
    valued("DIR", "With exec and run: the directory in which the command runs", (settings, directory) => {
      settings.directory = directory;
    }),
  ),
  timeout: added(
    valued("SPAN", "With exec, run and wait: end the command, or the waiting, after this time", setTimeoutSpan),
  ),
  detach: added(flag("With exec: leave the command running, and print its process and cgroup", { detach: true })),
  parallel: added(
    valued("N", "With exec: in how many machines to run at once; with -H: on how many hosts", setParallel),
  ),
  columns: added(
    listed(
      "KEY,…",
      "column",
      "With lists: the columns to show; '+KEY' adds one, 'help' explains them",
      (settings, keys) => {
        settings.list.columns = keys;
      },
    ),
  ),
  sort: added(
    listed(
      "KEY,…",
      "column-sort",
      "With lists: sort by these columns; '-KEY' or 'KEY:desc' in descending order",
      (settings, keys) => {
        settings.list.sort = keys;
      },
    ),
  ),
  filter: added(
    listed("KEY=GLOB", "column-filter", "With lists: show only rows whose column matches", (settings, filter) => {
      settings.list.filters.push(filter);
    }),
  ),
  template: added(
    valued("TEXT", "With lists: a line for each row, with values for {{KEY}} and {{KEY.N}}", (settings, template) => {
      settings.list.template = template;
    }),
  ),
  "json-version": added(
    listed(
      "VERSION",
      JSON_VERSIONS,
      "With lists: 2 makes several values an array, and no rows an empty one",
      setJsonVersion,
    ),
  ),
  delay: added(valued("SPAN", "With stats: the time between two measurements", setDelay)),
  iterations: added(valued("N", "With stats: how often to measure", setIterations)),
  type: added(
    listed("TYPE,…", CHOSEN_TYPES.values, "With events: only of these types, separated by commas", setEventTypes),
  ),
  since: added(
    valued("TIME", "With events and logs: begin at this time", (settings, time) => {
      settings.since = time;
    }),
  ),
  until: added(
    valued("TIME", "With events and logs: end at this time", (settings, time) => {
      settings.until = time;
    }),
  ),
  "after-cursor": added(
    valued("CURSOR", "With events: begin after the event with this cursor", (settings, cursor) => {
      settings.afterCursor = cursor;
    }),
  ),
  "no-follow": added(flag("With events: do not wait for new events", { follow: false })),
  leader: added(valued("PID", "With register: the first process of the machine", setLeader)),
  class: added(listed("CLASS", ["container", "vm"], "With register: what the machine is", setMachineClass)),
  service: added(
    valued("SERVICE", "With register: the program that runs the machine", (settings, service) => {
      settings.registration.service = service;
    }),
  ),
  "root-directory": added(
    valued("DIR", "With register: the machine's root directory on this host", (settings, directory) => {
      settings.registration.rootDirectory = directory;
    }),
  ),
  "vsock-cid": added(valued("CID", "With register: the machine's VSOCK address", setVsockCid)),
  "ssh-address": added(
    valued("ADDRESS", "With register: where the machine is reached over ssh", (settings, address) => {
      settings.registration.sshAddress = address;
    }),
  ),
  "ssh-private-key": added(
    valued("FILE", "With register: the private key for ssh to it", (settings, file) => {
      settings.registration.sshPrivateKey = file;
    }),
  ),
  name: added(
    valued("NAME", "With run: the name of the machine; one is made unless given", (settings, name) => {
      settings.run.name = name;
    }),
  ),
  rm: added({
    type: "boolean",
    description: "With run: run a clone of the image, which is removed when the machine ends",
    apply: (settings) => {
      settings.run.remove = true;
    },
  }),
  network: added(
    listed(
      "KIND",
      ["host", "none", "veth", "user"],
      "With run: the network of the machine: host, none, veth, or bridge:NAME, zone:NAME, interface:NAME, macvlan:NAME, ipvlan:NAME; with -V none, veth or user",
      setNetwork,
    ),
  ),
  bind: added(
    valued("SOURCE[:TARGET]", "With run: show a file or directory of this host in the machine", (settings, bind) => {
      settings.run.options.push({ from: "--bind=", text: `--bind=${bind}`, only: null });
    }),
  ),
  port: added(
    valued("[PROTO:]HOST[:PORT]", "With run: forward a port of this host to the machine", (settings, port) => {
      settings.run.options.push({ from: "--port=", text: `--port=${port}`, only: "nspawn" });
    }),
  ),
  "nspawn-option": added(
    valued("OPTION", "With run: a further option of systemd-nspawn", (settings, option) => {
      settings.run.options.push({ from: "--nspawn-option=", text: option, only: "nspawn" });
    }),
  ),
  "vmspawn-option": added(
    valued("OPTION", "With run -V: a further option of systemd-vmspawn", (settings, option) => {
      settings.run.options.push({ from: "--vmspawn-option=", text: option, only: "vmspawn" });
    }),
  ),
  pull: added(listed("WHEN", PULL_MODES, "With run: pull the image when it is missing, always, or never", setPull)),
  for: added(listed("CONDITION", WAIT_CONDITIONS, "With wait: what to wait for; booted unless given", setWaitFor)),
  follow: added(
    short(
      "f",
      valueless("With logs: print new entries as they come, also after the machine is started again", (settings) => {
        settings.log.follow = true;
      }),
    ),
  ),
  unit: added(
    short(
      "u",
      valued("UNIT", "With logs: only entries of a unit of the machine", (settings, unit) => {
        settings.log.unit = unit;
      }),
    ),
  ),
  grep: added(
    short(
      "g",
      valued("PATTERN", "With logs: only entries whose message matches", (settings, pattern) => {
        settings.log.pattern = pattern;
      }),
    ),
  ),
  any: added(flag("With wait: wait until it is true for one of the machines, not for all", { any: true })),
  verbose: added(short("v", flag("Print more details", { verbose: true }))),
  "no-pager": flag("Print without a pager", { pager: false }),
  "no-legend": flag("Leave out headings and summary lines", { legend: false }),
  "no-ask-password": flag("Never ask for a password", { askPassword: false }),
  quiet: short("q", flag("Print less", { quiet: true })),
  batch: added(hidden(flag("", { batch: true }))),
  "through-service": added(hidden(flag("", { throughService: true }))),
  cells: added(
    hidden(
      valueless("", (settings) => {
        settings.list.cells = true;
      }),
    ),
  ),
  "introspect-cli": { type: "boolean", hidden: true, apply: (_s, _value, context) => context.introspection },
};
