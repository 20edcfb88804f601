// systemd-pull tar|raw|oci URL [NAME]: downloads an image and verifies it before it becomes visible.
import { ErrnoError } from "../../base/error.ts";
import { formatBytes, formatSpan } from "../../base/text/format.ts";
import { isDownloadUrl, joinLogin, VERIFY_MODES, type VerifyMode } from "../../base/vocabulary/transfer.ts";
import { openPath } from "../../kernel/file/fd.ts";
import { JOB_LIMITS } from "../download/limits.ts";
import { mayGoOnLater } from "../download/retry.ts";
import { fetchSide } from "../download/small-file.ts";
import { lastComponent } from "../download/url.ts";
import { Reservation } from "../image/reservation.ts";
import { openImageRoot } from "../image/stage.ts";
import { imageRootOf, nameOfFile, requireFree, requireName, requireTreeName } from "../image/target.ts";
import { abandonAll, keepForLater } from "../program/abandon.ts";
import { log } from "../program/log.ts";
import { readLoginInput } from "../program/login-input.ts";
import type { CommandLine, WorkerOptions } from "../program/options.ts";
import { Progress } from "../program/progress.ts";
import { type CheckedFile, requireListed, trustedText } from "../verify/checksums.ts";
import { keyringFiles, readKeyring } from "../verify/keyring.ts";
import { isClearSigned } from "../verify/signature.ts";
import { fetchListSignature, fetchSums, isList } from "../verify/sums.ts";
import { directTarget } from "./pull-direct.ts";
import { type DownloadResult, download } from "./pull-download.ts";
import { CACHE, type PullKind, PullPlace, type SideFile } from "./pull-image.ts";
import { pullOci } from "./pull-oci.ts";
import { type FetchedSide, fetchSideFile, Sides, sha256OfFile, wantedSides } from "./pull-sides.ts";
import { sweepOrphans } from "./remove-orphans.ts";
import { entryOf } from "./run-program.ts";

/** The share of each stage in the progress, in percent. */
const SHARES: Readonly<Record<PullKind, { download: number; verify: number; install: number; copy: number }>> = {
  tar: { download: 85, verify: 85, install: 90, copy: 95 },
  raw: { download: 80, verify: 80, install: 90, copy: 95 },
};

/** Returns the name of the image on this host; null where only the download is kept. */
function localName(given: string | undefined, url: string, kind: PullKind, options: WorkerOptions): string | null {
  if (given === "" || given === "-") return null;
  const name = given ?? nameOfFile(lastComponent(url), kind);
  if (options.direct) return name;
  if (kind === "tar") requireTreeName(name);
  else requireName(name);
  requireFree(name, options);
  return name;
}

/** Adds the name and password that the daemon passes to a URL. */
function withPassedLogin(url: string): string {
  const { urlLogin } = readLoginInput();
  if (typeof urlLogin !== "string") throw new ErrnoError("EINVAL", "Standard input has no login for the URL.");
  return joinLogin(url, urlLogin);
}

async function pull({ options, words }: CommandLine, kind: PullKind): Promise<void> {
  const [shown = "", given] = words;
  const url = options.credentials === "stdin" ? withPassedLogin(shown) : shown;
  if (!isDownloadUrl(url) || !URL.canParse(url)) throw new ErrnoError("EINVAL", `URL '${url}' is not valid.`);
  const local = localName(given, url, kind, options);
  if (/\.(asc|gpg|sig)$/.test(lastComponent(url)) && options.verify === "signature") {
    throw new ErrnoError("ELOOP", "A signature cannot be verified by a signature of its own.");
  }
  log("info", local === null ? `Pulling '${url}'.` : `Pulling '${url}', saving as '${local}'.`);
  const path = imageRootOf(options);
  // A direct download needs no directory of images, which may be read-only.
  using root = options.direct ? openPath("/", "directory") : openImageRoot(path);
  if (!options.direct) {
    log("info", `Operating on image directory '${path}'.`);
    sweepOrphans(root, options.locks);
  }
  using _reserved = local === null || options.direct ? null : new Reservation(root, local, CACHE[kind].suffix, options);
  using direct = options.direct ? directTarget(local, path, kind, options) : null;
  using place = new PullPlace(root, { path, url, kind, options, direct, local });
  try {
    await run(place);
  } catch (error) {
    // Ends downloads that run beside the failed one: the image's own is not lost with the connection of its checksums.
    if (mayGoOnLater(error)) keepForLater();
    abandonAll();
    throw error;
  }
}

