// The directories into which a caller may have images written. The permission to pull images is no permission to write
// anywhere on the host: an archive that is unpacked into a directory of the system changes the configuration of the
// system.
import { join, normalize } from "node:path";
import { MachinedError } from "../base/error.ts";
import { IMAGE_SEARCH_PATHS, type ImageClass } from "../base/vocabulary/image-class.ts";
import type { Call } from "../daemon/call.ts";
import { isPrivileged } from "../ipc/caller.ts";
import type { ImportDaemon } from "./daemon.ts";

/** Whether the directory is searched for images of the class. */
function isOwnRoot({ paths }: ImportDaemon, path: string, imageClass: ImageClass): boolean {
  const own = IMAGE_SEARCH_PATHS[imageClass].map((path) => join(paths.imagePrefix, path));
  return [...own, paths.imageRoot(imageClass)].includes(normalize(`${path}/.`).replace(/(.)\/$/, "$1"));
}

/**
 * Throws `AccessDenied` for a directory that is not searched for images of the class, unless the caller is root. For a
 * `file:` URL it throws for root, too: that would copy any file of the host to any directory. A user's own daemon
 * allows all directories.
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
