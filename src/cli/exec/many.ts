// `machinectl exec` in several machines: one after the other with the standard streams of this client, or with
// --parallel= concurrently, with the machine's name before each line of output.
import { selfCommand } from "../../kernel/process/spawn.ts";
import { withColours } from "../format/own-sequence.ts";
import { parseSignal } from "../format/signals.ts";
import { linesOf, readLines } from "../local/read-text.ts";
import { attempt, Failure } from "../session/failure.ts";
import { inParallel } from "../session/in-parallel.ts";
import type { Session } from "../session/session.ts";
import { EXIT_UNREAD, orExitOurs, sameDaemon, sameExec } from "./order.ts";

/** Signals that are passed on to the commands. */
const PASSED_ON = ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;
/** Those of them after which no further command is started. */
const ENDING: readonly NodeJS.Signals[] = ["SIGTERM", "SIGHUP", "SIGQUIT"];
const BY_SIGNAL = 128;
const INTERRUPTED = BY_SIGNAL + 2;

/** The clients that run for machines. They get the signals of this one, which exits after them. */
class Clients implements Disposable {
  /** The exit status of commands that are not started any more; null while they are. */
  endedWith: number | null = null;
  #gotInterrupt = false;
  #wasInterrupted = false;
  readonly #running = new Set<Bun.Subprocess>();
  readonly #handlers: [NodeJS.Signals, () => void][];

  constructor({ ports }: Session) {
    const kill = (name: NodeJS.Signals) => {
      if (ENDING.includes(name)) this.endedWith ??= BY_SIGNAL + (parseSignal(name) ?? 0);
      for (const child of this.#running) child.kill(name);
    };
    // ^C reaches the clients itself, and commands may count it: they are in the same process group.
    const interrupt = () => {
      this.#gotInterrupt = true;
      this.#endAfterInterrupt();
      if (!ports.isTty(0) && !ports.isTty(2)) kill("SIGINT");
    };
    this.#handlers = [
      ["SIGINT", interrupt],
      ...PASSED_ON.map((name) => [name, () => kill(name)] as [typeof name, () => void]),
    ];
    for (const [name, handler] of this.#handlers) process.on(name, handler);
  }

  /** Returns the exit status of a client that has been started. */
  async statusOf(child: Bun.Subprocess): Promise<number> {
    this.#running.add(child);
    const status = await child.exited;
    this.#running.delete(child);
    if (status === INTERRUPTED) this.#wasInterrupted = true;
    this.#endAfterInterrupt();
    return status;
  }

  /** As a shell: SIGINT ends the loop where it has ended the command. The two are noticed in any order. */
  #endAfterInterrupt(): void {
    if (this.#gotInterrupt && this.#wasInterrupted) this.endedWith ??= INTERRUPTED;
  }

  [Symbol.dispose](): void {
    for (const [name, handler] of this.#handlers) process.off(name, handler);
  }
}

/**
 * Prints the output of a machine line by line, each with the prefix, so that it cannot be taken for another machine's
 * output. `print` must escape control characters; colours are marked to pass.
 */
export async function copyLines(
  stream: ReadableStream<Uint8Array>,
  prefix: string,
  print: (text: string) => void,
): Promise<void> {
  await readLines(stream, (text) => {
    // Lines of ssh(1) and of terminals end with \r\n.
    for (const line of linesOf(text)) print(`${prefix}${withColours(line.replace(/\r?\n$|\r$/, ""))}\n`);
  });
}

/** Runs the command in one machine by a client of its own; `prefix` is null for the streams of this client. */
async function runIn(
  session: Session,
  place: string,
  command: readonly string[],
  prefix: string | null,
  clients: Clients,
): Promise<number> {
  const { settings } = session;
  const flags = [
    ...sameDaemon(session),
    ...sameExec(session),
    ...(settings.throughService ? ["--through-service"] : []),
    ...(settings.stdin && prefix === null ? [] : ["--stdin=no"]),
  ];
  const self = selfCommand("machinectl", ["exec", ...flags, place, ...command]);
  const streams = prefix === null ? "inherit" : "pipe";
  const stdio: ["inherit" | "ignore", "inherit" | "pipe", "inherit" | "pipe"] = [
    prefix === null ? "inherit" : "ignore",
    streams,
    streams,
  ];
  const child = Bun.spawn(self.command, { argv0: self.argv0, stdio, env: process.env });
  const status = clients.statusOf(child);
  if (prefix !== null) {
    const [stdout, stderr] = [child.stdout, child.stderr] as ReadableStream<Uint8Array>[];
    if (stdout !== undefined && stderr !== undefined) {
      const { output } = session;
      const show = (text: string) => {
        output.write(text);
        // As a command that writes to a pipe without a reader by itself.
        if (output.isOver) child.kill();
      };
      // Objects of JSON have the name of their machine, and may have several lines.
      const isJson = settings.detach && settings.json !== "off";
      await Promise.all([
        isJson ? stdout.text().then(show) : copyLines(stdout, prefix, show),
        copyLines(stderr, prefix, (text) => output.writeError(text)),
      ]);
    }
  }
  return status;
}

/** Runs the command in all machines; returns the first exit status in the order of the machines that is not 0, or 0. */
export async function execMany(
  session: Session,
  machines: readonly string[],
  user: string,
  command: readonly string[],
): Promise<number> {
  const { parallel, tty } = session.settings;
  if (tty && parallel > 1)
    throw new Failure("Commands that run at the same time cannot share a terminal: leave out -t or --parallel=");
  const width = Math.max(...machines.map((machine) => machine.length));
  using clients = new Clients(session);
  const statuses = await inParallel(machines, Math.max(parallel, 1), async (machine) => {
    if (session.output.isOver) return EXIT_UNREAD;
    if (clients.endedWith !== null) return clients.endedWith;
    const place = user === "" ? machine : `${user}@${machine}`;
    const prefix = parallel > 1 ? `${machine.padEnd(width)} | ` : null;
    // One that cannot be started, on a host without a free process for example, does not end the others.
    const run = () => runIn(session, place, command, prefix, clients);
    const what = `Cannot run '${command[0]}' in machine '${machine}'`;
    return orExitOurs(session, () => attempt(what, run));
  });
  return statuses.find((status) => status !== 0) ?? 0;
}
