// systemd-importd: its command line (systemd-importd.service(8)). It runs transfers of images as worker programs, and
// reports their progress.
import { IMPORT1_PATH, ImportManager, TRANSFER_PATH, Transfer } from "../api/import1.ts";
import { LOG_CONTROL_PATH, LogControl } from "../api/peers.ts";
import { type DaemonProgram, runDaemon } from "../daemon/program.ts";
import { Service } from "./service.ts";

const PROGRAM: DaemonProgram = {
  name: "systemd-importd",
  abstract: "Downloads, imports and exports images of machines, portable services and system extensions.",
  see: "systemd-importd.service(8), importctl(1)",
  objects: {
    [IMPORT1_PATH]: ImportManager,
    [`${TRANSFER_PATH}/_1`]: Transfer,
    [LOG_CONTROL_PATH]: LogControl,
  },
  service: (scope) => new Service(scope),
};

/** Runs the program; returns its exit code. */
export function main(args: string[]): Promise<number> {
  return runDaemon(PROGRAM, args);
}
