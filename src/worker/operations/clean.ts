// machined-worker clean: removes hidden images, or all.
import { cleanPool } from "../../registry/image/clean.ts";
import { type ImageRequest, requestOf, searchOf } from "./image-request.ts";
import { workerOf } from "./run-operation.ts";

interface CleanArguments extends ImageRequest {
  readonly mode: "hidden" | "all";
}

/** Returns the removed images: names, and how many bytes that freed, in decimal. */
export const main = workerOf((args) => {
  const request = requestOf<CleanArguments>(args);
  const removed = cleanPool(request.layout, searchOf(request), request.mode);
  return removed.map(({ name, bytes }) => [name, String(bytes)]);
});
