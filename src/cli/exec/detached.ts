// `machinectl exec --detach --json=`: prints the process and the cgroup of the command as an object.
import type { RunningCommand } from "../../exec/run.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { openPipe, readToEnd } from "../../kernel/process/pipe.ts";
import { formatJson, type JsonMode } from "../format/json.ts";
import type { Session } from "../session/session.ts";

/** The line of machined-enter is a number and a path. */
const LIMIT_BYTES = 8192;

/**
 * Calls `start` to start the command with a pipe as its standard output, which `start` closes, and prints the object
 * when the command runs. Returns the exit status of machined-enter.
 */
export async function printDetached(
  { output, terminal }: Session,
  machine: string,
  mode: JsonMode,
  start: (stdout: Fd) => RunningCommand,
): Promise<number> {
  const [end, stdout] = openPipe();
  const text = readToEnd(end, LIMIT_BYTES);
  const status = await start(stdout).exited;
  const [, pid, cgroup] = /^(\d+) (.*)\n$/.exec(String(await text)) ?? [];
  if (pid === undefined || cgroup === undefined) return status;
  const object = { machine, pid: Number(pid), cgroup: cgroup === "-" ? null : cgroup };
  output.write(formatJson(object, mode, terminal.paint));
  return status;
}
