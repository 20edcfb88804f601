// machined-exec-command: the child in which a command begins (run.ts). It reads from the machine what machined-enter must be
// told, and becomes that program.
import { readFileSync, writeSync } from "node:fs";
import { errnoNameOf } from "../base/error.ts";
import { Fd } from "../kernel/file/fd.ts";
import { PidRef } from "../kernel/process/pidref.ts";
import type { EnterRequest } from "./enter.ts";
import { becomeCommand, COMMAND_FDS, type CommandWords } from "./run.ts";
import { receiveStreams } from "./streams.ts";

/** Exit status of a command that was not run. */
const NOT_RUN = 125;

function inheritedWords(): CommandWords {
  using words = Fd.inherited(COMMAND_FDS.request);
  return JSON.parse(readFileSync(words.number, "utf8"));
}

/** The request of what was inherited, with our standard streams as its own. */
function requestOf(words: CommandWords, leader: PidRef): EnterRequest {
  const { left, ...rest } = words;
  if (left === null) return { ...rest, leader };
  using socket = Fd.inherited(COMMAND_FDS.connection);
  return { ...rest, leader, terminal: receiveStreams({ socket, bytes: left }, rest.terminal) };
}

/** Runs the program; returns only where the command was not started: its exit code. */
export async function main(args: string[]): Promise<number> {
  if (args.length > 0 || process.ppid === 1) {
    process.stderr.write("machined-exec-command: started by machined-exec and machinectl, not by hand\n");
    return 1;
  }
  const leader = PidRef.fromPidFd(Fd.inherited(COMMAND_FDS.leader));
  const words = inheritedWords();
  // Executing the command closes it, and that is how nothing is told.
  using failure = Fd.inherited(COMMAND_FDS.failure);
  try {
    return becomeCommand(requestOf(words, leader));
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    writeSync(failure.number, (error as Error).message);
    return NOT_RUN;
  }
}
