// The units that run images, and the checks before they are used: `systemd-nspawn@NAME.service` or, with
// `--runner=vmspawn`, `systemd-vmspawn@NAME.service` (systemd-nspawn(1), systemd-vmspawn(1)).
import { isHostName } from "../../base/names.ts";
import { attempt, Failure, isBusFailure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

const NO_SUCH_IMAGE = "org.freedesktop.machine1.NoSuchImage";
const NO_IMAGES_SERVED = "org.freedesktop.DBus.Error.UnknownMethod";

/** The unit that runs an image of that name. Not escaped: the unit takes its instance's name as the machine's, as it stands. */
export function unitOf(session: Session, name: string): string {
  return `systemd-${session.settings.runner}@${name}.service`;
}

/** Returns whether an image of that name exists; throws a Failure for an invalid machine name. */
export async function hasImage(session: Session, name: string): Promise<boolean> {
  try {
    await checkImage(session, name);
    return true;
  } catch (error) {
    if (error instanceof NoSuchImage) return false;
    throw error;
  }
}

/** Returns whether an image of that name exists, whether or not it could be a machine's. */
export async function hasImageOfAnyName(session: Session, name: string): Promise<boolean> {
  try {
    await attempt(`Failed to check whether image ${name} exists`, () => session.manager("GetImage", { name }));
    return true;
  } catch (error) {
    const cause = error instanceof Failure ? error.cause : error;
    if (isBusFailure(cause, NO_SUCH_IMAGE)) return false;
    throw error;
  }
}

/** There is no image of a name. */
export class NoSuchImage extends Failure {
  constructor(name: string) {
    super(`Machine image '${name}' does not exist.`);
  }
}

/**
 * Checks that a name can be a machine's and that there is an image of it. Throws a Failure. A manager which does not
 * serve images is taken at the caller's word.
 */
export async function checkImage(session: Session, name: string): Promise<void> {
  if (!isHostName(name)) throw new Failure(`Invalid machine name ${name}.`);
  try {
    await attempt(`Failed to check whether image ${name} exists`, () => session.manager("GetImage", { name }));
  } catch (error) {
    const cause = error instanceof Failure ? error.cause : error;
    if (isBusFailure(cause, NO_IMAGES_SERVED)) return;
    throw isBusFailure(cause, NO_SUCH_IMAGE) ? new NoSuchImage(name) : error;
  }
}
