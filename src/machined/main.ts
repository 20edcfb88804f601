// systemd-machined: its command line (systemd-machined.service(8)).
import { IMAGE_PATH, Image, MACHINE_PATH, MACHINE1_PATH, Machine, Manager } from "../api/machine1.ts";
import { LOG_CONTROL_PATH, LogControl } from "../api/peers.ts";
import { type DaemonProgram, runDaemon } from "../daemon/program.ts";
import { systemScope, userScope } from "./scope.ts";
import { Service } from "./service.ts";

const PROGRAM: DaemonProgram = {
  name: "systemd-machined",
  abstract: "Keeps the registry of this host's virtual machines and containers.",
  see: "systemd-machined.service(8), machinectl(1)",
  objects: {
    [LOG_CONTROL_PATH]: LogControl,
    [MACHINE1_PATH]: Manager,
    [IMAGE_PATH]: Image,
    [MACHINE_PATH]: Machine,
  },
  service: (scope) => new Service(scope === "user" ? userScope() : systemScope()),
};

/** Runs the program; returns its exit code. */
export function main(args: string[]): Promise<number> {
  return runDaemon(PROGRAM, args);
}
