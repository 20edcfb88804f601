// A daemon as a program: executes its command line. Each daemon describes itself by a DaemonProgram.
import type { BusInterface } from "../api/table.ts";
import { errnoNameOf } from "../base/error.ts";
import { helpWidth, layOutHelp } from "../base/text/help-text.ts";
import { introspect } from "../ipc/bus/introspection.ts";
import { versionText } from "../kernel/process/host-systemd.ts";
import { printError as printErrorText, print as printText } from "../kernel/terminal/print.ts";
import { DAEMON_OPTIONS, parseArguments } from "./arguments.ts";
import type { ScopeKind } from "./scope.ts";

export interface DaemonProgram {
  readonly name: string;
  /** Its purpose in one sentence, for `--help`. */
  readonly abstract: string;
  /** The manual pages, as `--help` names them. */
  readonly see: string;
  /** The interfaces of the D-Bus objects by path, for `--bus-introspect=`. */
  readonly objects: Readonly<Record<string, BusInterface>>;
  /** Returns the service of a scope. Throws an error with errno where the host lacks a prerequisite. */
  service(scope: ScopeKind): { run(): Promise<number> };
}

/** Runs the program with its arguments; returns the exit code. */
export async function runDaemon(program: DaemonProgram, args: readonly string[]): Promise<number> {
  const command = parseArguments(args);
  switch (command.kind) {
    case "help":
      return print(helpText(program));
    case "version":
      return print(versionText());
    case "introspect":
      return describeObject(program, command.path);
    case "error":
      return printError(program, command.message);
    case "run":
      return serve(program, command.scope);
  }
}

function print(text: string): number {
  printText(text);
  return 0;
}

function printError({ name }: DaemonProgram, message: string): number {
  printErrorText(`${name}: ${message}\n`);
  return 1;
}

async function serve(program: DaemonProgram, scope: ScopeKind): Promise<number> {
  let service: ReturnType<DaemonProgram["service"]>;
  try {
    service = program.service(scope);
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    return printError(program, `Failed to start: ${(error as Error).message}`);
  }
  return service.run();
}

/** --bus-introspect=PATH, or =list for the paths. A path directly below a known one has the same interface. */
function describeObject(program: DaemonProgram, path: string): number {
  const { objects } = program;
  if (path === "list") return print(`${Object.keys(objects).join("\n")}\n`);
  const known = Object.hasOwn(objects, path) ? path : path.slice(0, path.lastIndexOf("/"));
  const table = Object.hasOwn(objects, known) ? objects[known] : undefined;
  if (table === undefined) return printError(program, `No object '${path}': --bus-introspect=list shows them`);
  return print(introspect([{ table }], []));
}

const MEANING_COLUMN = 28;

function helpText({ name, abstract, see }: DaemonProgram): string {
  const entries = Object.entries(DAEMON_OPTIONS).map(([key, { alias, valueHint, description }]) => {
    const value = valueHint === undefined ? "" : `=${valueHint}`;
    return [`${alias === undefined ? "  " : `-${alias}`} --${key}${value}`, description] as const;
  });
  const text = {
    usage: `${name} [OPTION…]`,
    about: [abstract],
    sections: [{ entries }],
    column: MEANING_COLUMN,
    notes: [`See ${see}.`],
  };
  return layOutHelp(text, helpWidth(process.stdout, process.env));
}
