// The lists of images of each class that importd returns.
import { IMAGE_CLASSES, IMAGE_SEARCH_PATHS, type ImageClass } from "../base/vocabulary/image-class.ts";
import type { Image } from "../registry/image/image.ts";
import { ImageSearch } from "../registry/image/search.ts";
import type { ImportDaemon } from "./daemon.ts";

function searchPath(daemon: ImportDaemon, imageClass: ImageClass): readonly string[] {
  const { scope, paths } = daemon;
  if (scope === "user" || paths.imagesMoved) return [paths.imageRoot(imageClass)];
  return IMAGE_SEARCH_PATHS[imageClass];
}

interface ListedImage {
  readonly class: ImageClass;
  readonly image: Image;
}

/**
 * Returns the images of a class, or of all classes. The host's own tree is among the machines, but not in a user's own
 * daemon.
 */
export function listImages(daemon: ImportDaemon, wanted: ImageClass | null): ListedImage[] {
  const classes = IMAGE_CLASSES.values.filter((name) => wanted === null || name === wanted);
  return classes.flatMap((name) => {
    const hasHost = name === "machine" && daemon.scope === "system";
    const images = new ImageSearch(searchPath(daemon, name), { hasHost }).list();
    return images.map((image) => ({ class: name, image }));
  });
}
