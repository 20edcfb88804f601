// The repositories that have a layer, known from pulls and pushes of this host: a push lets the registry link a layer
// from another repository instead of sending it. They are in a file beside the layers. It is a hint: where an entry is
// no longer true, or the file is damaged or lost, a layer is sent.
import { writeFileSync } from "node:fs";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { isOciDigest, parseOciReference } from "../../base/vocabulary/oci-reference.ts";
import { OCI_REPOSITORIES_FILE as FILE } from "../../base/vocabulary/temporary.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { readFileIn } from "../../kernel/file/regular-file.ts";
import type { OciAddress } from "../../oci/reference.ts";
import { TransientError } from "../download/http.ts";
import { Stage } from "../image/stage.ts";
import { transferBudget } from "../program/budget.ts";
import { log } from "../program/log.ts";
import type { PushTarget } from "./push-target.ts";

const FILE_LIMIT_BYTES = 1 << 20;
/** The oldest entries are dropped. */
const MOST_ENTRIES = 2000;

type Place = Pick<OciAddress, "registry" | "image">;
type Entry = readonly [digest: string, registry: string, image: string];

/** Notes that a repository has these layers. Failures are logged only. */
export function noteRepository(root: Fd, { registry, image }: Place, digests: readonly string[]): void {
  try {
    const seen = digests.map((digest): Entry => [digest, registry, image]);
    const known = new Map([...entriesIn(root), ...seen].map((entry) => [entry.join(" "), entry]));
    // The latest are at the end.
    for (const entry of seen) {
      known.delete(entry.join(" "));
      known.set(entry.join(" "), entry);
    }
    writeEntries(root, [...known.values()].slice(-MOST_ENTRIES));
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    log("debug", `Cannot note the repository of the layers: ${(error as Error).message}`);
  }
}

function writeEntries(root: Fd, entries: readonly Entry[]): void {
  const text = `${entries.map((entry) => entry.join(" ")).join("\n")}\n`;
  using stage = Stage.file(root, "settings");
  transferBudget.part(root).entered(text.length);
  writeFileSync(stage.file.number, text);
  stage.putFile(FILE, { sync: false });
}

function entriesIn(root: Fd): Entry[] {
  const lines = textIn(root).split("\n");
  return lines.flatMap((line) => {
    const [digest, registry = "", image = "", ...more] = line.split(" ");
    const isWhole = isOciDigest(digest) && more.length === 0 && parseOciReference(`${registry}/${image}`) !== undefined;
    return isWhole ? [[digest, registry, image] as const] : [];
  });
}

function textIn(root: Fd): string {
  try {
    return readFileIn(root, FILE, FILE_LIMIT_BYTES).toString();
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    return "";
  }
}

/** Lets a registry link layers from its other repositories. */
export class LayerMounts {
  readonly #target: PushTarget;
  readonly #place: Place;
  readonly #known: readonly Entry[];

  constructor(root: Fd, target: PushTarget, place: Place) {
    this.#target = target;
    this.#place = place;
    this.#known = entriesIn(root);
  }

  /** Whether the registry has linked the layer from another repository; `size` is null where it is not known. */
  async mount(layer: string, size: number | null): Promise<boolean> {
    const { registry, image } = this.#place;
    const entry = this.#known.findLast(
      ([digest, host, other]) => digest === layer && host === registry && other !== image,
    );
    if (entry === undefined) return false;
    const [, , from] = entry;
    try {
      const isMounted = await this.#target.mount(layer, size, from);
      if (isMounted) log("info", `The registry has linked layer ${layer} from its repository '${from}'.`);
      return isMounted;
    } catch (error) {
      // The login may not be permitted to read the other repository.
      if (!(error instanceof ErrnoError) || error instanceof TransientError) throw error;
      log("debug", `Layer ${layer} cannot be linked from '${from}': ${error.message}`);
      return false;
    }
  }
}
