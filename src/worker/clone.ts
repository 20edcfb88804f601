// machined-worker clone: makes a copy of an image in the pool.
import { cloneImage } from "../registry/image-clone.ts";
import { imageOf, type NamedImageRequest, requestOf, searchOf } from "./image-request.ts";
import { workerOf } from "./work.ts";

export interface CloneArguments extends NamedImageRequest {
  readonly newName: string;
  readonly readOnly: boolean;
}

export const main = workerOf((args, { progress, warn }) => {
  const request = requestOf<CloneArguments>(args);
  cloneImage(request.layout, searchOf(request), imageOf(request), request, {
    onProgress: ({ files, bytes }) => progress({ files, bytes }),
    onLoss: (path, what) => warn(`The copy of ${JSON.stringify(path)} lacks ${what.join(", ")}`),
  });
  return null;
});
