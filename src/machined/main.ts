// systemd-machined: its command line (systemd-machined.service(8)).

import { IMAGE_PATH, Image, MACHINE_PATH, MACHINE1_PATH, Machine, Manager } from "../api/machine1.ts";
import { LOG_CONTROL_PATH, LogControl } from "../api/peers.ts";
import type { BusInterface } from "../api/table.ts";
import { errnoNameOf } from "../base/error.ts";
import { introspect } from "../ipc/render.ts";
import { versionText } from "../kernel/process/host-systemd.ts";
import { HELP, parseArguments } from "./arguments.ts";
import { type Scope, systemScope, userScope } from "./scope.ts";
import { Service } from "./service.ts";

/** Runs the program; gives its exit code. */
export async function main(args: string[]): Promise<number> {
  const command = parseArguments(args);
  switch (command.kind) {
    case "help":
      return say(HELP);
    case "version":
      return say(versionText());
    case "introspect":
      return describeObject(command.path);
    case "error":
      return complain(command.message);
    case "run":
      return serve(command.scope === "user" ? userScope : systemScope);
  }
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

function complain(message: string): number {
  process.stderr.write(`systemd-machined: ${message}\n`);
  return 1;
}

async function serve(scope: () => Scope): Promise<number> {
  let service: Service;
  try {
    service = new Service(scope());
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    return complain(`Failed to start: ${(error as Error).message}`);
  }
  return service.run();
}

/** Interfaces by path, as far as they are known without a running daemon. */
const OBJECTS: Readonly<Record<string, readonly BusInterface[]>> = {
  [MACHINE1_PATH]: [Manager],
  [MACHINE_PATH]: [Machine],
  [IMAGE_PATH]: [Image],
  [LOG_CONTROL_PATH]: [LogControl],
};

/** --bus-introspect=PATH, or =list for the paths; what stands below a path has that path's interface. */
function describeObject(path: string): number {
  if (path === "list") return say(`${Object.keys(OBJECTS).sort().join("\n")}\n`);
  const known = Object.hasOwn(OBJECTS, path) ? path : path.slice(0, path.lastIndexOf("/"));
  if (!Object.hasOwn(OBJECTS, known)) return complain(`No object '${path}': --bus-introspect=list shows them`);
  const tables = OBJECTS[known] ?? [];
  return say(
    introspect(
      tables.map((table) => ({ table })),
      [],
    ),
  );
}
