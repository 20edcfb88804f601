// machined-worker disk-metadata: what a disk image says of itself. Its file systems are mounted here, where nobody else can
// see them, and never by the daemon.
import { formatId } from "../../base/id128.ts";
import { diskMetadata } from "../../registry/image/disk.ts";
import { workerOf } from "./run-operation.ts";

/** The one argument is the path of the image. */
export const main = workerOf(([path = ""]) => {
  const { hostname, machineId, machineInfo, osRelease } = diskMetadata(path);
  return {
    hostname,
    machineId: machineId === null ? null : formatId(machineId),
    machineInfo: [...machineInfo],
    osRelease: [...osRelease],
  };
});
