// io.machined.Exec.Run: a command for a caller, once polkit has said yes. The command is a child of this service, which has
// no sandbox of its own that the command would inherit. The caller's descriptors are received by that child: a file whose
// file system does not answer would keep this service from starting any other.
import { IoMachinedExec } from "../api/io-machined-exec.ts";
import { ErrnoError, errnoNameOf, MachinedError } from "../base/error.ts";
import { type Grant, permissionsOf } from "../daemon/access.ts";
import type { Authority } from "../daemon/authority.ts";
import { authorize } from "../daemon/polkit.ts";
import { startForCaller } from "../exec/run.ts";
import { noStreams } from "../exec/streams.ts";
import { invalidParameter } from "../ipc/varlink/schema.ts";
import type { VarlinkCall } from "../ipc/varlink/server.ts";
import { SIZE_MAX, type WindowSize } from "../kernel/terminal/pty.ts";
import { isHostRootInside } from "../registry/machine/uid-map.ts";
import type { Commands } from "./commands.ts";
import { type HeldMachine, holdMachine, isStill } from "./machine.ts";

/** Exit status of a command that was not run. */
const NOT_RUN = 125;
const HOST = ".host";
const SIGHUP = 1;
/** The rule of this method is the same on hosts of all releases. */
const ANY_HOST = Number.POSITIVE_INFINITY;

export interface RunParameters {
  readonly id?: string;
  readonly machine: string;
  readonly user?: string;
  readonly command: readonly string[];
  readonly environment?: readonly string[];
  readonly directory?: string;
  readonly timeoutUSec?: number | bigint | string;
  readonly terminal?: boolean;
  readonly rows?: number | bigint | string;
  readonly columns?: number | bigint | string;
  readonly detach?: boolean;
  readonly verbose?: boolean;
}

export interface Surroundings {
  readonly commands: Commands;
  readonly authority: Authority;
}

/** The owner of a machine with a user namespace made it, and could enter by itself. */
function grantFor(machine: HeldMachine, user: string, program: string): Grant {
  return {
    subject: machine.name,
    isHost: machine.name === HOST,
    // The user that is meant without a name has at most the rights of the machine's root. Rules are written with its name.
    details: { user: user === "" || user === "0" ? "root" : user, program },
    ...(isHostRootInside(machine.leader) ? {} : { ownerUid: machine.ownerUid }),
  };
}

function check(parameters: RunParameters): void {
  const { command, environment = [], directory, user = "", timeoutUSec = 0 } = parameters;
  sizeOf(parameters);
  if (command.length === 0 || command[0] === "") throw invalidParameter("command");
  const texts = [...command, ...environment, directory ?? "", user];
  if (texts.some((text) => text.includes("\0"))) throw invalidParameter("command");
  if (Number(timeoutUSec) < 0) throw invalidParameter("timeoutUSec");
  if (environment.some((assignment) => !/^[A-Za-z_]\w*=/.test(assignment))) throw invalidParameter("environment");
}

/** The size that the caller's terminal has; null where it is not said. */
function sizeOf({ rows = 0, columns = 0 }: RunParameters): WindowSize | null {
  const isSize = (number: unknown) => Number(number) >= 0 && Number(number) <= SIZE_MAX;
  if (!isSize(rows)) throw invalidParameter("rows");
  if (!isSize(columns)) throw invalidParameter("columns");
  return Number(rows) > 0 && Number(columns) > 0 ? { rows: Number(rows), columns: Number(columns) } : null;
}

async function authorized(call: VarlinkCall, machine: HeldMachine, parameters: RunParameters, around: Surroundings) {
  const { user = "", command } = parameters;
  const grant = grantFor(machine, user, command[0] ?? "");
  await authorize(around.authority, call, permissionsOf(IoMachinedExec.methods.Run.access, grant, ANY_HOST));
  // The answer may have taken minutes.
  if (!(await isStill(machine))) throw new ErrnoError("ESRCH", `Machine '${machine.name}' has ended`);
}

async function runHere(call: VarlinkCall, parameters: RunParameters, around: Surroundings): Promise<number> {
  const { uid } = await call.caller();
  if (call.descriptors === null) throw noStreams();
  using held = new DisposableStack();
  const place = held.use(around.commands.take(uid, parameters.id));
  let isGone = false;
  let hangUp = () => {};
  call.onGone(() => {
    isGone = true;
    hangUp();
  });
  const machine = held.use(await holdMachine(parameters.machine));
  await authorized(call, machine, parameters, around);
  if (isGone) throw new ErrnoError("ECONNRESET", "The caller left");
  const command = startForCaller(
    {
      leader: machine.leader,
      machine: machine.name,
      ownerUid: machine.ownerUid,
      user: parameters.user ?? "",
      directory: parameters.directory ?? null,
      environment: parameters.environment ?? [],
      command: parameters.command,
      terminal: parameters.terminal === true ? "given" : "none",
      terminalSize: sizeOf(parameters),
      timeoutMs: Number(parameters.timeoutUSec ?? 0) / 1000,
      detach: parameters.detach === true,
      verbose: parameters.verbose === true,
      callerUid: uid,
    },
    call.descriptors,
  );
  hangUp = () => command.kill(SIGHUP);
  place.started(command);
  // What hangs in the machine takes the caller's place, and keeps nobody waiting.
  const all = held.move();
  void command.gone.then(() => all.dispose());
  return await command.exited;
}

/** Whether the failure is one that the caller is told as an error, and not as a command that was not run. */
function isRefusal(error: unknown): boolean {
  const codes = ["AccessDenied", "InteractiveAuthorizationRequired", "InvalidArgs", "NoSuchMachine"];
  return error instanceof MachinedError && codes.includes(error.code);
}

/** Runs the command; returns the reply. */
export async function runCommand(call: VarlinkCall, parameters: RunParameters, around: Surroundings): Promise<object> {
  check(parameters);
  try {
    return { exitStatus: await runHere(call, parameters, around) };
  } catch (error) {
    if (isRefusal(error) || (!(error instanceof MachinedError) && errnoNameOf(error) === null)) throw error;
    return { exitStatus: NOT_RUN, message: (error as Error).message };
  }
}
