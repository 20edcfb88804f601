// The argument of all operations on images, as JSON: the directories of images, and the identity of one image.
import { MachinedError } from "../../base/error.ts";
import type { Image } from "../../registry/image/image.ts";
import type { ImageLayout } from "../../registry/image/layout.ts";
import { ImageSearch } from "../../registry/image/search.ts";

export interface ImageRequest {
  readonly layout: ImageLayout;
}

/** The identity of the image: the permission was granted for it and no other. */
export interface ImageTarget {
  readonly name: string;
  readonly path: string;
  readonly identity: string;
}

export interface NamedImageRequest extends ImageRequest {
  readonly target: ImageTarget;
}

/** Reads the argument, which the daemon wrote. */
export function requestOf<Request extends ImageRequest>(args: readonly string[]): Request {
  return JSON.parse(args[0] ?? "{}") as Request;
}

export function searchOf({ layout }: ImageRequest): ImageSearch {
  return new ImageSearch(layout.searchPath);
}

/** Returns the image as it is now. Throws NoSuchImage where it was removed, also where another one has its name. */
export function imageOf(request: NamedImageRequest): Image {
  const { name, path, identity } = request.target;
  const image = searchOf(request).find(name);
  if (image === null || image.path !== path || image.facts.identity !== identity) {
    throw new MachinedError("NoSuchImage", `No image '${name}' known`);
  }
  return image;
}
