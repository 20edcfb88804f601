// The classes of images and the directories in which images of each class are kept: systemd-nspawn(1), portablectl(1),
// systemd-sysext(8).
import { defineStringTable } from "../string-table.ts";

/** What an image is for; it determines the directories. */
export const IMAGE_CLASSES = defineStringTable(["machine", "portable", "sysext", "confext"]);
export type ImageClass = (typeof IMAGE_CLASSES.values)[number];

/** The name of the directory of each class, below /var/lib, /run and so on. */
export const CLASS_DIRECTORIES: Readonly<Record<ImageClass, string>> = {
  machine: "machines",
  portable: "portables",
  sysext: "extensions",
  confext: "confexts",
};

/** The system's search directories for each class, in order: the first image of a name hides the others. */
export const IMAGE_SEARCH_PATHS: Readonly<Record<ImageClass, readonly string[]>> = {
  machine: [
    "/etc/machines",
    "/run/machines",
    "/var/lib/machines",
    "/var/lib/container",
    "/usr/local/lib/machines",
    "/usr/lib/machines",
  ],
  portable: [
    "/etc/portables",
    "/run/portables",
    "/var/lib/portables",
    "/usr/local/lib/portables",
    "/usr/lib/portables",
  ],
  sysext: ["/etc/extensions", "/run/extensions", "/var/lib/extensions"],
  confext: ["/run/confexts", "/var/lib/confexts", "/usr/local/lib/confexts", "/usr/lib/confexts"],
};

/** Returns the directory for new images of a class, below `state`: the system's or a user's state directory. */
export function imagePool(imageClass: ImageClass, state = "/var/lib"): string {
  return `${state}/${CLASS_DIRECTORIES[imageClass]}`;
}

/** How an image is stored. */
export const IMAGE_TYPES = defineStringTable(["directory", "subvolume", "raw", "block", "mstack"]);
export type ImageType = (typeof IMAGE_TYPES.values)[number];
