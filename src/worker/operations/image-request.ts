// What all operations on images are told: where the images are, and which one is meant. As one JSON argument.
import { MachinedError } from "../../base/error.ts";
import type { Image } from "../../registry/image/image.ts";
import type { ImageLayout } from "../../registry/image/layout.ts";
import { ImageSearch } from "../../registry/image/search.ts";

export interface ImageRequest {
  readonly layout: ImageLayout;
}

/** Which image is meant: the daemon found it, and asked for permission for it and no other. */
export interface ImageTarget {
  readonly name: string;
  readonly path: string;
  readonly identity: string;
}

export interface NamedImageRequest extends ImageRequest {
  readonly target: ImageTarget;
}

/** Reads the argument. It is the daemon that wrote it. */
export function requestOf<Request extends ImageRequest>(args: readonly string[]): Request {
  return JSON.parse(args[0] ?? "{}") as Request;
}

export function searchOf({ layout }: ImageRequest): ImageSearch {
  return new ImageSearch(layout.searchPath);
}

/** The image that is meant, as it is now. Throws NoSuchImage where it is gone, also where another has its name. */
export function imageOf(request: NamedImageRequest): Image {
  const { name, path, identity } = request.target;
  const image = searchOf(request).find(name);
  if (image === null || image.path !== path || image.facts.identity !== identity) {
    throw new MachinedError("NoSuchImage", `No image '${name}' known`);
  }
  return image;
}
