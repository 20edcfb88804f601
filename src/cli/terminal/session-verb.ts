// The common part of `machinectl login` and `shell`: the manager opens a terminal of the machine, which is forwarded to
// the caller's terminal, with a line before and after the session.

import type { Fd } from "../../kernel/file/fd.ts";
import { own } from "../format/own-sequence.ts";
import { type Environment, isDumb, type Terminal } from "../format/terminal.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { Failure, failed, isBusFailure } from "../session/failure.ts";
import type { Bus } from "../session/ports.ts";
import type { Session } from "../session/session.ts";
import type { SessionEnd, SessionResult } from "./pty-forward.ts";

const NAME = "org.freedesktop.machine1";
const LOCAL_HOST = ".host";
const NO_SUCH_MACHINE = `${NAME}.NoSuchMachine`;
/** The signals about a machine are subscribed to after this time, while a program of the command line runs. */
const BRIEF_MS = 500;

/** How a verb opens its terminal. */
interface TerminalRequest {
  readonly machine: string;
  /** Calls the manager to open a terminal; returns the master and the path of the terminal in the machine. */
  open(session: Session): Promise<{ readonly pty: Fd; readonly pty_path: string }>;
  /** The word in the error message "Failed to get … PTY". */
  readonly kind: "login" | "shell";
  /** Whether the command line names a program, so that it is no interactive shell or login. */
  readonly runsProgram: boolean;
}

/**
 * Runs a whole session; returns how it ended. Throws a Failure where the output could not be written. `opened` is
 * called with the path of the terminal in the machine.
 */
export async function runTerminal(
  session: Session,
  request: TerminalRequest,
  opened: (path: string) => void = () => {},
): Promise<SessionResult> {
  const { machine, kind } = request;
  await startPolkitAgent(session);
  const { expectShortLife, expectShortWait } = await import("../../kernel/event/poller.ts");
  if (request.runsProgram) expectShortLife();
  let machineIsGone = false;
  let whenGone = () => {};
  const follow = (bus: Bus) =>
    bus.subscribe({ sender: NAME, path: "/org/freedesktop/machine1", member: "MachineRemoved", arg0: machine }, () => {
      machineIsGone = true;
      whenGone();
    });
  const master = await openTerminal(session, request, request.runsProgram ? null : follow, opened);
  if (!session.settings.quiet) session.report.info(greeting(machine));
  const context = isSilent(session, request) ? "" : await startContext(session, machine);
  const { PtySession, requireWritten } = await import("./pty-forward.ts");
  const forward = new PtySession({
    master,
    hangup: kind === "login" ? "waits" : "ends",
    env: session.ports.env,
    finish: (result) => finishLine(session, result, isSilent(session, request)),
  });
  // Most programs on a command line end soon.
  if (request.runsProgram) expectShortWait();
  whenGone = () => forward.expectHangup();
  if (machineIsGone) whenGone();
  const later = request.runsProgram
    ? setTimeout(() => void followLater(session, machine, follow, whenGone), BRIEF_MS)
    : null;
  const result = await forward.run();
  if (later !== null) clearTimeout(later);
  if (!session.settings.quiet) session.report.info(farewell(machine, kind, result.end, machineIsGone));
  session.output.write(context);
  requireWritten(result);
  return result;
}

/**
 * Whether nothing may be added to the output of the program: with -q and a program on the command line, which scripts
 * use on terminals as well.
 */
function isSilent({ settings }: Session, { runsProgram }: TerminalRequest): boolean {
  return settings.quiet && runsProgram;
}

/**
 * Subscribes to the machine's end while its program runs already; calls `whenGone` if the machine has ended before. A
 * terminal that no process has opened does not hang up with its machine.
 */
async function followLater(
  session: Session,
  machine: string,
  follow: (bus: Bus) => Promise<unknown>,
  whenGone: () => void,
): Promise<void> {
  try {
    await follow(await session.managerConnection());
    await session.manager("GetMachine", { name: machine });
  } catch (error) {
    // Without a bus, the terminal's end is still seen.
    if (isBusFailure(error, NO_SUCH_MACHINE)) whenGone();
  }
}

/**
 * Opens the terminal. Subscribes to the machine's end before that, if `follow` is given, because the machine may end at
 * once. Throws a Failure.
 */
async function openTerminal(
  session: Session,
  request: TerminalRequest,
  follow: ((bus: Bus) => Promise<unknown>) | null,
  opened: (path: string) => void,
): Promise<Fd> {
  try {
    const connection = await session.managerConnection(follow === null ? "descriptors" : "signals");
    // Sent before the call that opens the terminal.
    const followed = follow?.(connection) ?? Promise.resolve();
    const { pty, pty_path } = await openFollowed(request.open(session), followed);
    // The call may have moved to the manager's private socket.
    const other = await session.managerConnection();
    if (other !== connection) await follow?.(other);
    opened(pty_path);
    return pty;
  } catch (error) {
    throw error instanceof Failure ? error : failed(`Failed to get ${request.kind} PTY`, error);
  }
}

/** Waits for the terminal, and for the subscription; closes the terminal where that fails. */
async function openFollowed(opening: ReturnType<TerminalRequest["open"]>, followed: Promise<unknown>) {
  followed.catch(() => {});
  const terminal = await opening;
  try {
    await followed;
    return terminal;
  } catch (error) {
    terminal.pty.close();
    throw error;
  }
}

function greeting(machine: string): string {
  const where = machine === LOCAL_HOST ? "the local host" : `machine ${machine}`;
  return `Connected to ${where}. Press ^] three times within 1s to exit session.`;
}

function farewell(machine: string, kind: "login" | "shell", end: SessionEnd, machineIsGone: boolean): string {
  if (kind === "login" && machineIsGone && end === "hangup") return `Machine ${machine} terminated.`;
  return `Connection to ${machine === LOCAL_HOST ? "the local host" : `machine ${machine}`} terminated.`;
}

/** Writes the escape sequence before the machine's output (context.ts); returns the one after it. */
async function startContext(session: Session, machine: string): Promise<string> {
  const { env } = session.ports;
  const { isTty, colors } = session.terminal;
  if (!isTty || colors === "off" || isDumb(env)) return "";
  const { machineContext } = await import("./context.ts");
  const { start, end } = machineContext(machine);
  session.output.write(own(start));
  return own(end);
}

/**
 * Resets what a program may have changed: soft reset, palette, colours, line wrap; clears from the cursor's line on.
 */
const CLEANUP = own("\u001b[!p\u001b]104\u001b\\\u001b[0m\u001b[?7h\u001b[1G\u001b[0J");
const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** Moves the cursor to the beginning of a line, and resets the terminal. */
function finishLine(session: Session, { lastByte }: SessionResult, isSilent: boolean): void {
  const { terminal, output } = session;
  if (lastByte !== null && lastByte !== NEWLINE) {
    output.write(terminal.stdoutIsTty && lastByte !== RETURN ? own("\r\n") : "\n");
  }
  if (terminal.stdoutIsTty && terminal.colors !== "off" && !isSilent) output.write(CLEANUP);
}

/** Returns assignments that describe the caller's terminal to the program; TERM=dumb without a terminal. */
export function terminalEnvironment(terminal: Terminal, env: Environment): string[] {
  if (!terminal.isTty || isDumb(env)) return ["TERM=dumb"];
  return ["TERM", "COLORTERM", "NO_COLOR"]
    .filter((name) => env[name] !== undefined)
    .map((name) => `${name}=${env[name]}`);
}
