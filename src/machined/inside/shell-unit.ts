// The service that runs a program on a pseudo terminal in a machine: container-shell@N.service, where N is the
// terminal's number, as in the original. It has as few properties as possible: the machine's service manager may be
// years older than the host's, and refuses a unit for one property that it does not know.

import { Variant } from "../../base/variant.ts";
import { SYSTEMD1_MANAGER, SYSTEMD1_NAME, SYSTEMD1_PATH } from "../../base/vocabulary/bus-peers.ts";
import { BusError } from "../../ipc/bus/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import type { MachineCall } from "./machine-bus.ts";

/** The program to run, with all of its arguments, the first of them its own name. */
interface Program {
  readonly path: string;
  readonly argv: readonly string[];
}

export interface ShellUnit {
  readonly user: string;
  readonly program: Program;
  readonly environment: readonly string[];
}

type Property = readonly [name: string, value: Variant];

const MANAGER = {
  destination: SYSTEMD1_NAME,
  path: SYSTEMD1_PATH,
  interface: SYSTEMD1_MANAGER,
} as const;

/** The number of a terminal in the names of units: "/dev/pts/3" → "3". */
function terminalNumber(ttyPath: string): string {
  return ttyPath.replace(/^\/dev\/pts\//, "");
}

/**
 * Starts a login prompt on a terminal. Resolves when the start is queued. Where an earlier terminal of that number was
 * closed just before, its getty restarted too often and hit its start limit: that is reset first.
 */
export async function startGetty(call: MachineCall, ttyPath: string): Promise<void> {
  const unit = gettyOf(ttyPath);
  await Promise.all([
    unlessUnknown(call({ ...MANAGER, member: "ResetFailedUnit", signature: "s", body: [unit] })),
    call({ ...MANAGER, member: "StartUnit", signature: "ss", body: [unit, "replace"] }),
  ]);
}

function gettyOf(ttyPath: string): string {
  return `container-getty@${terminalNumber(ttyPath)}.service`;
}

/** Ignores the failures of a call about a unit that usually does not exist. */
async function unlessUnknown(answer: Promise<unknown>): Promise<void> {
  try {
    await answer;
  } catch (error) {
    if (!(error instanceof BusError)) throw error;
  }
}

/**
 * Starts a program on a terminal; `terminal` is its other end. Resolves when the start is queued. A getty of an earlier
 * terminal of that number would open the new one: it is stopped first.
 */
export async function startShell(call: MachineCall, shell: ShellUnit, ttyPath: string, terminal: Fd): Promise<void> {
  const stop = { ...MANAGER, member: "StopUnit", signature: "ss", body: [gettyOf(ttyPath), "replace"] };
  await Promise.all([unlessUnknown(call(stop)), startTransient(call, shell, ttyPath, terminal)]);
}

async function startTransient(call: MachineCall, shell: ShellUnit, ttyPath: string, terminal: Fd): Promise<void> {
  const unit = `container-shell@${terminalNumber(ttyPath)}.service`;
  let properties = propertiesOf(shell, ttyPath, terminal);
  for (;;) {
    try {
      await call({
        ...MANAGER,
        member: "StartTransientUnit",
        signature: "ssa(sv)a(sa(sv))",
        body: [unit, "fail", properties, []],
      });
      return;
    } catch (error) {
      const fewer = withoutUnknown(properties, error);
      if (fewer === null) throw error;
      properties = fewer;
    }
  }
}

function propertiesOf({ user, program, environment }: ShellUnit, ttyPath: string, terminal: Fd): readonly Property[] {
  const text = (value: string) => new Variant("s", value);
  const yes = (value: boolean) => new Variant("b", value);
  const stream = new Variant("h", terminal);
  return [
    ["Description", text(`Shell for User ${user}`)],
    ["StandardInputFileDescriptor", stream],
    ["StandardOutputFileDescriptor", stream],
    ["StandardErrorFileDescriptor", stream],
    ["SendSIGHUP", yes(true)],
    ["IgnoreSIGPIPE", yes(false)],
    ["KillMode", text("mixed")],
    ["TTYPath", text(ttyPath)],
    ["TTYReset", yes(true)],
    ["UtmpIdentifier", text(`pts/${terminalNumber(ttyPath)}`)],
    ["UtmpMode", text("user")],
    ["PAMName", text("login")],
    ["WorkingDirectory", text("-~")],
    ["User", text(user)],
    ...(environment.length === 0 ? [] : [["Environment", new Variant("as", environment)] as const]),
    // The last field: a failing program does not make the unit fail.
    ["ExecStart", new Variant("a(sasb)", [[program.path, program.argv.map(withoutExpansion), true]])],
  ];
}

/** Escapes `$`: the service manager expands variables in arguments, and reads `$$` as a plain `$`. */
function withoutExpansion(argument: string): string {
  return argument.replaceAll("$", "$$$$");
}

/** Replacements for properties that older managers do not know; none for properties that can be omitted. */
const SUBSTITUTES: Readonly<Record<string, readonly Property[]>> = {
  StandardInputFileDescriptor: [["StandardInput", new Variant("s", "tty")]],
  StandardOutputFileDescriptor: [["StandardOutput", new Variant("s", "tty")]],
  StandardErrorFileDescriptor: [["StandardError", new Variant("s", "tty")]],
  Description: [],
  SendSIGHUP: [],
  IgnoreSIGPIPE: [],
  KillMode: [],
  TTYReset: [],
  UtmpIdentifier: [],
  UtmpMode: [],
  WorkingDirectory: [],
};

/** Returns the properties without the one that the manager refused, or null where the refusal has another reason. */
function withoutUnknown(properties: readonly Property[], error: unknown): readonly Property[] | null {
  if (!(error instanceof BusError) || !/\.(PropertyReadOnly|UnknownProperty|InvalidArgs)$/.test(error.errorName)) {
    return null;
  }
  const unknown = properties.find(([name]) => name in SUBSTITUTES && new RegExp(`\\b${name}\\b`).test(error.message));
  if (unknown === undefined) return null;
  return properties.flatMap((property) => (property === unknown ? (SUBSTITUTES[property[0]] ?? []) : [property]));
}
