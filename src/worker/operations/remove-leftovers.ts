// machined-worker remove-leftovers: removes the remains of killed operations.
import { sweepAll } from "../../registry/image/sweep.ts";
import { type ImageRequest, requestOf } from "./image-request.ts";
import { workerOf } from "./run-operation.ts";

export const main = workerOf((args) => {
  sweepAll(requestOf<ImageRequest>(args).layout);
  return null;
});
