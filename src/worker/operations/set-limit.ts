// machined-worker set-limit: limits an image, or the pool. Enabling quota may wait for the file system.
import { limitImage, limitPool } from "../../registry/image/pool.ts";
import { type ImageRequest, type ImageTarget, imageOf, requestOf } from "./image-request.ts";
import { workerOf } from "./run-operation.ts";

interface SetLimitArguments extends ImageRequest {
  /** Null for the pool. */
  readonly target: ImageTarget | null;
  /** In decimal: it may be larger than a number of JSON. */
  readonly bytes: string;
}

export const main = workerOf((args) => {
  const request = requestOf<SetLimitArguments>(args);
  const bytes = BigInt(request.bytes);
  const { layout, target } = request;
  if (target === null) limitPool(layout, bytes);
  else limitImage(imageOf({ layout, target }), bytes);
  return null;
});
