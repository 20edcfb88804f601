// Enumerations that describe transfers of images, shared by importd, its clients and the worker programs: importctl(1),
// org.freedesktop.import1(5).
import { defineStringTable } from "../string-table.ts";

/**
 * The types of transfers as `org.freedesktop.import1` names them, and push-oci, which is our own; Varlink writes `_`
 * for `-`.
 */
export const TRANSFER_TYPES = defineStringTable([
  "import-tar",
  "import-raw",
  "import-fs",
  "export-tar",
  "export-raw",
  "pull-tar",
  "pull-raw",
  "pull-oci",
  "push-oci",
]);
/** The types that the original has. */
export const STOCK_TRANSFER_TYPES = TRANSFER_TYPES.values.filter((type) => type !== "push-oci");
export type TransferType = (typeof TRANSFER_TYPES.values)[number];

/** How a download is verified. */
export const VERIFY_MODES = defineStringTable(["no", "checksum", "signature"]);
export type VerifyMode = (typeof VERIFY_MODES.values)[number];

/** How a transfer ended. */
export const TRANSFER_RESULTS = defineStringTable(["done", "canceled", "failed"]);
export type TransferResult = (typeof TRANSFER_RESULTS.values)[number];

/** Bits of the argument `flags` of the methods whose names end with `Ex`, and of PullOci. */
export const TRANSFER_FLAGS = { force: 1n, readOnly: 2n, keepDownload: 4n } as const;

/** The value of the property Progress while it is unknown: the lowest double. */
export const PROGRESS_UNKNOWN = -Number.MAX_VALUE;

const DOWNLOAD_URL = /^(https?:\/\/|file:\/)[\x21-\x7e]+$/;

const URL_LOGIN = /^(https?:\/\/)([^/\\?#]*)@/;

/**
 * Splits the URL of a download into one without name and password, which all users see in lists, logs and names of
 * files, and these; "" where there are none.
 */
export function splitLogin(url: string): { readonly url: string; readonly login: string } {
  const [start = "", scheme = "", login = ""] = URL_LOGIN.exec(url) ?? [];
  return { url: scheme + url.slice(start.length), login };
}

/** The inverse of `splitLogin()`. */
export function joinLogin(url: string, login: string): string {
  return login === "" ? url : url.replace("://", () => `://${login}@`);
}

/** Whether `url` has a scheme that can be downloaded (HTTP, HTTPS or a local file) and only printable ASCII. */
export function isDownloadUrl(url: string): boolean {
  return DOWNLOAD_URL.test(url);
}
