// Parses the specification of a volume: `PROVIDER:VOLUME[:CONFIG[:KEY=VALUE,…]]` (machinectl(1), "bind-volume").
import { UINT64_MAX } from "../../base/text/format.ts";
import { parseSize } from "../format/size.ts";
import { parseBoolean } from "../format/terminal.ts";

/** Parameters of io.systemd.StorageProvider.Acquire, from the `KEY=VALUE` part. */
interface Acquisition {
  readonly createMode?: string;
  readonly template?: string;
  readonly readOnly?: boolean;
  readonly requestAs?: string;
  readonly createSizeBytes?: bigint;
}

/** A parsed specification. */
export interface VolumeSpec {
  readonly provider: string;
  readonly volume: string;
  /** How the machine attaches the volume; chosen by the machine if absent. */
  readonly config?: string;
  readonly acquisition: Acquisition;
}

/** The errno of a text that is no valid specification. */
type SpecError = "EINVAL" | "ERANGE";

type Read = (value: string) => Acquisition | SpecError;

const readOnly: Read = (value) => {
  const on = parseBoolean(value);
  return on === undefined ? "EINVAL" : { readOnly: on };
};

const size: Read = (value) => {
  if (value.startsWith("-")) return "ERANGE";
  const bytes = parseSize(value);
  if (bytes === undefined || bytes === 0n) return "EINVAL";
  return bytes === UINT64_MAX ? {} : { createSizeBytes: bytes };
};

const oneOf =
  (field: "createMode" | "requestAs", words: readonly string[]): Read =>
  (value) =>
    words.includes(value) ? { [field]: value } : "EINVAL";

const KEYS: Readonly<Record<string, Read>> = {
  "read-only": readOnly,
  ro: readOnly,
  create: oneOf("createMode", ["any", "new", "open"]),
  template: (value) => (value === "" ? "EINVAL" : { template: value }),
  "create-size": size,
  size,
  "request-as": oneOf("requestAs", ["blk", "reg", "dir"]),
};

/** Whether a text is a valid provider name. It becomes the file name of a socket. */
function isProvider(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !name.includes("/");
}

/** Parses `PROVIDER:VOLUME`; null for other text. */
export function parseVolumeName(text: string): { provider: string; volume: string } | null {
  const colon = text.indexOf(":");
  const [provider, volume] = [text.slice(0, Math.max(colon, 0)), text.slice(colon + 1)];
  return isProvider(provider) && volume !== "" ? { provider, volume } : null;
}

/** Parses a whole specification; returns an errno name if it is invalid. */
export function parseVolumeSpec(text: string): VolumeSpec | SpecError {
  const name = parseVolumeName(text);
  if (name === null) return "EINVAL";
  const [volume = "", config = "", ...rest] = name.volume.split(":");
  // A value may contain colons; a colon directly after the one that begins the list is an error.
  const list = rest.join(":");
  if (volume === "" || list.startsWith(":")) return "EINVAL";
  let acquisition: Acquisition = {};
  for (const word of list.split(",").filter((one) => one !== "")) {
    const equals = word.indexOf("=");
    const key = equals < 0 ? "" : word.slice(0, equals);
    const read = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
    const field = read?.(word.slice(equals + 1)) ?? "EINVAL";
    if (typeof field === "string") return field;
    if (Object.keys(field).some((name) => name in acquisition)) return "EINVAL";
    acquisition = { ...acquisition, ...field };
  }
  return { provider: name.provider, volume, ...(config === "" ? {} : { config }), acquisition };
}