async function run(place: PullPlace): Promise<void> {
  const { url, kind, options, local } = place;
  const shares = SHARES[kind];
  const progress = new Progress(rateLine(url));
  progress.stage(0);
  const rows = wantedSides(kind, options);
  const stem = nameOfFile(lastComponent(url), kind);
  const mode = VERIFY_MODES.parse(options.verify) ?? "no";
  const sides = Promise.all(rows.map((row) => fetchSideFile(place.root, row, url, stem)));
  const trusted = trustedList(url, mode);
  for (const promise of [sides, trusted]) promise.catch(() => {}); // Awaited beside and after the main download.
  const begun = Promise.withResolvers<void>();
  const downloaded = download(place, options.direct ? [] : place.tags(), JOB_LIMITS, {
    progress: (bytes, total) => {
      note.bytes = bytes;
      note.total = total;
      if (bytes > 0) begun.resolve();
      if (total !== null && total > 0) progress.report((bytes / total) * shares.download);
    },
  }).catch(hinted);
  const result = await failWithoutSums(downloaded, begun.promise, trusted);
  using secondTree = "cached" in result ? null : result.secondTree;
  using found = new Sides((await sides).filter((side) => side !== null));
  const cachedStem =
    "cached" in result ? place.stem(result.cached) : await accept(place, result, found.all, await trusted, progress);
  if (local === null || options.direct || cachedStem === null) return;
  progress.stage(shares.copy);
  const suffix = CACHE[kind].suffix;
  using kept = new Sides(place.keptSides(cachedStem, rows));
  const late = "cached" in result ? await lateSides(found.all, kept.all, trusted) : [];
  const others = kept.all.filter((one) => late.every(({ suffix }) => suffix !== one.suffix));
  await place.copyToLocal(cachedStem + suffix, local, secondTree, [...others, ...late]);
}

/**
 * Returns the small files that a kept download lacks or has in another version, because the server did not have them or
 * did not send them then. They are verified as others are; those that cannot be are left out, because the image itself
 * is good.
 */
async function lateSides(
  found: readonly FetchedSide[],
  kept: readonly SideFile[],
  trusted: Promise<Buffer | null>,
): Promise<readonly FetchedSide[]> {
  const late: FetchedSide[] = [];
  for (const side of found) {
    const before = kept.find(({ suffix }) => suffix === side.suffix);
    if (before === undefined || (await sha256OfFile(before.file)) !== side.sha256) late.push(side);
  }
  if (late.length === 0) return [];
  try {
    requireListed(await trusted, late);
    return late;
  } catch (error) {
    if (!(error instanceof ErrnoError)) throw error;
    log("warning", `${error.message} Leaving out ${late.map(({ name }) => `'${name}'`).join(", ")}.`);
    return [];
  }
}

const note = { bytes: 0, total: null as number | null };

/** Returns a function that formats the progress of the download for the log. */
function rateLine(url: string): (percent: number) => string {
  const since = performance.now();
  return (percent) => {
    const seconds = (performance.now() - since) / 1000;
    const rate = note.bytes / seconds;
    if (note.total === null || rate < 1) return `Got ${percent}% of ${url}.`;
    const left = BigInt(Math.ceil((note.total - note.bytes) / rate)) * 1_000_000n;
    return `Got ${percent}% of ${url}. ${formatSpan(left)} left at ${formatBytes(BigInt(Math.round(rate)))}/s.`;
  };
}

