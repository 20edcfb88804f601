// machined-worker disk-metadata: reads the metadata of a disk image. Its file systems are mounted here, in a private
// mount namespace, and never by the daemon.
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
