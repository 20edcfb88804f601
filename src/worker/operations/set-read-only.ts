// machined-worker set-read-only: makes an image read-only, or writable again.
import { markReadOnly } from "../../registry/image/change.ts";
import { imageOf, type NamedImageRequest, requestOf } from "./image-request.ts";
import { workerOf } from "./run-operation.ts";

interface SetReadOnlyArguments extends NamedImageRequest {
  readonly readOnly: boolean;
}

export const main = workerOf((args) => {
  const request = requestOf<SetReadOnlyArguments>(args);
  markReadOnly(request.layout, imageOf(request), request.readOnly);
  return null;
});
