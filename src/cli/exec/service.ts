// `machinectl exec` for callers that are not root: the service machined-exec (io.machined.Exec) runs the command, with
// the descriptors that this client sends as its standard streams.
import { IoMachinedExec } from "../../api/varlink/io-machined-exec.ts";
import { ERRORS, errnoNameOf } from "../../base/error.ts";
import type { RunningCommand } from "../../exec/run.ts";
import { type VarlinkClient, VarlinkError } from "../../ipc/varlink/client.ts";
import { connectVarlink } from "../../ipc/varlink/connect.ts";
import { callWithHints, hasHints, refusedParameter } from "../../ipc/varlink/hints.ts";
import { copyStandard, type Fd, openPath } from "../../kernel/file/fd.ts";
import { parseSignal, SIGTERM } from "../format/signals.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { managerDirectory, meansLocalSockets } from "../session/target.ts";
import { ownSize } from "../terminal/pty-terminal.ts";
import { printDetached } from "./detached.ts";
import { EXIT_OURS, type ExecOrder, environmentOf } from "./order.ts";
import { forwardTerminal } from "./terminal.ts";

/** The largest timeout, 24 days: the duration of a command is not limited. */
const NO_TIMEOUT_MS = 0x7fff_ffff;
/**
 * Signals that are passed on to the command. SIGHUP ends this client, and the service then sends SIGHUP to the command.
 */
