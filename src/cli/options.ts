// The options of machinectl, one row each, in the order of the help text (machinectl(1), "Options").
// Rows have the form of citty argument definitions; getopt.ts parses by them, help.ts and introspect.ts print them.
import type { OptionRow, OptionTable } from "./getopt.ts";
import {
  type OptionContext,
  setEnvironment,
  setFormat,
  setJson,
  setLines,
  setMaxAddresses,
  setOutput,
  setRunner,
  setSignal,
  setVerify,
} from "./option-values.ts";
import { OUTPUT_MODES, type Settings } from "./settings.ts";

type Row = OptionRow<Settings, OptionContext>;

/** An option without a value, which sets some settings. */
function flag(description: string, set: Partial<Settings>): Row {
  return { type: "boolean", description, apply: (settings) => void Object.assign(settings, set) };
}

/** An option with a value. */
function valued(valueHint: string, description: string, apply: Row["apply"]): Row {
  return { type: "string", valueHint, description, apply };
}

function short(alias: string, row: Row): Row {
  return { ...row, alias };
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
    description: "Print this overview",
    apply: (_s, _value, context) => context.help,
  },
  version: { type: "boolean", description: "Print the version", apply: (_s, _value, context) => context.version },
  host: short(
    "H",
    valued("[USER@]HOST", "Work on another host, over ssh", (settings, host) => {
      settings.transport = { kind: "remote", host };
    }),
  ),
  machine: short(
    "M",
    valued("CONTAINER", "Work on the manager inside a container", (settings, name) => {
      settings.transport = { kind: "machine", name };
    }),
  ),
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
  "kill-whom": valued("WHOM", "Who gets the signal: leader, supervisor or all", (settings, whom) => {
    settings.killWhom = whom;
  }),
  signal: short("s", valued("SIGNAL", "The signal to send, or 'list'", setSignal)),
  uid: valued("USER", "The user to run a shell as", (settings, uid) => {
    settings.uid = uid;
  }),
  setenv: short("E", valued("VAR[=VALUE]", "Set an environment variable for a shell", setEnvironment)),
  "wait-status": flag("With shell: exit with the program's own exit status", { waitStatus: true }),
  "read-only": flag("Make the bind mount or the clone read-only", { readOnly: true }),
  mkdir: flag("Create the place of a bind mount where it is missing", { mkdir: true }),
  lines: short("n", valued("INTEGER", "How many journal entries to print", setLines)),
  "max-addresses": valued("INTEGER", "How many addresses to list at most, or 'all'", setMaxAddresses),
  output: short("o", valued("STRING", OUTPUT_HELP, setOutput)),
  json: valued("MODE", "Print list, status and show as JSON (pretty, short, off)", setJson),
  force: flag("Replace what is in the way when copying", { force: true }),
  now: flag("With enable and disable: start or power off as well", { now: true }),
  runner: valued("RUNNER", "Run images as containers (nspawn) or as virtual machines (vmspawn)", setRunner),
  V: flag("Short for --runner=vmspawn", { runner: "vmspawn" }),
  verify: hidden(valued("MODE", "", setVerify)),
  format: hidden(valued("FORMAT", "", setFormat)),
  "no-pager": flag("Print without a pager", { pager: false }),
  "no-legend": flag("Leave out headings and summary lines", { legend: false }),
  "no-ask-password": flag("Never ask for a password", { askPassword: false }),
  quiet: short("q", flag("Print less", { quiet: true })),
  "introspect-cli": { type: "boolean", hidden: true, apply: (_s, _value, context) => context.introspection },
};
