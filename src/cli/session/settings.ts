// What the options of machinectl say, with the defaults of machinectl(1), "Options".
import type { Compression } from "../../base/vocabulary/compression.ts";
import type { ImageClass } from "../../base/vocabulary/image-class.ts";
import type { VerifyMode } from "../../base/vocabulary/transfer.ts";
import type { JsonMode } from "../format/json.ts";
import { SIGTERM } from "../format/signals.ts";

/** How the machine manager is reached: here, over ssh (-H), or inside a container (-M). */
export type Transport =
  | { readonly kind: "local" }
  | { readonly kind: "remote"; readonly host: string }
  | { readonly kind: "machine"; readonly name: string };

/** The journal output modes in the order `-o help` lists them. */
export const OUTPUT_MODES = [
  "short",
  "short-full",
  "short-iso",
  "short-iso-precise",
  "short-precise",
  "short-monotonic",
  "short-delta",
  "short-unix",
  "verbose",
  "export",
  "json",
  "json-pretty",
  "json-sse",
  "json-seq",
  "cat",
  "with-unit",
] as const;

type OutputMode = (typeof OUTPUT_MODES)[number];

export const RUNNERS = ["nspawn", "vmspawn"] as const;
export const WAIT_CONDITIONS = ["running", "booted", "address", "ssh", "ended"] as const;
export const PULL_MODES = ["missing", "always", "never"] as const;
export const JSON_CHOICES = ["pretty", "short", "off"] as const;
/** 1 is the original's; 2 has several values as an array, and an empty list as one. */
export const JSON_VERSIONS = ["1", "2"] as const;

export interface Settings {
  transport: Transport;
  /** `--fleet[=URL|FILE]`: "" for the usual server; null without the option. */
  fleet: string | null;
  /** `--through-service`: what root runs in machines, too, is run by the service. */
  throughService: boolean;
  /** `--batch`: this is the run for one of several hosts, and ssh may ask nobody for anything. */
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
  /** `--wait-status`: the exit status is the program's own. */
  waitStatus: boolean;
  readOnly: boolean;
  mkdir: boolean;
  lines: number;
  /** Infinity for `all`. */
  maxAddresses: number;
  output: OutputMode;
  /** `--json=`: the whole output of a verb as JSON. */
  json: "pretty" | "short" | "off";
  /** What is shown of a list. */
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
    /** `--cells`: as the run for several hosts reads it. */
    cells: boolean;
  };
  force: boolean;
  now: boolean;
  /** `-t`: the command of exec gets a terminal. */
  tty: boolean;
  /** `--stdin=`: whether the command of exec reads our standard input. */
  stdin: boolean;
  /** `--chdir=`: null for the user's home. */
  directory: string | null;
  /** `--timeout=`; 0 for no limit. */
  timeoutMs: number;
  detach: boolean;
  /** `--delay=`: between two looks of stats. */
  delayMs: number;
  /** `--iterations=`. */
  iterations: number;
  /** `--type=`: which events; none for all. */
  eventTypes: string[];
  /** `--since=` and `--until=` as they were given; empty for no limit. */
  since: string;
  /** `--after-cursor=` of `events`; empty for none. */
  afterCursor: string;
  until: string;
  /** `--no-follow`: false. */
  follow: boolean;
  /** `--parallel=`: in how many machines a command runs at once. */
  parallel: number;
  /** What `register` says about the machine. */
  registration: {
    /** Null where a command is to be the leader. */
    leader: number | null;
    machineClass: string;
    service: string;
    rootDirectory: string;
    vsockCid: number | null;
    sshAddress: string;
    sshPrivateKey: string;
  };
  /** What `run` says about the machine. */
  run: {
    /** "": a name is made. */
    name: string;
    /** `--rm`: nothing is left of it at its end. */
    remove: boolean;
    /** Null for what fits the image. */
    network: string | null;
    /** Options of systemd-nspawn: those of --bind=, --port= and --nspawn-option=. */
    options: string[];
    pull: (typeof PULL_MODES)[number];
  };
  /** `--for=`: what `wait` waits for. */
  waitFor: (typeof WAIT_CONDITIONS)[number];
  /** `--any`: the first machine is enough. */
  any: boolean;
  verbose: boolean;
  /** What `logs` shows. */
  log: {
    follow: boolean;
    /** `--lines=`, where it is given. */
    lines: number | null;
    unit: string | null;
    /** `--grep=`. */
    pattern: string | null;
  };
  runner: (typeof RUNNERS)[number];
  verify: VerifyMode | undefined;
  format: Compression | undefined;
  /** What images are for, in transfers. */
  imageClass: ImageClass | undefined;
  /** Whether the pristine copy of a download is kept; undefined: as the class of the image has it. */
  keepDownload: boolean | undefined;
  /** The image that a push sends the difference to. */
  base: string | undefined;
}

/** The settings of a command line without options. */
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

/** Whether a list is wanted as the original prints it. */
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

/** How a table is to be written as JSON, or null for a table: `--json=`, else the json modes of `-o`. */
export function tableJsonMode(settings: Settings): JsonMode | null {
  if (settings.json !== "off") return settings.json;
  return TABLE_MODES[settings.output] ?? null;
}
