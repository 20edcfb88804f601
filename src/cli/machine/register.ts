// `machinectl register` and `unregister`: registers a machine that was not started by a program that registers it
// itself.

import { existsSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { errnoNameOf } from "../../base/error.ts";
import { writeSome } from "../../kernel/file/byte-io.ts";
import { setNonblocking } from "../../kernel/file/fd.ts";
import { containerInitBelow } from "../../kernel/process/children.ts";
import { PidRef } from "../../kernel/process/pidref.ts";
import { openPipe } from "../../kernel/process/pipe.ts";
import { programPath } from "../../kernel/process/program-path.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { attempt, Failure, reasonOf } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { type RegisterGuard, startGuard } from "./register-guard.ts";
import { canRegister, registerLeader, unregisterOf } from "./registration.ts";

/** Exit statuses of a command that was not run, as of exec and of shells. */
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;
const TERMINATED = 128 + 15;
/** How long this process continues after SIGTERM, so that it can print the refusal. */
const REFUSAL_MS = 500;
/** How long a command may take to start the container that it makes, and how often that is checked. */
const CONTAINER_START_MS = 30_000;
const CONTAINER_LOOK_MS = 50;

/**
 * A shell script that waits for a line on descriptor 3 and then becomes the command. The line is written after the
 * shell was registered as leader, so the command never runs unregistered. If the descriptor is closed without a line,
 * the shell exits.
 */
const WAIT_FOR_LINE = 'read -r go <&3 || exit 125; exec 3<&-; exec "$@"';

/**
 * Waits for the container that the command makes, as bwrap(1) and lxc-start(1) do, and registers its init in place of
 * the command: the namespaces of the leader are those that `exec`, `shell` and `copy-to` enter. Resolves once that is
 * done, or when no init has appeared in time or `ended` is aborted. Returns the present leader.
 */
async function followContainer(
  session: Session,
  name: string,
  pid: number,
  ended: AbortSignal,
  guard: RegisterGuard,
): Promise<number> {
  const deadline = performance.now() + CONTAINER_START_MS;
  const end = new Promise((resolve) => ended.addEventListener("abort", resolve));
  while (!ended.aborted && performance.now() < deadline) {
    const init = containerInitBelow(pid);
    if (init !== null) {
      const leader = await registerAnew(session, name, pid, init);
      guard.setLeader(leader);
      return leader;
    }
    await Promise.race([Bun.sleep(CONTAINER_LOOK_MS), end]);
  }
  return pid;
}

/** Registers the process `init` in place of the leader `pid`; returns which of them is the leader now. */
async function registerAnew(session: Session, name: string, pid: number, init: number): Promise<number> {
  using command = PidRef.of(pid);
  using leader = PidRef.of(init);
  // The process that was found may have ended before its pidfd was opened, and another one may have its number.
  if (containerInitBelow(pid) !== init || !leader.isAlive()) return pid;
  // systemd's daemon ends the caller of a registration that it refuses: this program, and the command with it.
  if (!(await canRegister(session, leader)) || !(await unregisterOf(session, name, pid))) return pid;
  try {
    await registerLeader(session, name, leader);
    return init;
  } catch (error) {
    session.report.warning(`${reasonOf(error)}; the leader of machine '${name}' stays process ${pid}, on the host`);
    await registerLeader(session, name, command);
    return pid;
  }
}

/** Whether a program that cannot be executed is there: at its path, or where $PATH names directories for it. */
function isFile(program: string): boolean {
  const directories = program.includes("/") ? [""] : (process.env["PATH"] ?? "").split(":");
  return program !== "" && directories.some((directory) => existsSync(join(directory, program)));
}

/** Starts the command as the leader of a new machine and waits for its end; returns its exit status. */
async function registerCommand(session: Session, name: string, command: readonly string[]): Promise<number> {
  const [program = ""] = command;
  if (programPath(program) === null) {
    const isThere = isFile(program);
    const why = isThere ? "it is not executable" : "no such program";
    session.report.error(`Failed to run '${program}' as leader of machine '${name}': ${why}`);
    return isThere ? NOT_EXECUTABLE : NOT_FOUND;
  }
  const [wait, begin] = openPipe();
  setNonblocking(wait, "off");
  const stdio = ["inherit", "inherit", "inherit", wait.number] as ["inherit", "inherit", "inherit", number];
  const child = Bun.spawn(["/bin/sh", "-c", WAIT_FOR_LINE, "sh", ...command], { stdio });
  wait.close();
  // ^C reaches the command itself, because it is in the same process group; signals to this process alone are passed
  // on.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP", "SIGQUIT"] as const) process.on(signal, () => child.kill(signal));
  let guard: RegisterGuard | null = null;
  try {
    using leader = PidRef.of(child.pid);
    guard = startGuard(session, name, leader);
    await registerLeader(session, name, leader);
    writeSome(begin, Buffer.from("\n"));
  } catch (error) {
    await guard?.end();
    throw error;
  } finally {
    // If no line was written, the shell now exits without running the command.
    begin.close();
  }
  const ended = new AbortController();
  const following =
    session.settings.registration.machineClass === "container"
      ? followContainer(session, name, child.pid, ended.signal, guard).catch((error) => {
          // A command that has ended meanwhile has no container.
          if (!ended.signal.aborted) session.report.warning(reasonOf(error));
          return child.pid;
        })
      : child.pid;
  const status = await child.exited;
  ended.abort();
  await unregisterOf(session, name, await following);
  await guard.end();
  return status;
}

/**
 * Returns the absolute path of a directory of this host without symbolic links, as the daemon needs it; "" for "".
 * Throws a Failure where there is no such directory: the daemon accepts any path.
 */
function existingDirectory(machine: string, path: string): string {
  if (path === "") return "";
  const refused = (why: string, cause?: unknown) =>
    new Failure(`Failed to register machine '${machine}': its root directory '${path}' ${why}`, {
      cause,
      hint: "--root-directory= takes the directory of this host that has the machine's files; leave it out for a machine without one.",
    });
  try {
    const real = realpathSync(path);
    if (statSync(real).isDirectory()) return real;
  } catch (error) {
    if (errnoNameOf(error) === "ENOENT") throw refused("does not exist", error);
    throw refused(`cannot be used: ${reasonOf(error)}`, error);
  }
  throw refused("is not a directory");
}

/**
 * The verb `register`: with a running process as leader (--leader=), or with a command that is started as leader, whose
 * exit status is returned.
 */
export async function register(session: Session, [name = "", ...command]: readonly string[]): Promise<number> {
  const { registration } = session.settings;
  const { leader: pid } = registration;
  if (session.settings.transport.kind !== "local") throw new Failure("Only machines of this host can be registered");
  if ((pid === null) === (command.length === 0)) {
    throw new Failure(
      "Either a leader or a command is needed: register NAME --leader=PID, or register NAME -- COMMAND…",
    );
  }
  registration.rootDirectory = existingDirectory(name, registration.rootDirectory);
  await startPolkitAgent(session);
  if (pid === null) return registerCommand(session, name, command);
  // systemd's daemon of 262 sends SIGTERM to the caller whose machine it refuses: the refusal is printed first.
  process.on("SIGTERM", () => setTimeout(() => process.exit(TERMINATED), REFUSAL_MS));
  await attempt(`Failed to register machine '${name}' with leader ${pid}`, async () => {
    using leader = PidRef.of(pid);
    await registerLeader(session, name, leader);
  });
  return 0;
}

/** The verb `unregister`. The processes of the machines continue. */
export async function unregister(session: Session, names: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  for (const name of names) {
    await attempt(`Failed to unregister machine '${name}'`, () => session.manager("UnregisterMachine", { name }));
  }
  return 0;
}
