// The options of the transfer workers, those of the original's programs, in one table (systemd-importd.service(8)).
import { isAbsolutePath } from "../../base/names.ts";
import { COMPRESSIONS } from "../../base/vocabulary/compression.ts";
import { IMAGE_CLASSES, type ImageClass } from "../../base/vocabulary/image-class.ts";
import { VERIFY_MODES } from "../../base/vocabulary/transfer.ts";

/** The values of all options. Options that a program does not have keep their defaults. */
export interface WorkerOptions {
  force: boolean;
  readOnly: boolean;
  direct: boolean;
  btrfsSubvolume: boolean;
  btrfsQuota: boolean;
  sync: boolean;
  class: ImageClass;
  scope: "system" | "user";
  imageRoot: string | null;
  convertQcow2: boolean;
  offset: number | null;
  sizeMax: number | null;
  verify: string;
  settings: boolean;
  rootHash: boolean;
  rootHashSignature: boolean;
  verity: boolean;
  keepDownload: boolean | null;
  format: string | null;
  architecture: string | null;
  /** The image that a push computes the second layer against; null for none. */
  base: string | null;
  /** The source of a push's login for the registry; `stdin` for a pull: also that of its URL. */
  credentials: (typeof CREDENTIAL_SOURCES)[number];
  /** The directory of this host's lock files; null for no locking. */
  locks: string | null;
}

export type ProgramName = "systemd-import" | "systemd-import-fs" | "systemd-export" | "systemd-pull";

/** The files of the process's user, standard input, or no login. */
const CREDENTIAL_SOURCES = ["own", "stdin", "none"] as const;

export interface OptionRow {
  readonly programs: readonly ProgramName[];
  /** The value's name in `--help`; absent for an option without a value. */
  readonly value?: string;
  readonly help: string;
  /** Sets the option from the value; returns false when the value is not valid. */
  readonly take: (options: WorkerOptions, value: string) => boolean;
}

const IMPORTS: readonly ProgramName[] = ["systemd-import", "systemd-import-fs", "systemd-pull"];
const ALL: readonly ProgramName[] = [...IMPORTS, "systemd-export"];
const RAW: readonly ProgramName[] = ["systemd-import", "systemd-pull"];
const PULL: readonly ProgramName[] = ["systemd-pull"];

type Switch = {
  [Key in keyof WorkerOptions]: WorkerOptions[Key] extends boolean | null ? Key : never;
}[keyof WorkerOptions];

function flag(programs: readonly ProgramName[], key: Switch, help: string): OptionRow {
  return { programs, help, take: (options) => set(options, { [key]: true }) };
}

function bool(programs: readonly ProgramName[], key: Switch, help: string): OptionRow {
  return { programs, value: "BOOL", help, take: (options, value) => setBoolean(options, key, value) };
}

function set(options: WorkerOptions, values: Partial<WorkerOptions>): true {
  Object.assign(options, values);
  return true;
}

const BOOLEANS: Readonly<Record<string, boolean>> = {
  ...Object.fromEntries(["1", "yes", "y", "true", "t", "on"].map((word) => [word, true])),
  ...Object.fromEntries(["0", "no", "n", "false", "f", "off"].map((word) => [word, false])),
};

function parseBoolean(text: string): boolean | null {
  return BOOLEANS[text.toLowerCase()] ?? null;
}

function setBoolean(options: WorkerOptions, key: Switch, text: string): boolean {
  const value = parseBoolean(text);
  return value !== null && set(options, { [key]: value });
}

