// systemd-pull oci REF [NAME]: makes a machine of a container image: a stack of its layers where the host's nspawn
// supports stacks, elsewhere one tree of all layers (pull-layers.ts).
import { writeFileSync } from "node:fs";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { listDirectory } from "../../kernel/file/directory-entry.ts";
import { type Fd, openAt } from "../../kernel/file/fd.ts";
import { requireReference } from "../../oci/reference.ts";
import { installWithSides, type NewSide } from "../image/install-with-sides.ts";
import { Reservation } from "../image/reservation.ts";
import { openImageRoot } from "../image/stage.ts";
import { imageRootOf, requireFree, requireTreeName } from "../image/target.ts";
import { chooseManifest, verifiedDocument, warnOfPlatform } from "../oci/choose.ts";
import { HeldLayers } from "../oci/held-layers.ts";
import { flatten, knowsStacks, stackOf } from "../oci/machine.ts";
import {
  type Descriptor,
  isForeignLayer,
  isImageConfig,
  isLayerType,
  type Manifest,
  NATIVE_ARCHITECTURE,
  platformOf,
} from "../oci/manifest.ts";
import { isLocalReference, openSource } from "../oci/open.ts";
import { noteRepository } from "../oci/repositories.ts";
import { contentDigests, settingsOf } from "../oci/settings.ts";
import type { OciSource } from "../oci/source.ts";
import { visibleLayers } from "../oci/stack.ts";
import { abandonAll, keepForLater } from "../program/abandon.ts";
import { transferBudget } from "../program/budget.ts";
import { log } from "../program/log.ts";
import type { CommandLine, WorkerOptions } from "../program/options.ts";
import { Progress } from "../program/progress.ts";
import { DOWNLOAD_SHARE, fetchLayers, layerName } from "./pull-layers.ts";
import { sweepOrphans } from "./remove-orphans.ts";

const FULL: ReadonlySet<string | null> = new Set(["ENOSPC", "EDQUOT"]);

/** Runs the verb `oci` of systemd-pull. */
export async function pullOci({ options, words }: CommandLine): Promise<void> {
  const [reference = "", given] = words;
  const isLocal = isLocalReference(reference);
  const derived = isLocal ? "imported" : (requireReference(reference).image.split("/").at(-1) ?? "");
  const isCacheOnly = given === "-" || given === "";
  const local = isCacheOnly ? null : requireTreeName(given ?? derived);
  if (local !== null) requireFree(local, options);
  log("info", local === null ? `Pulling '${reference}'.` : `Pulling '${reference}', saving as '${local}'.`);
  using root = openImageRoot(imageRootOf(options));
  sweepOrphans(root, options.locks);
  using _reserved = local === null ? null : new Reservation(root, local, knowsStacks() ? ".mstack" : "", options);
  using opened = await openSource(reference, root);
  try {
    await install(opened.source, root, local, options);
  } catch (error) {
    // Keeps the received parts of other layers for the next call, which on a full disk would find no space.
    if (!FULL.has(errnoNameOf(error))) keepForLater();
    abandonAll();
    throw error;
  }
}

async function install(source: OciSource, root: Fd, local: string | null, options: WorkerOptions): Promise<void> {
  const progress = new Progress((percent) => `Got ${percent}% of ${source.name}.`);
  progress.stage(0);
  const architecture = options.architecture ?? NATIVE_ARCHITECTURE;
  const manifest = await chooseManifest(source, architecture);
  const config = await fetchConfig(source, manifest);
  if (config !== null) warnOfPlatform(platformOf(config), architecture);
  const layers = manifest.layers.filter((layer) => isWanted(layer, manifest));
  if (layers.length === 0) throw new ErrnoError("ENODATA", "Image has no layer of files.");
  const contents = config === null || layers.length < manifest.layers.length ? null : contentDigests(config);
  using held = new HeldLayers(root, options.locks);
  await fetchLayers(source, root, layers, { options, contents, progress, held });
  if (source.repository !== null) noteRepository(root, source.repository, ownDigests(layers));
  if (local === null) return;
  const names = visibleLayers(
    root,
    layers.map(({ digest }) => layerName(digest)),
  );
  if (names.every((name) => isEmpty(root, name))) throw noFile();
  progress.stage(DOWNLOAD_SHARE);
  using stage = await (knowsStacks() ? stackOf : flatten)(root, names, options);
  // A layer may remove all files of the layers below it.
  if (!knowsStacks() && isEmpty(root, stage.name)) throw noFile();
  const suffix = knowsStacks() ? ".mstack" : "";
  const target = {
    root,
    image: stage.file,
    name: local,
    suffix,
    how: options.force ? "replace" : "respect",
    options,
  } as const;
  await installWithSides(target, config === null ? [] : configFiles(root, config), () => {
    stage.install(local + suffix, options);
    return true;
  });
  log("info", `Created new local image '${local}'.`);
}

/** The digests of the layers that the repository itself has. */
function ownDigests(layers: readonly Descriptor[]): string[] {
  return layers.filter(({ mediaType }) => !isForeignLayer(mediaType)).map(({ digest }) => digest);
}

function noFile(): ErrnoError {
  return new ErrnoError("ENODATA", "Image has no files.");
}

function isEmpty(root: Fd, layer: string): boolean {
  using top = openAt(root, layer, "directory");
  return listDirectory(top).length === 0;
}

const EMPTY_CONFIG = Buffer.from("{}");

async function fetchConfig(source: OciSource, { config }: Manifest): Promise<Buffer | null> {
  if (config === null || !isImageConfig(config)) return null;
  const { bytes } = await verifiedDocument(source, config, "blobs");
  return bytes.equals(EMPTY_CONFIG) ? null : bytes;
}

/**
 * Whether a layer has files. Throws EOPNOTSUPP for an image with another layer, which would be incomplete; artifacts
 * may have some.
 */
function isWanted({ mediaType }: Descriptor, { isImage }: Manifest): boolean {
  if (isLayerType(mediaType)) return true;
  if (isImage) throw new ErrnoError("EOPNOTSUPP", `Image has a layer of type '${mediaType}', which is not supported.`);
  log("warning", `Layer of type '${mediaType}' has no files, leaving it out.`);
  return false;
}

function configFiles(root: Fd, config: Buffer): NewSide[] {
  const files: [string, Buffer | string | null][] = [
    [".nspawn", settingsOf(config)],
    [".oci-config", config],
  ];
  return files.flatMap(([suffix, content]) => {
    if (content === null) return [];
    const fill = async (file: Fd) => {
      transferBudget.part(root).entered(content.length);
      writeFileSync(file.number, content);
    };
    return [{ suffix, label: "settings", fill }];
  });
}
