// Images of all classes: where they are looked for (systemd-sysext(8), portablectl(1), systemd-nspawn(1)).
import { join } from "node:path";
import { CLASS_DIRECTORIES, IMAGE_CLASSES, type ImageClass } from "../base/transfer.ts";
import type { Image } from "../registry/image/image.ts";
import { SYSTEM_LAYOUT } from "../registry/image/layout.ts";
import { ImageSearch } from "../registry/image/search.ts";
import type { ImportDaemon } from "./daemon.ts";

const PLACES: Readonly<Record<Exclude<ImageClass, "machine">, readonly string[]>> = {
  portable: ["/etc", "/run", "/var/lib", "/usr/local/lib", "/usr/lib"],
  sysext: ["/etc", "/run", "/var/lib"],
  confext: ["/run", "/var/lib", "/usr/local/lib", "/usr/lib"],
};

function searchPath(daemon: ImportDaemon, imageClass: ImageClass): readonly string[] {
  const { scope, paths } = daemon;
  if (scope === "user" || paths.imagesMoved) return [paths.imageRoot(imageClass)];
  if (imageClass === "machine") return SYSTEM_LAYOUT.searchPath;
  return PLACES[imageClass].map((place) => join(place, CLASS_DIRECTORIES[imageClass]));
}

export interface ListedImage {
  readonly class: ImageClass;
  readonly image: Image;
}

/** The images of a class, or of all. The host's own tree counts as a machine, but as none of a user's. */
export function listImages(daemon: ImportDaemon, wanted: ImageClass | null): ListedImage[] {
  const classes = IMAGE_CLASSES.values.filter((name) => wanted === null || name === wanted);
  return classes.flatMap((name) => {
    const hasHost = name === "machine" && daemon.scope === "system";
    const images = new ImageSearch(searchPath(daemon, name), { hasHost }).list();
    return images.map((image) => ({ class: name, image }));
  });
}
