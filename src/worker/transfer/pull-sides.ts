// The small files beside an image that is downloaded: settings, root hashes and verity data.
import { ErrnoError } from "../../base/error.ts";
import { type Fd, reopen } from "../../kernel/file/fd.ts";
import { JOB_LIMITS, type JobLimits } from "../download/limits.ts";
import { fetchSideInto, sinkOf } from "../download/small-file.ts";
import { isFileUrl, neighbour } from "../download/url.ts";
import { Stage } from "../image/stage.ts";
import { transferBudget } from "../program/budget.ts";
import { log } from "../program/log.ts";
import type { WorkerOptions } from "../program/options.ts";
import { readChunks } from "../stream/archive.ts";
import { giveBack } from "../stream/chunk-memory.ts";
import { type PullKind, SIDE_LIMIT_BYTES, type SideFile } from "./pull-image.ts";

interface SideRow extends Pick<SideFile, "suffix" | "label"> {
  /** What the log calls it. */
  readonly title: string;
  readonly wanted: (options: WorkerOptions) => boolean;
  readonly kinds: readonly PullKind[];
}

/** The small files that may be beside an image on the server. */
const SIDES: readonly SideRow[] = [
  {
    title: "Settings file",
    suffix: ".nspawn",
    label: "settings",
    kinds: ["tar", "raw"],
    wanted: (options) => options.settings,
  },
  {
    title: "Root hash file",
    suffix: ".roothash",
    label: "roothash",
    kinds: ["raw"],
    wanted: (options) => options.rootHash,
  },
  {
    title: "Root hash signature file",
    suffix: ".roothash.p7s",
    label: "roothash.p7s",
    kinds: ["raw"],
    wanted: (options) => options.rootHashSignature,
  },
  {
    title: "Verity integrity file",
    suffix: ".verity",
    label: "verity",
    kinds: ["raw"],
    wanted: (options) => options.verity,
  },
];

function limitsOf(suffix: string): JobLimits {
  if (suffix !== ".verity") return JOB_LIMITS;
  // The same rate is enough for both.
  const sideMs = JOB_LIMITS.sideMs * (SIDE_LIMIT_BYTES / JOB_LIMITS.sideBytes);
  return { ...JOB_LIMITS, sideBytes: SIDE_LIMIT_BYTES, sideMs };
}

/** Returns the small files to download beside an image of this kind. */
export function wantedSides(kind: PullKind, options: WorkerOptions): SideRow[] {
  return options.direct ? [] : SIDES.filter((row) => row.kinds.includes(kind) && row.wanted(options));
}

/** Small files beside an image, which are closed together. */
export class Sides<Side extends SideFile> implements Disposable {
  readonly all: readonly Side[];

  constructor(all: readonly Side[]) {
    this.all = all;
  }

  [Symbol.dispose](): void {
    for (const { file } of this.all) file.close();
  }
}

/** A downloaded small file, and its checksum, which the list must contain. */
export interface FetchedSide extends SideFile {
  readonly name: string;
  readonly sha256: string;
}

/**
 * Downloads a small file beside the image at `url`, whose name without suffix is `stem`. Returns null where the server
 * does not have it, or does not send it; else the caller closes the file.
 */
export async function fetchSideFile(root: Fd, row: SideRow, url: string, stem: string): Promise<FetchedSide | null> {
  const name = stem + row.suffix;
  // The hidden name is removed at the end; the duplicated descriptor keeps the content.
  using stage = Stage.file(root, row.label);
  const { wrote } = transferBudget.part(stage.file);
  const address = neighbour(url, name);
  const fetched = fetchSideInto(address, sinkOf(stage.file, wrote), limitsOf(row.suffix));
  if (!(await fetched.catch((error: unknown) => proceedWithout(row, address, error)))) return null;
  log("info", `Acquired ${name}.`);
  const sha256 = await sha256OfFile(stage.file);
  return { name, suffix: row.suffix, label: row.label, file: stage.file.duplicate(), sha256 };
}

/** Faults of this host, and the end of the transfer: no server causes them. */
const OWN_FAULTS: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EROFS", "ECANCELED"]);

/**
 * Logs that a server does not send a file, which nobody asked for by name: many refuse (403) what they do not have.
 * Throws errors of this host, which has the file of a `file:` URL as well.
 */
function proceedWithout({ title }: SideRow, url: string, error: unknown): false {
  if (isFileUrl(url) || !(error instanceof ErrnoError) || OWN_FAULTS.has(error.errnoName)) throw error;
  log("warning", error.message);
  log("info", `${title} could not be retrieved, proceeding without.`);
  return false;
}

/** Returns the checksum of an open file, from its beginning. */
export async function sha256OfFile(file: Fd): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  using again = reopen(file, "read");
  for await (const chunk of readChunks(again)) {
    hash.update(chunk);
    giveBack(chunk);
  }
  return hash.digest("hex");
}
