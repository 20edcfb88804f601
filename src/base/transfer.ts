// The words that transfers of images are described with, and the rules for where they come from: shared by the daemon,
// its clients and the worker programs (importctl(1), org.freedesktop.import1(5)).
import { isHostName } from "./names.ts";
import { defineStringTable } from "./string-table.ts";

/** What an image is for, which says where it is kept. */
export const IMAGE_CLASSES = defineStringTable(["machine", "portable", "sysext", "confext"]);
export type ImageClass = (typeof IMAGE_CLASSES.values)[number];

/** The name of the directory of each class, below /var/lib, /run and so on. */
export const CLASS_DIRECTORIES: Readonly<Record<ImageClass, string>> = {
  machine: "machines",
  portable: "portables",
  sysext: "extensions",
  confext: "confexts",
};

export const TRANSFER_TYPES = defineStringTable([
  "import-tar",
  "import-raw",
  "import-fs",
  "export-tar",
  "export-raw",
  "pull-tar",
  "pull-raw",
  "pull-oci",
]);
export type TransferType = (typeof TRANSFER_TYPES.values)[number];

/** How a download is verified. */
export const VERIFY_MODES = defineStringTable(["no", "checksum", "signature"]);
export type VerifyMode = (typeof VERIFY_MODES.values)[number];

/** How a transfer ended. */
export type TransferResult = "done" | "canceled" | "failed";

/** Bits of the `flags` argument of the newer calls. */
export const TRANSFER_FLAGS = { force: 1n, readOnly: 2n, keepDownload: 4n } as const;

/** What the property Progress holds while nothing is known: the lowest double. */
export const PROGRESS_UNKNOWN = -Number.MAX_VALUE;

/** A URL that can be downloaded: of HTTP, HTTPS or a local file, in printable ASCII. */
export function isDownloadUrl(url: string): boolean {
  return /^(https?:\/\/|file:\/)[\x20-\x7e]+$/.test(url);
}

/** A container image of a registry, `[REGISTRY/]IMAGE[:TAG][@DIGEST]`. */
export interface OciReference {
  readonly registry: string | null;
  readonly image: string;
  readonly tag: string | null;
  readonly digest: string | null;
}

const OCI_IMAGE = /^(?!\.)[a-z0-9._+-]+(\/(?!\.)[a-z0-9._+-]+)*$/;
const OCI_TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const OCI_DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Takes a reference apart; undefined for what is none. What stands before the first slash is the registry. */
export function parseOciReference(text: string): OciReference | undefined {
  const at = text.indexOf("@");
  const digest = at < 0 ? null : text.slice(at + 1);
  const named = at < 0 ? text : text.slice(0, at);
  const slash = named.indexOf("/");
  const registry = slash < 0 ? null : named.slice(0, slash);
  const rest = named.slice(slash + 1);
  const colon = rest.lastIndexOf(":");
  const image = colon < 0 ? rest : rest.slice(0, colon);
  const tag = colon < 0 ? null : rest.slice(colon + 1);
  const isValid =
    OCI_IMAGE.test(image) &&
    (registry === null || isRegistry(registry)) &&
    (tag === null || OCI_TAG.test(tag)) &&
    (digest === null || OCI_DIGEST.test(digest));
  return isValid ? { registry, image, tag, digest } : undefined;
}

/** An address of IPv6 in brackets, as in addresses of the web, with or without a port. */
const IPV6_REGISTRY = /^\[([0-9A-Fa-f:.]{2,45})\](:[0-9]{1,5})?$/;

function isRegistry(text: string): boolean {
  const ipv6 = IPV6_REGISTRY.exec(text);
  if (ipv6 !== null) return URL.canParse(`http://[${ipv6[1]}]/`);
  const [host = "", port, ...more] = text.split(":");
  return more.length === 0 && isHostName(host) && (port === undefined || /^[0-9]{1,5}$/.test(port));
}