const FORWARDED = ["SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

const SERVICE_NAME = "machined-exec";
const METHOD = IoMachinedExec.methods.Run;
const RUN = `${IoMachinedExec.name}.Run`;

const MISSING =
  "Only root can run commands in machines without machined-exec.socket, which does not exist here: " +
  "'sudo machined install --now' sets it up, 'sudo systemctl start machined-exec.socket' starts it";

const OTHER_RELEASE =
  "A machined-exec that still runs from before an upgrade knows fewer parameters: 'sudo systemctl stop machined-exec' ends it " +
  "with its commands, and its socket starts the new one.";

const NOT_HERE =
  "Only root can run commands in machines of another manager than this host's own: run this as root, or leave out --user";

const REFUSALS: Readonly<Record<string, string>> = {
  "org.varlink.service.PermissionDenied": `Access denied by polkit (action ${IoMachinedExec.methods.Run.access.action})`,
  "io.systemd.InteractiveAuthenticationRequired":
    "Access denied: interactive authentication is required, for which there is no agent, or which --no-ask-password forbids",
  [ERRORS.NoSuchMachine.varlink]: "there is no such machine; 'machinectl list' shows all machines",
};

/** Returns the path of the service's socket. Throws a Failure if the settings name another host, bus or scope. */
function socketPath({ settings, ports }: Session): string {
  const directory = meansLocalSockets(settings, ports.env) ? managerDirectory(settings.scope, ports.env) : null;
  if (directory === null || settings.scope === "user") throw new Failure(NOT_HERE);
  return `${directory}/io.machined.Exec`;
}

/** The service: the path of its socket, and an open connection for the first call. */
interface Service {
  readonly path: string;
  readonly client: VarlinkClient;
}

/** Connects to the service. Throws a Failure if it is not there, ETIMEDOUT if it does not answer. */
async function connect(session: Session, path: string): Promise<VarlinkClient> {
  try {
    const client = session.keep(await connectVarlink(path));
    // The command, which is one call, may take any time, so that only a call before it shows that the service answers.
    await session.inTime(SERVICE_NAME, () => client.call("org.varlink.service.GetInfo"));
    return client;
  } catch (error) {
    if (["ENOENT", "ECONNREFUSED", "ENOTDIR"].includes(errnoNameOf(error) ?? "")) throw new Failure(MISSING);
    throw error;
  }
}

/** Converts an error reply of the service to a Failure. */
function refusal(error: VarlinkError, { machine, command }: ExecOrder): Failure {
  const attempt = `Cannot run '${command[0] ?? "a shell"}' in machine '${machine}'`;
  const parameter = refusedParameter(error);
  if (parameter !== null) {
    const reason = `machined-exec does not accept the parameter '${parameter}'`;
    return new Failure(`${attempt}: ${reason}`, { cause: error, hint: OTHER_RELEASE });
  }
  const reason = REFUSALS[error.id] ?? `machined-exec refused with ${error.id}`;
  return new Failure(`${attempt}: ${reason}`, { cause: error });
}

/** Returns the parameters of io.machined.Exec.Run; `id` names the command in calls of Signal. */
function parametersOf(session: Session, { machine, user, command }: ExecOrder, id: string): Record<string, unknown> {
  const { settings } = session;
  return {
    id,
    machine,
    user: user === "" ? undefined : user,
    command,
    environment: environmentOf(session),
    directory: settings.directory ?? undefined,
    timeoutUSec: settings.timeoutMs > 0 ? settings.timeoutMs * 1000 : undefined,
    ...(settings.tty ? { terminal: true, ...ownSize(session.ports.env) } : {}),
    detach: settings.detach || undefined,
    verbose: settings.verbose || undefined,
    allowInteractiveAuthentication: settings.askPassword || undefined,
  };
}

/** Starts the command with `streams` as its standard streams; the function owns and closes them. */
function start(session: Session, service: Service, order: ExecOrder, streams: readonly Fd[]): RunningCommand {
  const id = crypto.randomUUID();
  const { path } = service;
  let { client } = service;
  const run = async (): Promise<number> => {
    const parameters = parametersOf(session, order, id);
    const second: Fd[] = [];
    const call = async (given: object, again: boolean) => {
      if (again) {
        client.close();
        client = await connect(session, path);
      }
      return await client.call(RUN, given, { descriptors: again ? second : streams, timeoutMs: NO_TIMEOUT_MS });
    };
    try {
      if (hasHints(METHOD, parameters)) for (const stream of streams) second.push(stream.duplicate());
      const reply = await callWithHints(METHOD, parameters, call);
      if (typeof reply["message"] === "string") throw new Failure(reply["message"]);
      return typeof reply["exitStatus"] === "number" ? reply["exitStatus"] : EXIT_OURS;
    } catch (error) {
      throw error instanceof VarlinkError ? refusal(error, order) : error;
    } finally {
      // Closed now: while this process has a copy of a terminal's socket open, the end of a command without a terminal
      // is not noticed.
      for (const stream of [...streams, ...second]) stream.close();
      client.close();
    }
  };
  const kill = async (signal: number) => {
    const other = await connectVarlink(path);
    try {
      await other.call("io.machined.Exec.Signal", { id, signal });
    } finally {
      other.close();
    }
  };
  const exited = run();
  // The caller awaits `exited` after the terminal has ended; a rejection before that must not count as unhandled.
  exited.catch(() => {});
  // If the signal cannot be sent, the connection is closed; the service then sends SIGHUP to the command.
  return { exited, kill: (signal) => void kill(signal).catch(() => client.close()) };
}

/** Runs the order through the service; returns the exit status of the command. */
export async function execThroughService(session: Session, order: ExecOrder): Promise<number> {
  const path = socketPath(session);
  const service: Service = { path, client: await connect(session, path) };
  await startPolkitAgent(session);
  if (session.settings.tty) {
    return forwardTerminal(session, (socket) => start(session, service, order, [socket]));
  }
  const startWith = (stdout: Fd) => {
    const stdin = session.settings.stdin ? copyStandard(0) : openPath("/dev/null", "read");
    return start(session, service, order, [stdin, stdout, copyStandard(2)]);
  };
  const { detach, json } = session.settings;
  if (detach && json !== "off") return printDetached(session, order.machine, json, startWith);
  const command = startWith(copyStandard(1));
  for (const name of FORWARDED) process.on(name, () => command.kill(parseSignal(name) ?? SIGTERM));
  return command.exited;
}
