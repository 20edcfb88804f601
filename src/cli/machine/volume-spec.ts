// Volumes as people name them: `PROVIDER:VOLUME[:CONFIG[:KEY=VALUE,…]]` (machinectl(1), "bind-volume").
import { UINT64_MAX } from "../../base/format.ts";
import { parseSize } from "../format/size.ts";
import { parseBoolean } from "../format/terminal.ts";

/** How a provider is asked for the volume (io.systemd.StorageProvider.Acquire). */
interface Acquisition {
  readonly createMode?: string;
  readonly template?: string;
  readonly readOnly?: boolean;
  readonly requestAs?: string;
  readonly createSizeBytes?: bigint;
}

export interface VolumeSpec {
  readonly provider: string;
  readonly volume: string;
  /** How the machine is to show it; the machine's own choice when absent. */
  readonly config?: string;
  readonly acquisition: Acquisition;
}

/** Why a text is no volume, as errno. */
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

/** Whether the text can name a provider: it becomes the name of a socket. */
function isProvider(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !name.includes("/");
}

/** Provider and volume of `PROVIDER:VOLUME`; null for what is no such pair. */
export function parseVolumeName(text: string): { provider: string; volume: string } | null {
  const colon = text.indexOf(":");
  const [provider, volume] = [text.slice(0, Math.max(colon, 0)), text.slice(colon + 1)];
  return isProvider(provider) && volume !== "" ? { provider, volume } : null;
}

/** The parts of a whole specification, or why it is none. */
export function parseVolumeSpec(text: string): VolumeSpec | SpecError {
  const name = parseVolumeName(text);
  if (name === null) return "EINVAL";
  const [volume = "", config = "", ...rest] = name.volume.split(":");
  // A value may have colons in it, an empty list has none behind it.
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
