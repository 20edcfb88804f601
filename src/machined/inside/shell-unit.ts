// The service that runs a program on a pseudo terminal in a machine: container-shell@N.service, N being the terminal's
// number, as the original names it. Its properties are as few as possible: the machine's service manager may be years older
// than the host's, and refuses a unit for one property that it does not know.
import { SYSTEMD1_NAME, SYSTEMD1_PATH } from "../../api/systemd1.ts";
import { Variant } from "../../base/variant.ts";
import { BusError } from "../../ipc/bus/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import type { MachineCall } from "./machine-bus.ts";

/** What is to be run: a program with all of its arguments, the first of them its own name. */
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
  interface: `${SYSTEMD1_NAME}.Manager`,
} as const;

/** The number by which units call a terminal: "/dev/pts/3" → "3". */
function terminalNumber(ttyPath: string): string {
  return ttyPath.replace(/^\/dev\/pts\//, "");
}

/**
 * Starts a login prompt on a terminal. Answers when it is queued. An earlier terminal of that number was perhaps closed a
 * moment ago: its getty then failed to come back so often that it may not be started for a while, unless that is forgotten.
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

/** For what is done in case it is needed: the unit is not there, as a rule. */
async function unlessUnknown(answer: Promise<unknown>): Promise<void> {
  try {
    await answer;
  } catch (error) {
    if (!(error instanceof BusError)) throw error;
  }
}

/**
 * Starts a program on a terminal, whose other end `terminal` is. Answers when it is queued. A getty that an earlier
 * terminal of that number left behind would take the new one for itself: it is stopped.
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
    // Last: that the program fails is not the unit's failure.
    ["ExecStart", new Variant("a(sasb)", [[program.path, program.argv.map(withoutExpansion), true]])],
  ];
}

/** The service manager puts variables of the unit's environment into arguments; `$$` is a plain `$` to it. */
function withoutExpansion(argument: string): string {
  return argument.replaceAll("$", "$$$$");
}

/** What an older manager can do instead of a property that it lacks; nothing where it can do without. */
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

/** The properties without the one the manager refused, or null where the refusal is about something else. */
function withoutUnknown(properties: readonly Property[], error: unknown): readonly Property[] | null {
  if (!(error instanceof BusError) || !/\.(PropertyReadOnly|UnknownProperty|InvalidArgs)$/.test(error.errorName)) {
    return null;
  }
  const unknown = properties.find(([name]) => name in SUBSTITUTES && new RegExp(`\\b${name}\\b`).test(error.message));
  if (unknown === undefined) return null;
  return properties.flatMap((property) => (property === unknown ? (SUBSTITUTES[property[0]] ?? []) : [property]));
}
