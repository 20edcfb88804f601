// Which directories a caller may have images put into. The permission to pull is one to add images to this host, not one to
// write anywhere on it: an archive that is unpacked to a directory of the system configures the system.
import { join, normalize } from "node:path";
import { MachinedError } from "../base/error.ts";
import { IMAGE_SEARCH_PATHS, type ImageClass } from "../base/vocabulary/image-class.ts";
import type { Call } from "../daemon/call.ts";
import { isPrivileged } from "../ipc/caller.ts";
import type { ImportDaemon } from "./daemon.ts";

/** Whether images of the class are looked for in that directory. */
function isOwnRoot({ paths }: ImportDaemon, path: string, imageClass: ImageClass): boolean {
  const own = IMAGE_SEARCH_PATHS[imageClass].map((path) => join(paths.imagePrefix, path));
  return [...own, paths.imageRoot(imageClass)].includes(normalize(`${path}/.`).replace(/(.)\/$/, "$1"));
}

/**
 * Throws `AccessDenied` for a directory that is none of the class's own, unless root asks; and for everybody when a file of
 * this host is what would be put there, which is a copy anywhere of anything. In a user's own daemon all of it is the user's.
 */
export async function requireAllowedRoot(
  daemon: ImportDaemon,
  call: Call,
  place: { readonly imageRoot: string; readonly class: ImageClass; readonly remote: string },
): Promise<void> {
  const { imageRoot, class: imageClass, remote } = place;
  if (daemon.scope === "user" || imageRoot === "" || isOwnRoot(daemon, imageRoot, imageClass)) return;
  if (/^file:/i.test(remote)) {
    throw denied(`A file of this host cannot be put into '${imageRoot}': it holds no images of class '${imageClass}'.`);
  }
  if (isPrivileged(await call.caller())) return;
  throw denied(`Only root may put images into '${imageRoot}': it holds no images of class '${imageClass}'.`);
}

function denied(message: string): MachinedError {
  return new MachinedError("AccessDenied", message);
}
