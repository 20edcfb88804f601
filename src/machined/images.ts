// Images: finding and listing them (org.freedesktop.machine1(5), GetImage() ff.).
import { MachinedError } from "../base/error.ts";
import type { Image } from "../registry/image.ts";
import { type ImageLayout, layoutBelow, SYSTEM_LAYOUT } from "../registry/image-layout.ts";
import { ImageSearch } from "../registry/image-search.ts";

/** Everything about the images of this host. */
export class Images {
  readonly layout: ImageLayout;
  readonly #search: ImageSearch;

  constructor(layout: ImageLayout) {
    this.layout = layout;
    this.#search = new ImageSearch(layout.searchPath);
  }

  /** The images of the system; MACHINED_IMAGE_ROOT moves them all below another root. */
  static ofHost(): Images {
    const root = process.env["MACHINED_IMAGE_ROOT"];
    return new Images(root ? layoutBelow(root) : SYSTEM_LAYOUT);
  }

  list(): Image[] {
    return this.#search.list();
  }

  find(name: string): Image | null {
    return this.#search.find(name);
  }

  /** The image of that name; throws NoSuchImage. */
  get(name: string): Image {
    const image = this.find(name);
    if (image === null) throw new MachinedError("NoSuchImage", `No image '${name}' known`);
    return image;
  }
}
