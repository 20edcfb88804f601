// Makes an image of layers: a stack of them where the host's nspawn supports stacks, elsewhere one tree.

import { symlinkSync } from "node:fs";
import { plainEnvironment } from "../../base/plain-environment.ts";
import { type Fd, openAt } from "../../kernel/file/fd.ts";
import { changeMode } from "../../kernel/file/ownership.ts";
import { programPath } from "../../kernel/process/program-path.ts";
import { check } from "../../kernel/syscall/sys.ts";
import { openDirectory } from "../../kernel/tree/tree.ts";
import { Stage } from "../image/stage.ts";
import { unpackOptions } from "../image/unpack-tar.ts";
import { transferBudget } from "../program/budget.ts";
import { log } from "../program/log.ts";
import type { WorkerOptions } from "../program/options.ts";
import { workerTurns } from "../stream/archive.ts";
import { type PackPolicy, tarChunks } from "../tar/pack.ts";
import { tryMakeDirectory } from "../untar/calls.ts";
import { Unpacker } from "../untar/unpacker.ts";
import { MERGE_OPTIONS, MergeTarget } from "./merge.ts";
import { standAlone } from "./stack.ts";

const MSTACK_SINCE = 260;
const LAYER_MODE = 0o755;
let stacks: boolean | null = null;

/** Whether the nspawn of this host can run stacks; $MACHINED_OCI_STACK overrides the detection. */
export function knowsStacks(): boolean {
  stacks ??= /^(1|yes)$/.test(process.env["MACHINED_OCI_STACK"] ?? "") || nspawnVersion() >= MSTACK_SINCE;
  return stacks;
}

function nspawnVersion(): number {
  const program = process.env["MACHINED_OCI_STACK"] ? null : programPath("systemd-nspawn");
  if (program === null) return 0;
  const { stdout } = Bun.spawnSync([program, "--version"], { stderr: "ignore", env: plainEnvironment() });
  return Number(/^systemd (\d+)/.exec(stdout.toString())?.[1] ?? 0);
}

/**
 * Makes a directory of links to the layers, the lowest first, and a directory for the files that the machine writes.
 */
export async function stackOf(root: Fd, names: readonly string[], options: WorkerOptions): Promise<Stage> {
  return Stage.tree(root, "oci", false).filledBy(async (stack) => {
    if (await standAlone(root, names)) {
      const path = `/proc/self/fd/${stack.number}`;
      names.forEach((name, index) => {
        symlinkSync(`../${name}`, `${path}/layer@${index}`);
      });
    } else {
      log("info", "Layers depend on the layers below them, merging them into one.");
      check(tryMakeDirectory(stack, "layer@0", LAYER_MODE), "mkdir");
      using layer = openDirectory(stack, "layer@0");
      await mergeInto(layer, root, names, options);
    }
    if (!options.readOnly) tryMakeDirectory(stack, "rw", LAYER_MODE);
    changeMode(stack, LAYER_MODE);
  });
}

/**
 * Makes one tree of all layers, which are opened by their names in `root`; `reading` are the rules for reading each
 * layer.
 */
export async function flatten(
  root: Fd,
  names: readonly string[],
  options: WorkerOptions,
  reading: PackPolicy = {},
): Promise<Stage> {
  return Stage.tree(root, "oci", options.btrfsSubvolume).filledBy(async (tree) => {
    changeMode(tree, LAYER_MODE);
    await mergeInto(tree, root, names, options, reading);
  });
}

/** Unpacks the layers one over the other; the properties of directories are set after the last layer. */
async function mergeInto(
  top: Fd,
  root: Fd,
  names: readonly string[],
  options: WorkerOptions,
  reading: PackPolicy = {},
): Promise<void> {
  const turns = workerTurns();
  const policy = { ...unpackOptions(options), ...MERGE_OPTIONS, spending: transferBudget.part(top) };
  using owner = new DisposableStack();
  let merge: MergeTarget | undefined;
  using unpacker = new Unpacker(top, policy, (untar) => {
    merge = owner.use(new MergeTarget(untar));
    return merge;
  });
  for (const name of names) {
    using layer = openAt(root, name, "directory");
    await merge?.begin(layer, turns);
    for (const chunk of tarChunks(layer, reading)) {
      unpacker.push(chunk);
      await turns.pass();
    }
    merge?.finish();
  }
  for (const _ of unpacker.ending()) await turns.pass();
}
