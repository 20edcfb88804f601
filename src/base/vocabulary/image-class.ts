// The classes of images and the directories that each is kept in: systemd-nspawn(1), portablectl(1), systemd-sysext(8).
import { defineStringTable } from "../string-table.ts";

/** What an image is for, which decides where it is kept. */
export const IMAGE_CLASSES = defineStringTable(["machine", "portable", "sysext", "confext"]);
export type ImageClass = (typeof IMAGE_CLASSES.values)[number];

/** The name of the directory of each class, below /var/lib, /run and so on. */
export const CLASS_DIRECTORIES: Readonly<Record<ImageClass, string>> = {
  machine: "machines",
  portable: "portables",
  sysext: "extensions",
  confext: "confexts",
};

/** The directories of the system in which images of a class are searched, in order: the first image of a name wins. */
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

/** The directory that new images of a class are put into, below `state`: a user's state directory, or the system's. */
export function imagePool(imageClass: ImageClass, state = "/var/lib"): string {
  return `${state}/${CLASS_DIRECTORIES[imageClass]}`;
}

/** How an image is stored. */
export const IMAGE_TYPES = defineStringTable(["directory", "subvolume", "raw", "block", "mstack"]);
export type ImageType = (typeof IMAGE_TYPES.values)[number];
