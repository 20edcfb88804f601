// machined-worker remove: removes an image.
import { removeImage } from "../../registry/image/change.ts";
import { imageOf, type NamedImageRequest, requestOf } from "./image-request.ts";
import { workerOf } from "./run-operation.ts";

export const main = workerOf((args) => {
  const request = requestOf<NamedImageRequest>(args);
  removeImage(request.layout, imageOf(request));
  return null;
});
