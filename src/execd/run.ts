// io.machined.Exec.Run: runs a command for a caller that polkit has authorized, as a child of this service. The child,
// not the service, receives the caller's descriptors: closing one whose file system does not answer would block the
// service.

import { IoMachinedExec } from "../api/varlink/io-machined-exec.ts";
import { ErrnoError, errnoNameOf, MachinedError } from "../base/error.ts";
import { type Grant, permissionsOf } from "../daemon/permission/access.ts";
import type { Authority } from "../daemon/permission/authority.ts";
import { authorize } from "../daemon/permission/polkit.ts";
import { MachineEnded } from "../exec/ended.ts";
import { startForCaller } from "../exec/run.ts";
import { noStreams } from "../exec/streams.ts";
import { invalidParameter } from "../ipc/varlink/schema.ts";
import type { VarlinkCall } from "../ipc/varlink/server.ts";
import { SIZE_MAX, type WindowSize } from "../kernel/terminal/pty.ts";
import { mayEnter } from "../registry/machine/uid-map.ts";
import type { Commands } from "./commands.ts";
import { type HeldMachine, holdMachine, isStill } from "./machine.ts";

/** Exit status where the command could not be started. */
const NOT_RUN = 125;
const HOST = ".host";
const SIGHUP = 1;
/** Passed as the systemd release of the host, on which the rule of this method does not depend. */
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

export interface RunContext {
  readonly commands: Commands;
  readonly authority: Authority;
}

/** The owner of a machine needs no permission to enter it where that is possible without this service. */
function grantFor(machine: HeldMachine, user: string, program: string): Grant {
  return {
    subject: machine.name,
    isHost: machine.name === HOST,
    // Without a user, the command has at most the rights of the machine's root; polkit rules match on "root".
    details: { user: user === "" || user === "0" ? "root" : user, program },
    ...(mayEnter(machine.ownerUid, machine.leader) ? { ownerUid: machine.ownerUid } : {}),
  };
}

/** Throws InvalidParameter for parameters that no machine could accept. */
function check(parameters: RunParameters): void {
  const { command, environment = [], directory, user = "", timeoutUSec = 0 } = parameters;
  sizeOf(parameters);
  if (command.length === 0 || command[0] === "") throw invalidParameter("command");
  const texts = [...command, ...environment, directory ?? "", user];
  if (texts.some((text) => text.includes("\0"))) throw invalidParameter("command");
  if (Number(timeoutUSec) < 0) throw invalidParameter("timeoutUSec");
  if (environment.some((assignment) => !/^[A-Za-z_]\w*=/.test(assignment))) throw invalidParameter("environment");
}

/**
 * Returns the size of the caller's terminal; null unless both numbers are given. Throws InvalidParameter beyond
 * SIZE_MAX.
 */
function sizeOf({ rows = 0, columns = 0 }: RunParameters): WindowSize | null {
  const isSize = (number: unknown) => Number(number) >= 0 && Number(number) <= SIZE_MAX;
  if (!isSize(rows)) throw invalidParameter("rows");
  if (!isSize(columns)) throw invalidParameter("columns");
  return Number(rows) > 0 && Number(columns) > 0 ? { rows: Number(rows), columns: Number(columns) } : null;
}

async function authorized(call: VarlinkCall, machine: HeldMachine, parameters: RunParameters, around: RunContext) {
  const { user = "", command } = parameters;
  const grant = grantFor(machine, user, command[0] ?? "");
  await authorize(around.authority, call, permissionsOf(IoMachinedExec.methods.Run.access, grant, ANY_HOST));
  // Authorization may have taken minutes.
  if (!(await isStill(machine))) throw new MachineEnded(machine.name);
}

async function runHere(call: VarlinkCall, parameters: RunParameters, around: RunContext): Promise<number> {
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
  if (isGone) throw new ErrnoError("ECONNRESET", "The caller has disconnected");
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
  // The place is held until all processes have ended, those too that hang in the machine; the reply does not wait for
  // them.
  const all = held.move();
  void command.gone.then(() => all.dispose());
  return await command.exited;
}

/** Whether a failure is replied as an error; others are replied as exit status 125 with a message. */
function isRefusal(error: unknown): boolean {
  const codes = ["AccessDenied", "InteractiveAuthorizationRequired", "InvalidArgs", "NoSuchMachine"];
  return error instanceof MachinedError && codes.includes(error.code);
}

/** Runs a command for a call of Run; returns the reply when it has ended. */
export async function runCommand(call: VarlinkCall, parameters: RunParameters, around: RunContext): Promise<object> {
  check(parameters);
  try {
    return { exitStatus: await runHere(call, parameters, around) };
  } catch (error) {
    if (isRefusal(error) || (!(error instanceof MachinedError) && errnoNameOf(error) === null)) throw error;
    return { exitStatus: NOT_RUN, message: (error as Error).message };
  }
}
