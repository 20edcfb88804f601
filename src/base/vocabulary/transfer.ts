// The words that describe transfers of images, shared by importd, its clients and the worker programs: importctl(1),
// org.freedesktop.import1(5).
import { defineStringTable } from "../string-table.ts";

/** The transfers, as `org.freedesktop.import1` names them, and those of our own; Varlink writes `_` for `-`. */
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
/** Those of the original. */
export const STOCK_TRANSFER_TYPES = TRANSFER_TYPES.values.filter((type) => type !== "push-oci");
export type TransferType = (typeof TRANSFER_TYPES.values)[number];

/** How a download is verified. */
export const VERIFY_MODES = defineStringTable(["no", "checksum", "signature"]);
export type VerifyMode = (typeof VERIFY_MODES.values)[number];

/** How a transfer ended. */
export const TRANSFER_RESULTS = defineStringTable(["done", "canceled", "failed"]);
export type TransferResult = (typeof TRANSFER_RESULTS.values)[number];

/** Bits of the `flags` argument of the newer calls. */
export const TRANSFER_FLAGS = { force: 1n, readOnly: 2n, keepDownload: 4n } as const;

/** What the property Progress holds while nothing is known: the lowest double. */
export const PROGRESS_UNKNOWN = -Number.MAX_VALUE;

const DOWNLOAD_URL = /^(https?:\/\/|file:\/)[\x21-\x7e]+$/;

/** Whether `url` has the shape of a URL that can be downloaded: HTTP, HTTPS or a local file, in printable ASCII. */
export function isDownloadUrl(url: string): boolean {
  return DOWNLOAD_URL.test(url);
}
