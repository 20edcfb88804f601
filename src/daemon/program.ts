// A daemon as a program: what each command line does, for a table of the daemon's texts and objects.
import type { BusInterface } from "../api/table.ts";
import { errnoNameOf } from "../base/error.ts";
import { helpWidth, layOutHelp } from "../base/help-text.ts";
import { introspect } from "../ipc/render.ts";
import { versionText } from "../kernel/process/host-systemd.ts";
import { DAEMON_OPTIONS, parseArguments } from "./arguments.ts";
import type { ScopeKind } from "./scope.ts";

export interface DaemonProgram {
  readonly name: string;
  /** What it is for, in one sentence. */
  readonly abstract: string;
  /** The manual pages, as `--help` names them. */
  readonly see: string;
  /** The interfaces of the D-Bus objects by path, for `--bus-introspect=`. */
  readonly objects: Readonly<Record<string, BusInterface>>;
  /** The service of a scope. Throws an error with errno where the host lacks something for it. */
  service(scope: ScopeKind): { run(): Promise<number> };
}

/** Runs the program; returns its exit code. */
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
      return complain(program, command.message);
    case "run":
      return serve(program, command.scope);
  }
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

function complain({ name }: DaemonProgram, message: string): number {
  process.stderr.write(`${name}: ${message}\n`);
  return 1;
}

async function serve(program: DaemonProgram, scope: ScopeKind): Promise<number> {
  let service: ReturnType<DaemonProgram["service"]>;
  try {
    service = program.service(scope);
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    return complain(program, `Failed to start: ${(error as Error).message}`);
  }
  return service.run();
}

/** --bus-introspect=PATH, or =list for the paths. An object below a known path has that path's interface. */
function describeObject(program: DaemonProgram, path: string): number {
  const { objects } = program;
  if (path === "list") return print(`${Object.keys(objects).join("\n")}\n`);
  const known = Object.hasOwn(objects, path) ? path : path.slice(0, path.lastIndexOf("/"));
  const table = Object.hasOwn(objects, known) ? objects[known] : undefined;
  if (table === undefined) return complain(program, `No object '${path}': --bus-introspect=list shows them`);
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
