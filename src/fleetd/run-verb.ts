// A verb of machinectl as a child, with limits for its time and its output. It ends with the agent.

import type { FleetRequest } from "../fleet/request.ts";
import { ChildGroup, collectedText } from "../kernel/process/child-group.ts";
import { PARENT_VARIABLE, parentVariable } from "../kernel/process/parent.ts";
import { selfCommand } from "../kernel/process/spawn.ts";

const SIGTERM = 15;
/** The limit of a verb's standard error in an answer. */
const MOST_ERROR_BYTES = 16 << 10;

/** Returns the command line of machinectl for a request. Names were checked: none begins with a hyphen. */
export function machinectlArguments(request: FleetRequest): string[] {
  const { verb, machines, form, columns, lines, output, until, timeoutMs, quiet, runner } = request;
  const forms = { text: [], json: ["--json=short"], cells: ["--cells"] }[form];
  const quietly = quiet ? ["--quiet"] : [];
  const common = ["--no-ask-password", "--no-pager", ...forms];
  switch (verb) {
    case "status":
      return [...common, `--lines=${lines}`, `--output=${output}`, "--", verb, ...machines];
    case "wait":
      // `wait` runs a command in the machine to find out whether it has booted.
      return [
        ...[...common, ...quietly, "--through-service", `--for=${until}`, `--timeout=${timeoutMs}ms`],
        ...["--", verb, ...machines],
      ];
    case "stats":
      return [...common, ...(columns === "all" ? ["--columns=all"] : []), "--", verb, ...machines];
    case "start":
      return [...common, ...quietly, `--runner=${runner}`, "--", verb, ...machines];
    case "list":
      return [...common, "--", verb];
    case "run":
      return execArguments(request);
    default:
      return [...common, "--", verb, ...machines];
  }
}

function execArguments({ machines, command, user, timeoutMs }: FleetRequest): string[] {
  const limit = timeoutMs === 0 ? [] : [`--timeout=${timeoutMs}ms`];
  // machined-exec runs the command: as a child of the agent, it would inherit the agent's sandbox.
  const options = ["--no-ask-password", "--stdin=no", "--through-service", ...limit];
  return [...options, ...(user === "" ? [] : [`--uid=${user}`]), "--", "exec", ...machines, ...command];
}

/** A run of machinectl, in a process group of its own. */
export class VerbRun {
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #group: ChildGroup;

  constructor(request: FleetRequest) {
    const { command, argv0 } = selfCommand("machinectl", machinectlArguments(request));
    const { PATH, MACHINED_RUNTIME_DIRECTORY: runtime } = process.env;
    this.child = Bun.spawn(command, {
      argv0,
      cwd: "/",
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...(PATH === undefined ? {} : { PATH }),
        ...(runtime === undefined ? {} : { MACHINED_RUNTIME_DIRECTORY: runtime }),
        [PARENT_VARIABLE]: parentVariable(SIGTERM),
      },
      detached: true,
    });
    this.#group = new ChildGroup(this.child);
  }

  /** Ends the child and what it has started. */
  stop(): void {
    this.#group.stop();
  }
}

/** The result of a verb. */
interface VerbResult {
  readonly status: number;
  readonly output: string;
  readonly error: string;
}

/** Runs a verb to its end. One that exceeds the deadline or the limit of output is ended, and its error says so. */
export async function runVerb(run: VerbRun, deadlineMs: number, mostBytes: number): Promise<VerbResult> {
  let reason = "";
  const end = (why: string) => {
    reason ||= why;
    run.stop();
  };
  const timer = setTimeout(() => end(`It took more than ${deadlineMs / 1000} s, and was ended`), deadlineMs);
  try {
    const [output, error] = await Promise.all([
      collectedText(run.child.stdout, mostBytes, () =>
        end(`Its output has more than ${mostBytes} bytes: name fewer machines`),
      ),
      collectedText(run.child.stderr, MOST_ERROR_BYTES),
    ]);
    const status = await run.child.exited;
    return reason === "" ? { status, output, error } : { status: status || 1, output: "", error: reason };
  } finally {
    clearTimeout(timer);
  }
}