function hinted(error: unknown): never {
  const isMissing = error instanceof ErrnoError && error.errnoName === "ENOMEDIUM";
  if (isMissing) throw new ErrnoError("ENOMEDIUM", "Failed to retrieve image file. (Wrong URL?)", { cause: error });
  throw error;
}

/** Returns the checksums for the download; null when nothing is verified. */
async function trustedList(url: string, mode: VerifyMode): Promise<Buffer | null> {
  const fetch = (side: string) => fetchSide(side, JOB_LIMITS);
  const keyring = async () => readKeyring(await keyringFiles());
  if (!isList(url)) return trustedText(mode, mode === "no" ? null : await fetchSums(url, mode, fetch), keyring);
  if (mode !== "signature") return null;
  const [content, signature] = await Promise.all([fetch(url), fetchListSignature(url, fetch)]);
  const list = content ?? Buffer.alloc(0);
  // The signature covers a part of such a file only, and the whole file becomes the image.
  if (isClearSigned(list))
    throw new ErrnoError("EBADMSG", "A list that contains its own signature cannot be verified as a whole.");
  await trustedText(mode, { name: lastComponent(url), content: list, signature }, keyring);
  return Buffer.from(`${sha256Of(list)}  ${lastComponent(url)}\n`);
}

function sha256Of(content: Buffer): string {
  return new Bun.CryptoHasher("sha256").update(content).digest("hex");
}

/**
 * Waits for the download. Throws as soon as its checksums are not available (`trusted` rejects), but not before
 * `begun`: a kept download needs no checksums.
 */
async function failWithoutSums<T>(downloaded: Promise<T>, begun: Promise<void>, trusted: Promise<unknown>): Promise<T> {
  const untrusted = begun.then(() => trusted).then(() => downloaded);
  return Promise.race([downloaded, untrusted]);
}

/**
 * Verifies a download and renames it. Returns the name without suffix of a kept download that must be copied; else
 * null.
 */
async function accept(
  place: PullPlace,
  result: Exclude<DownloadResult, { cached: string }>,
  sides: readonly FetchedSide[],
  trusted: Buffer | null,
  progress: Progress,
): Promise<string | null> {
  using stage = result.stage;
  using _spool = result.spool;
  const { options, kind, url, local } = place;
  progress.stage(SHARES[kind].verify);
  log("info", `Download of ${url} complete.`);
  requireLiteral(options.verify, result.sha256);
  const files: CheckedFile[] = [{ name: lastComponent(url) || "SHA256SUMS", sha256: result.sha256 }, ...sides];
  requireListed(trusted, files);
  progress.stage(SHARES[kind].install);
  if (stage === null) return null;
  if (place.isKept && (await place.keep(stage, result.etag, sides))) return place.stem(result.etag);
  if (local === null) throw new ErrnoError("EBUSY", `The kept copy of ${url} is in use.`);
  await place.installLocal(stage, local, sides);
  return null;
}

const LITERAL = /^[0-9a-f]{64}$/;

function requireLiteral(verify: string, sha256: string): void {
  if (!LITERAL.test(verify) || verify === sha256) return;
  throw new ErrnoError("EBADMSG", `DOWNLOAD INVALID: Checksum did not check out: expected ${verify}, got ${sha256}`);
}

/** Runs the program; returns its exit code. */
export const main = entryOf({
  name: "systemd-pull",
  summary: "Download container or virtual machine images.",
  verbs: {
    tar: { words: [1, 2], usage: "URL [NAME]", help: "Download a TAR image", run: (line) => pull(line, "tar") },
    raw: { words: [1, 2], usage: "URL [NAME]", help: "Download a RAW image", run: (line) => pull(line, "raw") },
    oci: { words: [1, 2], usage: "REF [NAME]", help: "Download an OCI image", run: pullOci },
  },
});
