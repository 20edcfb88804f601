// How the installation runs programs of this host, such as systemctl(1).

import { plainEnvironment } from "../base/plain-environment.ts";
import { programPath } from "../kernel/process/program-path.ts";

/** How a command ended. */
interface Ended {
  readonly code: number;
  /** Standard output alone, which has the result: warnings go to standard error, also if the command succeeds. */
  readonly stdout: string;
  /** Standard output and standard error, for messages. */
  readonly output: string;
}

/** Runs a command to its end. A parameter, because tests have no systemd. */
export type Run = (...command: string[]) => Ended;

/** Runs a command on this host; a program that is not installed returns 127. */
export const run: Run = (...command) => {
  const [name = ""] = command;
  if (programPath(name) === null) return { code: 127, stdout: "", output: `${name} is not installed` };
  const child = Bun.spawnSync(command, {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...plainEnvironment(), SYSTEMD_PAGER: "" },
  });
  const stdout = child.stdout.toString().trim();
  return { code: child.exitCode, stdout, output: `${stdout}\n${child.stderr}`.trim() };
};
