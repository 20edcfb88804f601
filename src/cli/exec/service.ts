// `machinectl exec` for callers that are not root: machined-exec runs the command with our descriptors (io.machined.Exec).
import { randomUUID } from "node:crypto";
import { IoMachinedExec } from "../../api/io-machined-exec.ts";
import { ERRORS, errnoNameOf } from "../../base/error.ts";
import type { RunningCommand } from "../../exec/run.ts";
import { type VarlinkClient, VarlinkError } from "../../ipc/varlink/client.ts";
import { connectVarlink } from "../../ipc/varlink/connect.ts";
import { copyStandard, type Fd, openPath } from "../../kernel/file/fd.ts";
import { parseSignal, SIGTERM } from "../format/signals.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { managerDirectory, meansLocalSockets } from "../session/target.ts";
import { ownSize } from "../terminal/pty-terminal.ts";
import { EXIT_OURS, type ExecOrder, environmentOf } from "./order.ts";
import { forwardTerminal } from "./terminal.ts";

/** A command takes as long as it takes. */
const NO_TIMEOUT_MS = 0x7fff_ffff;
const FORWARDED = ["SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

const MISSING =
  "machined-exec.socket is not there, and without it only root can run commands in machines: " +
  "'sudo machined install --now' sets it up, 'sudo systemctl start machined-exec.socket' starts it";

const NOT_HERE =
  "Only root can run commands in machines of a manager that is not this host's own: run this as root, or leave out --user";

const REFUSALS: Readonly<Record<string, string>> = {
  "org.varlink.service.PermissionDenied": `Access denied by polkit (action ${IoMachinedExec.methods.Run.access.action})`,
  "io.systemd.InteractiveAuthenticationRequired":
    "Access denied: interactive authentication is required, for which there is no agent, or which --no-ask-password forbids",
  [ERRORS.NoSuchMachine.varlink]: "there is no such machine; 'machinectl list' shows those that there are",
};

function socketPath({ settings, ports }: Session): string {
  const directory = meansLocalSockets(settings, ports.env) ? managerDirectory(settings.scope, ports.env) : null;
  if (directory === null || settings.scope === "user") throw new Failure(NOT_HERE);
  return `${directory}/io.machined.Exec`;
}

/** Where the service is, and a connection to it. */
interface Place {
  readonly path: string;
  readonly client: VarlinkClient;
}

async function connect(path: string): Promise<VarlinkClient> {
  try {
    return await connectVarlink(path);
  } catch (error) {
    if (["ENOENT", "ECONNREFUSED", "ENOTDIR"].includes(errnoNameOf(error) ?? "")) throw new Failure(MISSING);
    throw error;
  }
}

function refusal(error: VarlinkError, { machine, command }: ExecOrder): Failure {
  const reason = REFUSALS[error.id] ?? `machined-exec refused with ${error.id}`;
  return new Failure(`Cannot run '${command[0] ?? "a shell"}' in machine '${machine}': ${reason}`, { cause: error });
}

function parametersOf(session: Session, { machine, user, command }: ExecOrder, id: string): object {
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

/** Starts the command with the given descriptors, which are given away. */
function start(session: Session, place: Place, order: ExecOrder, streams: readonly Fd[]): RunningCommand {
  const id = randomUUID();
  const { client, path } = place;
  const run = async (): Promise<number> => {
    try {
      const options = { descriptors: streams, timeoutMs: NO_TIMEOUT_MS };
      const reply = await client.call("io.machined.Exec.Run", parametersOf(session, order, id), options);
      if (typeof reply["message"] === "string") throw new Failure(reply["message"]);
      return typeof reply["exitStatus"] === "number" ? reply["exitStatus"] : EXIT_OURS;
    } catch (error) {
      throw error instanceof VarlinkError ? refusal(error, order) : error;
    } finally {
      client.close();
    }
  };
  const kill = async (signal: number) => {
    const other = await connect(path);
    try {
      await other.call("io.machined.Exec.Signal", { id, signal });
    } finally {
      other.close();
    }
  };
  const exited = run();
  // It is waited for after the terminal's end, which comes first.
  exited.catch(() => {});
  // A command that no signal reaches is hung up: the service does so when its caller leaves.
  return { exited, kill: (signal) => void kill(signal).catch(() => client.close()) };
}

/** Runs the order through the service; returns its exit status. */
export async function execThroughService(session: Session, order: ExecOrder): Promise<number> {
  const path = socketPath(session);
  const place: Place = { path, client: session.keep(await connect(path)) };
  await startPolkitAgent(session);
  if (session.settings.tty) {
    return forwardTerminal(session, (socket) => start(session, place, order, [socket]));
  }
  const stdin = session.settings.stdin ? copyStandard(0) : openPath("/dev/null", "read");
  const command = start(session, place, order, [stdin, copyStandard(1), copyStandard(2)]);
  for (const name of FORWARDED) process.on(name, () => command.kill(parseSignal(name) ?? SIGTERM));
  return command.exited;
}
