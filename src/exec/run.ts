// Starting enter.c: in the place of this process, or as a child of it.
import { ErrnoError } from "../base/error.ts";
import { type Fd, inheritable } from "../kernel/file/fd.ts";
import { sealedFile } from "../kernel/file/memory-file.ts";
import { replaceProcess } from "../kernel/process/replace-process.ts";
import { type EnterRequest, enterCommand } from "./enter.ts";
import { enterProgram } from "./helper.ts";

/** A file of its own for each call: a machine that holds an old one open would keep a shared one from being executed. */
function programFile(): Fd {
  const program = enterProgram();
  if (program === null) {
    throw new ErrnoError("EOPNOTSUPP", "This build cannot enter machines: it was made without a C compiler");
  }
  return sealedFile("machined-enter", program);
}

/** The leader as a descriptor. Linux before 5.3 has none. */
function pidfdOf({ leader, machine }: EnterRequest): Fd {
  if (leader.pidfd !== null) return leader.pidfd;
  throw new ErrnoError("EOPNOTSUPP", `Cannot enter machine '${machine}': this kernel has no pidfds`);
}

/** Becomes the command, with our descriptors 0 to 2; returns only by throwing an error with errno. */
export function becomeCommand(request: EnterRequest): never {
  using program = programFile();
  using pidfd = inheritable(pidfdOf(request));
  const { args, environment } = enterCommand(request, pidfd.number);
  replaceProcess(program, args, environment);
}

export interface RunningCommand {
  /** The exit status, as enter.c has it. */
  readonly exited: Promise<number>;
  kill(signal: number): void;
}

const CHILD_PIDFD = 3;

/** Starts the command as a child with the given descriptors as 0 to 2, which stay ours. */
export function startCommand(request: EnterRequest, [stdin, stdout, stderr]: readonly [Fd, Fd, Fd]): RunningCommand {
  using program = programFile();
  const { args, environment } = enterCommand(request, CHILD_PIDFD);
  const variables = environment.map((assignment): [string, string] => {
    const equals = assignment.indexOf("=", 1);
    return [assignment.slice(0, equals), assignment.slice(equals + 1)];
  });
  const child = Bun.spawn([`/proc/${process.pid}/fd/${program.number}`, ...args.slice(1)], {
    argv0: args[0] ?? "",
    cwd: "/",
    env: Object.fromEntries(variables),
    stdio: [stdin.number, stdout.number, stderr.number, pidfdOf(request).number],
  });
  return {
    exited: child.exited,
    kill: (signal) => child.kill(signal),
  };
}
