// machined-exec-command: the child process that run.ts starts for a command. It prepares the arguments of
// machined-enter and executes that program. With the argument `account` it reads the machine's user database
// (account-reader.ts).

import { readFileSync, writeSync } from "node:fs";
import { errnoNameOf } from "../base/error.ts";
import { Fd } from "../kernel/file/fd.ts";
import { PidRef } from "../kernel/process/pidref.ts";
import { printError } from "../kernel/terminal/print.ts";
import type { AccountRequest } from "./account.ts";
import { READER_FDS, READER_WORD, reportAccount } from "./account-reader.ts";
import { openLeader } from "./ended.ts";
import type { EnterRequest } from "./enter.ts";
import { programFile } from "./program-file.ts";
import { becomeCommand, COMMAND_FDS, type CommandWords } from "./run.ts";
import { receiveStreams } from "./streams.ts";

/** Exit status where the command could not be started. */
const NOT_RUN = 125;

function inheritedWords<Words>(number: number): Words {
  using words = Fd.inherited(number);
  return JSON.parse(readFileSync(words.number, "utf8"));
}

/** Returns the machine's leader, whose pidfd is inherited. Throws `ESRCH` where the machine has ended meanwhile. */
function inheritedLeader(number: number, machine: string): PidRef {
  return openLeader(machine, () => PidRef.fromPidFd(Fd.inherited(number)));
}

/**
 * Returns the request of inherited words; receives the command's standard streams first where they are still to come.
 */
function requestOf(words: CommandWords, leader: PidRef): EnterRequest {
  const { left, sinceUsec: _since, ...rest } = words;
  if (left === null) return { ...rest, leader };
  using socket = Fd.inherited(COMMAND_FDS.connection);
  return { ...rest, leader, terminal: receiveStreams({ socket, bytes: left }, rest.terminal) };
}

/** Runs the program; returns an exit code only where the command could not be started. */
export async function main(args: string[]): Promise<number> {
  if (args.length === 1 && args[0] === READER_WORD && process.ppid !== 1) {
    const wanted = inheritedWords<Omit<AccountRequest, "leader">>(READER_FDS.wanted);
    reportAccount(() => ({ ...wanted, leader: inheritedLeader(READER_FDS.leader, wanted.machine) }));
    return 0;
  }
  if (args.length > 0 || process.ppid === 1) {
    printError("machined-exec-command: started by machined-exec and machinectl, not by hand\n");
    return 1;
  }
  const words = inheritedWords<CommandWords>(COMMAND_FDS.request);
  // Close-on-exec: executing machined-enter closes them, and the parent reads the end of file as success.
  using failure = Fd.inherited(COMMAND_FDS.failure);
  using life = Fd.inherited(COMMAND_FDS.life);
  try {
    const request = requestOf(words, inheritedLeader(COMMAND_FDS.leader, words.machine));
    return await becomeCommand(request, programFile(), BigInt(words.sinceUsec), life);
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    writeSync(failure.number, (error as Error).message);
    return NOT_RUN;
  }
}
