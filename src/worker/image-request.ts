// What all operations on images are told: where the images are, and which one is meant. As one JSON argument.
import { MachinedError } from "../base/error.ts";
import type { Image } from "../registry/image.ts";
import type { ImageLayout } from "../registry/image-layout.ts";
import { ImageSearch } from "../registry/image-search.ts";

export interface ImageRequest {
  readonly layout: ImageLayout;
}

export interface NamedImageRequest extends ImageRequest {
  readonly name: string;
}

/** Reads the argument. It is the daemon that wrote it. */
export function requestOf<Request extends ImageRequest>(args: readonly string[]): Request {
  return JSON.parse(args[0] ?? "{}") as Request;
}

export function searchOf({ layout }: ImageRequest): ImageSearch {
  return new ImageSearch(layout.searchPath);
}

/** The image that is meant, as it is now. */
export function imageOf(request: NamedImageRequest): Image {
  const image = searchOf(request).find(request.name);
  if (image === null) throw new MachinedError("NoSuchImage", `No image '${request.name}' known`);
  return image;
}
