// The settings that the options of the clients change, with the defaults of machinectl(1), "Options".
import type { Compression } from "../../base/vocabulary/compression.ts";
import type { ImageClass } from "../../base/vocabulary/image-class.ts";
import type { OutputMode } from "../../base/vocabulary/output-mode.ts";
import type { VerifyMode } from "../../base/vocabulary/transfer.ts";
import type { JsonMode } from "../format/json.ts";
import { SIGTERM } from "../format/signals.ts";

/** Where the machine manager is: on this host, on another host over ssh (-H), or inside a container (-M). */
export type Transport =
  | { readonly kind: "local" }
  | { readonly kind: "remote"; readonly host: string }
  | { readonly kind: "machine"; readonly name: string };

/** Values of `--runner=`. */
export const RUNNERS = ["nspawn", "vmspawn"] as const;
export type Runner = (typeof RUNNERS)[number];

/** An option of `run` for the program that runs the machine. */
interface RunnerOption {
  /** The option of our command line, such as `--port=`. */
  readonly from: string;
  /** The option for the runner, such as `--port=8080:80`. */
  readonly text: string;
  /** The only runner that knows the option; null for both. */
  readonly only: Runner | null;
}
/** Values of `wait --for=`. */
export const WAIT_CONDITIONS = ["running", "booted", "address", "ssh", "ended"] as const;
/** Values of `run --pull=`. */
export const PULL_MODES = ["missing", "always", "never"] as const;
/** Values of `--json=`. */
export const JSON_CHOICES = ["pretty", "short", "off"] as const;
/** Forms of lists as JSON: 1 is the original's; in 2, a cell with several values is an array, also if it has none. */
export const JSON_VERSIONS = ["1", "2"] as const;

/** The settings of one run. Fields without a comment are the value of the option of the same name. */
export interface Settings {
  transport: Transport;
  /** `--fleet[=URL|FILE]`: "" for the configured server; null without the option. */
  fleet: string | null;
  /**
   * `--through-service`: exec has the service run the command, even if the caller is root and could enter the machine.
   */
  throughService: boolean;
  /** `--batch`: this run was started for one of several hosts, so ssh must not ask the user for anything. */
  batch: boolean;
  scope: "system" | "user";
  pager: boolean;
  legend: boolean;
  askPassword: boolean;
  quiet: boolean;
  full: boolean;
  all: boolean;
  valueOnly: boolean;
  properties: string[];
  killWhom: string;
  signal: number;
  uid: string;
  environment: string[];
  /** `--wait-status`: the exit status of the shell's command becomes the client's. */
  waitStatus: boolean;
  readOnly: boolean;
  mkdir: boolean;
  lines: number;
  /** `--max-addresses=`; Infinity for `all`. */
  maxAddresses: number;
  output: OutputMode;
  /** `--json=`: prints the whole output of a verb as JSON. */
  json: "pretty" | "short" | "off";
  /** Options of verbs that print a list. */
  list: {
    /** `--columns=`; null for the usual ones. */
    columns: string | null;
    /** `--sort=`; null for the usual order. */
    sort: string | null;
    /** `--filter=`, each `KEY=GLOB`. */
    filters: string[];
    /** `--template=`; null for a table. */
    template: string | null;
    /** `--json-version=`. */
    jsonVersion: (typeof JSON_VERSIONS)[number];
    /** `--cells`: prints the list in the form that a run for several hosts reads from the clients that it starts. */
    cells: boolean;
  };
  force: boolean;
  now: boolean;
  /** `-t`: the command of exec runs on a terminal. */
  tty: boolean;
  /** `--stdin=`: whether the command of exec reads this client's standard input. */
  stdin: boolean;
  /** `--chdir=`; null for the home directory of the user. */
  directory: string | null;
  /** `--timeout=` in milliseconds; 0 for no limit. */
  timeoutMs: number;
  detach: boolean;
  /** `--delay=`: the time between two measurements of stats, in milliseconds. */
  delayMs: number;
  iterations: number;
  /** `--type=`: the types of events to print; empty for all. */
  eventTypes: string[];
  /** `--since=` and `--until=`, not parsed; empty for no limit. */
  since: string;
  /** `--after-cursor=` of `events`; empty without the option. */
  afterCursor: string;
  until: string;
  /** Whether `events` continues with new events; `--no-follow` makes it false. */
  follow: boolean;
  /** `--parallel=`: in how many machines a command runs at once. */
  parallel: number;
  /** Properties of the machine that `register` registers. */
  registration: {
    /** The number of a process; null if a command becomes the leader. */
    leader: number | null;
    machineClass: string;
    service: string;
    rootDirectory: string;
    vsockCid: number | null;
    sshAddress: string;
    sshPrivateKey: string;
  };
  /** Options of `run`. */
  run: {
    /** `--name=`; "" to make one from the image. */
    name: string;
    /** `--rm`: removes the machine's image and settings at its end. */
    remove: boolean;
    /** `--network=`; null to choose by the image. */
    network: string | null;
    /** Command-line options for the runner, from --bind=, --port=, --nspawn-option= and --vmspawn-option=. */
    options: RunnerOption[];
    pull: (typeof PULL_MODES)[number];
  };
  /** `--for=`: the condition that `wait` waits for. */
  waitFor: (typeof WAIT_CONDITIONS)[number];
  /** `--any`: `wait` returns as soon as one machine meets the condition. */
  any: boolean;
  verbose: boolean;
  /** Options of `logs`. */
  log: {
    follow: boolean;
    /** `--lines=`; null without the option. */
    lines: number | null;
    unit: string | null;
    /** `--grep=`. */
    pattern: string | null;
  };
  runner: Runner;
  verify: VerifyMode | undefined;
  format: Compression | undefined;
  /** `--class=` of importctl; undefined without the option. */
  imageClass: ImageClass | undefined;
  /**
   * `--keep-download=`: whether an unchanged copy of a download is kept; undefined for the default of the image's
   * class.
   */
  keepDownload: boolean | undefined;
  /** `--base=`: a push uploads only the difference to this image. */
  base: string | undefined;
}

