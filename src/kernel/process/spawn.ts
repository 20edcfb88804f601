// Starts this executable again as another of its programs. The child gets a minimal environment instead of ours, in
// which a caller could have set variables that influence a privileged process.
import type { Fd } from "../file/fd.ts";
import { SyscallError, unlessSyscallError } from "../syscall/sys.ts";
import { PARENT_VARIABLE, parentVariable } from "./parent.ts";
import { PidRef } from "./pidref.ts";
import { openPipe, readToEnd } from "./pipe.ts";
import { DEFAULT_PATH } from "./program-path.ts";

/** The target of a standard stream of the child. */
type Output = "inherit" | "ignore" | Fd;

export interface SpawnOptions {
  /** Descriptors by their numbers in the child, from 3 on. The caller still owns and closes its own. */
  readonly fds?: Readonly<Record<number, Fd>>;
  /** Variables in addition to PATH. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: "ignore" | "inherit" | Fd;
  /** "inherit" unless given. */
  readonly stdout?: Output;
  readonly stderr?: Output;
  /** The child gets a pipe as descriptor 3; what it writes there is `Child.result`. */
  readonly result?: boolean;
  /** The signal that the child gets when this process ends. */
  readonly signalWithParent?: number;
  /** Another executable to start instead of this one, with the same arguments. */
  readonly executable?: string | undefined;
}

export interface ExitStatus {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface Child {
  readonly pid: number;
  /** A reference that the caller closes; null where the child has ended already. */
  readonly pidRef: PidRef | null;
  readonly exited: Promise<ExitStatus>;
  /** The exit status as in a shell: 128 plus the signal's number where a signal ended the child. */
  readonly status: Promise<number>;
  /** Resolves to what the child wrote to descriptor 3, when that is closed; to "" without `result: true`. */
  readonly result: Promise<string>;
  /** Sends a signal unless the child has exited. */
  kill(signal: number): void;
}

const RESULT_FD = 3;
const RESULT_LIMIT_BYTES = 1024 * 1024;

/** The file that this process executes, even if its path was replaced or removed since. */
const OWN_EXECUTABLE = "/proc/self/exe";

/**
 * Returns the command that runs `program` of this executable: selected by argv[0]; from the sources, by Bun's first
 * argument.
 */
export function selfCommand(program: string, args: readonly string[]): { command: string[]; argv0: string } {
  if (import.meta.path.startsWith("/$bunfs/")) return { command: [OWN_EXECUTABLE, ...args], argv0: program };
  const main = new URL("../../main.ts", import.meta.url).pathname;
  return { command: [process.execPath, main, program, ...args], argv0: process.execPath };
}

/** As selfCommand(), for another program to execute: the path of the executable, and the program as first argument. */
export function commandByPath(program: string, args: readonly string[]): string[] {
  const isBuilt = import.meta.path.startsWith("/$bunfs/");
  const main = isBuilt ? [] : [new URL("../../main.ts", import.meta.url).pathname];
  return [process.execPath, ...main, program, ...args];
}

/**
 * Starts `program` with `args`, with / as working directory. Throws a SyscallError or Bun's error where it cannot be
 * started.
 */
export function spawnSelf(program: string, args: readonly string[], options: SpawnOptions = {}): Child {
  const pipe = options.result ? openPipe() : null;
  const fds = { ...options.fds, ...(pipe === null ? {} : { [RESULT_FD]: pipe[1] }) };
  const { command, argv0 } = commandOf(program, args, options.executable);
  const parent = options.signalWithParent;
  const variable = parent === undefined ? {} : { [PARENT_VARIABLE]: parentVariable(parent) };
  try {
    // Before the child is started, which nobody would know of where this fails.
    const result = pipe === null ? Promise.resolve("") : readToEnd(pipe[0], RESULT_LIMIT_BYTES).then(String);
    const child = Bun.spawn(command, {
      argv0,
      cwd: "/",
      env: { PATH: DEFAULT_PATH, ...options.env, ...variable },
      stdio: [toStdio(options.stdin ?? "ignore"), ...outputs(options), ...inherited(fds)],
    });
    return {
      pid: child.pid,
      pidRef: pidRefOf(child.pid),
      exited: child.exited.then(() => exitStatus(child)),
      status: child.exited,
      result,
      kill: (signal) => child.kill(signal),
    };
  } catch (error) {
    pipe?.[0].close();
    throw error;
  } finally {
    pipe?.[1].close();
  }
}

function commandOf(program: string, args: readonly string[], executable: string | undefined) {
  if (executable === undefined) return selfCommand(program, args);
  return { command: [executable, ...args], argv0: executable };
}

function exitStatus({ exitCode, signalCode }: Pick<Bun.Subprocess, "exitCode" | "signalCode">): ExitStatus {
  return { code: exitCode, signal: signalCode === null ? null : String(signalCode) };
}

function outputs(options: SpawnOptions): [number | "inherit" | "ignore", number | "inherit" | "ignore"] {
  return [toStdio(options.stdout ?? "inherit"), toStdio(options.stderr ?? "inherit")];
}

function toStdio(stream: Output): number | "inherit" | "ignore" {
  return typeof stream === "string" ? stream : stream.number;
}

/** Returns the descriptors from 3 on as an array, "ignore" for missing numbers. */
function inherited(fds: Readonly<Record<number, Fd>>): (number | "ignore")[] {
  const numbers = Object.keys(fds).map(Number);
  if (numbers.some((number) => number < RESULT_FD)) throw new SyscallError("spawn", "EINVAL");
  const length = Math.max(RESULT_FD - 1, ...numbers) - RESULT_FD + 1;
  return Array.from({ length }, (_, index) => fds[RESULT_FD + index]?.number ?? "ignore");
}

function pidRefOf(pid: number): PidRef | null {
  return unlessSyscallError(() => PidRef.of(pid), null);
}