const UNITS: Readonly<Record<string, number>> = { "": 1, B: 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

function parseSize(text: string): number | null {
  const match = /^(\d{1,15})([BKMGT]?)$/.exec(text);
  const size = match === null ? Number.NaN : Number(match[1]) * (UNITS[match[2] ?? ""] ?? Number.NaN);
  return Number.isSafeInteger(size) ? size : null;
}

function size(key: "offset" | "sizeMax", help: string): OptionRow {
  return {
    programs: RAW,
    value: "BYTES",
    help,
    take: (options, text) => {
      const value = parseSize(text);
      return value !== null && set(options, { [key]: value });
    },
  };
}

const LITERAL_HASH = /^[0-9A-Fa-f]{64}$/;

export const OPTIONS: Readonly<Record<string, OptionRow>> = {
  force: flag(IMPORTS, "force", "Force creation of image"),
  "image-root": {
    programs: ALL,
    value: "PATH",
    help: "Image root directory",
    take: (options, value) => isAbsolutePath(value) && set(options, { imageRoot: value }),
  },
  "read-only": flag(IMPORTS, "readOnly", "Create a read-only image"),
  direct: flag(IMPORTS, "direct", "Write directly to the given path"),
  "btrfs-subvol": bool(IMPORTS, "btrfsSubvolume", "Whether to create a btrfs subvolume for the tree"),
  "btrfs-quota": bool(IMPORTS, "btrfsQuota", "Accepted and ignored: quota is never switched on"),
  "convert-qcow2": bool(RAW, "convertQcow2", "Whether to convert QCOW2 images to raw"),
  sync: bool(IMPORTS, "sync", "Whether to sync to disk before completing"),
  offset: size("offset", "Offset to write to in the destination"),
  "size-max": size("sizeMax", "Maximum number of bytes to write to the destination"),
  class: {
    programs: ALL,
    value: "CLASS",
    help: `Class of the image (${IMAGE_CLASSES.values.join(", ")})`,
    take: (options, value) => IMAGE_CLASSES.has(value) && set(options, { class: value }),
  },
  system: { programs: ALL, help: "Operate in system scope", take: (options) => set(options, { scope: "system" }) },
  user: { programs: ALL, help: "Operate in user scope", take: (options) => set(options, { scope: "user" }) },
  verify: {
    programs: PULL,
    value: "MODE",
    help: `Verify downloaded image, one of ${VERIFY_MODES.values.join(", ")} or a SHA256 hash`,
    take: (options, value) => (VERIFY_MODES.has(value) || LITERAL_HASH.test(value)) && takeVerify(options, value),
  },
  settings: bool(PULL, "settings", "Download settings file with image"),
  roothash: bool(PULL, "rootHash", "Download root hash file with image"),
  "roothash-signature": bool(PULL, "rootHashSignature", "Download root hash signature file with image"),
  verity: bool(PULL, "verity", "Download verity file with image"),
  "keep-download": bool(PULL, "keepDownload", "Keep a copy of the download"),
  architecture: {
    programs: PULL,
    value: "ARCH",
    help: "Architecture to pull from a multi-platform OCI image",
    take: (options, value) => /^[a-z0-9_]+$/.test(value) && set(options, { architecture: value }),
  },
  format: {
    programs: ["systemd-export"],
    value: "FORMAT",
    help: `Compression: ${COMPRESSIONS.join(", ")}`,
    take: (options, value) => set(options, { format: value }),
  },
  base: {
    programs: ["systemd-export"],
    value: "NAME",
    help: "Push the layer of this image, and what is different",
    take: (options, value) => value !== "" && set(options, { base: value }),
  },
  credentials: {
    programs: ["systemd-export", "systemd-pull"],
    value: "SOURCE",
    help: `Where the login for a registry or server comes from, one of ${CREDENTIAL_SOURCES.join(", ")}`,
    take: (options, value) => {
      const source = CREDENTIAL_SOURCES.find((one) => one === value);
      return source !== undefined && set(options, { credentials: source });
    },
  },
};

/** A hash on the command line covers one file only: other files cannot be verified with it. */
function takeVerify(options: WorkerOptions, value: string): true {
  const isLiteral = LITERAL_HASH.test(value);
  const sideFiles = isLiteral ? { settings: false, rootHash: false, rootHashSignature: false, verity: false } : {};
  return set(options, { verify: isLiteral ? value.toLowerCase() : value, ...sideFiles });
}

/** Returns the defaults, as changed by the environment. */
export function defaultOptions(): WorkerOptions {
  const fromEnvironment = (name: string) => parseBoolean(process.env[name] ?? "") ?? true;
  return {
    force: false,
    readOnly: false,
    direct: false,
    btrfsSubvolume: fromEnvironment("SYSTEMD_IMPORT_BTRFS_SUBVOL"),
    btrfsQuota: fromEnvironment("SYSTEMD_IMPORT_BTRFS_QUOTA"),
    sync: fromEnvironment("SYSTEMD_IMPORT_SYNC"),
    class: "machine",
    scope: "system",
    imageRoot: null,
    convertQcow2: true,
    offset: null,
    sizeMax: null,
    verify: "signature",
    settings: true,
    rootHash: true,
    rootHashSignature: true,
    verity: true,
    keepDownload: null,
    format: null,
    architecture: null,
    base: null,
    credentials: "own",
    locks: null,
  };
}

/** A parsed command line. */
export interface CommandLine {
  readonly options: WorkerOptions;
  readonly words: readonly string[];
}
