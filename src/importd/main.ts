// systemd-importd: starts transfers of images as worker programs and tells everyone how they get on
// (systemd-importd.service(8)).
import { version } from "../../package.json";
import { IMPORT1_PATH, ImportManager, TRANSFER_PATH, Transfer } from "../api/import1.ts";
import { LOG_CONTROL_PATH, LogControl } from "../api/peers.ts";
import type { BusInterface } from "../api/table.ts";
import { introspect } from "../ipc/render.ts";
import { versionText } from "../kernel/process/host-systemd.ts";
import { HELP, parseArguments } from "./arguments.ts";
import { Service } from "./service.ts";

const VERSION = `262 (machined ${version})`;

/** Runs the program; gives its exit code. */
export async function main(args: string[]): Promise<number> {
  const command = parseArguments(args);
  switch (command.kind) {
    case "help":
      process.stdout.write(HELP);
      return 0;
    case "version":
      process.stdout.write(versionText());
      return 0;
    case "introspect":
      return printInterfaces(command.path);
    case "run":
      return new Service(command.scope, VERSION).run();
    case "error":
      process.stderr.write(`systemd-importd: ${command.message}\n`);
      return 1;
  }
}

const OBJECTS: Readonly<Record<string, BusInterface>> = {
  [IMPORT1_PATH]: ImportManager,
  [`${TRANSFER_PATH}/_1`]: Transfer,
  [LOG_CONTROL_PATH]: LogControl,
};

function printInterfaces(path: string): number {
  if (path === "list") {
    for (const known of Object.keys(OBJECTS)) process.stdout.write(`${known}\n`);
    return 0;
  }
  const table = Object.hasOwn(OBJECTS, path) ? OBJECTS[path] : undefined;
  if (table === undefined) {
    process.stderr.write(`systemd-importd: There is no object '${path}'\n`);
    return 1;
  }
  process.stdout.write(introspect([{ table }], []));
  return 0;
}
