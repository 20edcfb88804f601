// The units that run images, `systemd-nspawn@NAME.service` or with `--runner=vmspawn` `systemd-vmspawn@NAME.service`
// (systemd-nspawn(1), systemd-vmspawn(1)), and the checks of an image's name before its unit is used.
import { isHostName } from "../../base/names.ts";
import { attempt, Failure, isBusFailure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

const NO_SUCH_IMAGE = "org.freedesktop.machine1.NoSuchImage";
const NO_IMAGES_SERVED = "org.freedesktop.DBus.Error.UnknownMethod";

/**
 * Returns the unit that runs an image. The name is not escaped, because the unit passes its instance unchanged (%i).
 */
export function unitOf(session: Session, name: string): string {
  return `systemd-${session.settings.runner}@${name}.service`;
}

/** Returns whether an image of that name exists. Throws a Failure for a name that no machine can have. */
export async function hasImage(session: Session, name: string): Promise<boolean> {
  try {
    await checkImage(session, name);
    return true;
  } catch (error) {
    if (error instanceof NoSuchImage) return false;
    throw error;
  }
}

/** Returns whether an image of that name exists, also for names that no machine can have. */
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

/** The Failure for a name without an image. */
export class NoSuchImage extends Failure {
  constructor(name: string) {
    super(`Machine image '${name}' does not exist.`);
  }
}

/**
 * Throws a Failure unless the name is a valid machine name and an image has it. With a manager that does not implement
 * GetImage(), the image is assumed to exist.
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
