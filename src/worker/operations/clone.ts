// machined-worker clone: makes a copy of an image in the pool.

import { cloneImage } from "../../registry/image/clone.ts";
import { startCopyHelpers } from "../../registry/image/copy-helpers.ts";
import { imageOf, type NamedImageRequest, requestOf, searchOf } from "./image-request.ts";
import { lossReporter } from "./report-losses.ts";
import { workerOf } from "./run-operation.ts";

interface CloneArguments extends NamedImageRequest {
  readonly newName: string;
  readonly readOnly: boolean;
}

export const main = workerOf((args, { progress }) => {
  const request = requestOf<CloneArguments>(args);
  cloneImage(request.layout, searchOf(request), imageOf(request), request, {
    onProgress: ({ files, bytes }) => progress({ files, bytes }),
    onLoss: lossReporter(),
    startHelpers: startCopyHelpers,
  });
  return null;
});
