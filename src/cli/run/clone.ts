// The clone of an image that a temporary machine of `run` runs from (`--rm`): made by `run-machine`, removed by
// `run-remove` (ExecStopPost=), however the unit has ended.
import { rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { hasImageOfAnyName } from "../image/units.ts";
import { attempt, Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import type { ImagePlace } from "./image-tree.ts";
import type { RunOrder } from "./order.ts";
import { cloneStack } from "./stack.ts";

/** A file in the unit's runtime directory, which says that the machine's image is a clone to be removed. */
const CLONE_MARK = "clone";
const STACK_SUFFIX = ".mstack";
const NO_TIMEOUT_MS = 0x7fff_ffff;
/** The exit status of systemd-nspawn that requests a reboot of the machine. */
const REBOOT = "133";

/** Returns the unit's runtime directory (RuntimeDirectory=). */
export function runtimeDirectory(session: Session): string {
  const directory = session.ports.env["RUNTIME_DIRECTORY"];
  if (directory === undefined)
    throw new Failure("This verb is run by units of 'machinectl run': $RUNTIME_DIRECTORY is not set");
  return directory;
}

/** Clones the image under the machine's name. The mark is written first, so that a partial clone is removed as well. */
export async function cloneImage(session: Session, { image, machine }: RunOrder, place: ImagePlace): Promise<void> {
  if (await hasImageOfAnyName(session, machine))
    throw new Failure(`There is an image '${machine}' already: give the machine another name with --name=`);
  const mark = join(runtimeDirectory(session), CLONE_MARK);
  writeFileSync(mark, "");
  try {
    if (place.type === "mstack") {
      cloneStack(place.path, join(dirname(place.path), `${machine}${STACK_SUFFIX}`));
      return;
    }
    const args = { name: image, new_name: machine, read_only: false };
    await attempt(`Cannot clone image '${image}'`, () =>
      session.manager("CloneImage", args, { timeoutMs: NO_TIMEOUT_MS }),
    );
  } catch (error) {
    // There is no clone: if the name exists now, another process has made it.
    rmSync(mark);
    throw error;
  }
}

/** The verb `run-remove`: removes the clone, unless the machine reboots. */
export async function runRemove(session: Session, [machine = ""]: readonly string[]): Promise<number> {
  const { env, isThere } = session.ports;
  if (env["EXIT_STATUS"] === REBOOT || !isThere(join(runtimeDirectory(session), CLONE_MARK))) return 0;
  // After any other answer than that there is none, the clone may be there: the unit fails then, with the reason.
  if (!(await hasImageOfAnyName(session, machine))) return 0;
  await attempt(`Cannot remove image '${machine}'`, () =>
    session.manager("RemoveImage", { name: machine }, { timeoutMs: NO_TIMEOUT_MS }),
  );
  return 0;
}