/** Returns the settings of a command line without options. */
export function defaultSettings(): Settings {
  return {
    transport: { kind: "local" },
    fleet: null,
    throughService: false,
    batch: false,
    scope: "system",
    pager: true,
    legend: true,
    askPassword: true,
    quiet: false,
    full: false,
    all: false,
    valueOnly: false,
    properties: [],
    killWhom: "all",
    signal: SIGTERM,
    uid: "",
    environment: [],
    waitStatus: false,
    readOnly: false,
    mkdir: false,
    lines: 10,
    maxAddresses: 1,
    output: "short",
    json: "off",
    list: { columns: null, sort: null, filters: [], template: null, jsonVersion: "1", cells: false },
    force: false,
    now: false,
    tty: false,
    stdin: true,
    directory: null,
    timeoutMs: 0,
    detach: false,
    delayMs: 1000,
    iterations: 1,
    eventTypes: [],
    since: "",
    afterCursor: "",
    until: "",
    follow: true,
    parallel: 1,
    registration: {
      leader: null,
      machineClass: "container",
      service: "",
      rootDirectory: "",
      vsockCid: null,
      sshAddress: "",
      sshPrivateKey: "",
    },
    run: { name: "", remove: false, network: null, options: [], pull: "missing" },
    waitFor: "booted",
    any: false,
    verbose: false,
    log: { follow: false, lines: null, unit: null, pattern: null },
    runner: "nspawn",
    verify: undefined,
    format: undefined,
    imageClass: undefined,
    keepDownload: undefined,
    base: undefined,
  };
}

/** Whether no option for columns, rows or form is set, so that a list is printed as the original prints it. */
export function isPlainList({ list }: Settings): boolean {
  const { columns, sort, filters, template, jsonVersion, cells } = list;
  if (cells) return false;
  return columns === null && sort === null && filters.length === 0 && template === null && jsonVersion === "1";
}

const TABLE_MODES: Readonly<Partial<Record<OutputMode, JsonMode>>> = {
  json: "short",
  "json-pretty": "pretty",
  "json-seq": "seq",
  "json-sse": "sse",
};

/** Returns the layout for a table as JSON, from `--json=` or else the JSON modes of `-o`; null for a text table. */
export function tableJsonMode(settings: Settings): JsonMode | null {
  if (settings.json !== "off") return settings.json;
  return TABLE_MODES[settings.output] ?? null;
}

/**
 * Returns the layout of objects as JSON, for verbs that print pages: `-o` is the form of the journal entries in these.
 */
export function pageJsonMode({ json }: Settings): JsonMode | null {
  return json === "off" ? null : json;
}
