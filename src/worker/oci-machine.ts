// Layers made a machine: a stack of them where the host's nspawn knows stacks, elsewhere one tree that has all in one.
import { symlinkSync } from "node:fs";
import { type Fd, openAt } from "../kernel/fd.ts";
import { Turns } from "./archive.ts";
import type { WorkerOptions } from "./import-options.ts";
import { Stage } from "./install-image.ts";
import { isOverlayAttribute, MergeTarget } from "./oci-layer.ts";
import { tarChunks } from "./tar.ts";
import { changeMode, tryMakeDirectory } from "./untar-calls.ts";
import { Unpacker } from "./untar-unpacker.ts";

const MSTACK_SINCE = 260;
let stacks: boolean | null = null;

/** Whether the nspawn of this host can run stacks; $MACHINED_OCI_STACK says so without asking it. */
export function knowsStacks(): boolean {
  stacks ??= /^(1|yes)$/.test(process.env["MACHINED_OCI_STACK"] ?? "") || nspawnVersion() >= MSTACK_SINCE;
  return stacks;
}

function nspawnVersion(): number {
  const program = process.env["MACHINED_OCI_STACK"] ? null : Bun.which("systemd-nspawn");
  if (program === null) return 0;
  const { stdout } = Bun.spawnSync([program, "--version"], { stderr: "ignore" });
  return Number(/^systemd (\d+)/.exec(stdout.toString())?.[1] ?? 0);
}

/** A directory of links to the layers, the lowest first, and one for what the machine writes. */
export function stackOf(root: Fd, names: readonly string[], options: WorkerOptions): Stage {
  const stage = Stage.tree(root, "oci", false);
  const path = `/proc/self/fd/${stage.file.number}`;
  names.forEach((name, index) => {
    symlinkSync(`../${name}`, `${path}/layer@${index}`);
  });
  if (!options.readOnly) tryMakeDirectory(stage.file, "rw", 0o755);
  changeMode(stage.file, 0o755);
  return stage;
}

/** One tree of all layers. */
export async function flatten(root: Fd, names: readonly string[], options: WorkerOptions): Promise<Stage> {
  const stage = Stage.tree(root, "oci", options.btrfsSubvolume);
  try {
    changeMode(stage.file, 0o755);
    const turns = new Turns();
    for (const name of names) {
      using layer = openAt(root, name, "directory");
      using unpacker = new Unpacker(
        stage.file,
        { dropAttribute: isOverlayAttribute },
        (untar) => new MergeTarget(untar),
      );
      for (const chunk of tarChunks(layer)) {
        unpacker.push(chunk);
        await turns.pass();
      }
      unpacker.end();
    }
    return stage;
  } catch (error) {
    stage[Symbol.dispose]();
    throw error;
  }
}
