// Looks up the account of a command with a time limit: a child process reads the machine's user database, because a
// file system of the machine may block for ever.
import { ErrnoError, errnoNameOf } from "../base/error.ts";
import { LONGEST_TIMER_MS } from "../base/longest-timer.ts";
import type { Fd } from "../kernel/file/fd.ts";
import { sealedFile } from "../kernel/file/memory-file.ts";
import type { PidRef } from "../kernel/process/pidref.ts";
import { spawnSelf } from "../kernel/process/spawn.ts";
import { type Account, type AccountRequest, accountAtOnce, accountOf } from "./account.ts";
import { whileRunning } from "./ended.ts";

/**
 * Descriptors of the reading process: pipe for the result, pidfd of the leader, file with the request, and `life`,
 * which it only holds.
 */
export const READER_FDS = { result: 3, leader: 4, wanted: 5, life: 6 } as const;
/** The argument by which machined-exec-command becomes the reading process. */
export const READER_WORD = "account";
const SIGKILL = 9;

type Result = { readonly account: Account } | { readonly errno: string; readonly message: string };

function pidfdOf(leader: PidRef): Fd {
  if (leader.pidfd !== null) return leader.pidfd;
  throw new ErrnoError("EOPNOTSUPP", "This kernel has no pidfds");
}

/**
 * Returns the account of a request; null where reading took longer than `limitMs` (null: no limit). A reading process
 * that blocks is killed without waiting for its end: it holds `life` open until the file system lets it end. Throws the
 * errors of `accountOf()`.
 */
export async function accountInTime(
  request: AccountRequest,
  limitMs: number | null,
  life: Fd | null,
): Promise<Account | null> {
  const { leader, machine, ownerUid, user } = request;
  const known = accountAtOnce(request);
  if (known !== null) return known;
  using wanted = sealedFile("machined-exec-account", Buffer.from(JSON.stringify({ machine, ownerUid, user })));
  const child = spawnSelf("machined-exec-command", [READER_WORD], {
    fds: {
      [READER_FDS.leader]: pidfdOf(leader),
      [READER_FDS.wanted]: wanted,
      ...(life === null ? {} : { [READER_FDS.life]: life }),
    },
    stdout: "ignore",
    stderr: "ignore",
    result: true,
    signalWithParent: SIGKILL,
  });
  child.pidRef?.[Symbol.dispose]();
  const late = Promise.withResolvers<null>();
  const timer =
    limitMs === null ? undefined : setTimeout(() => late.resolve(null), Math.min(limitMs, LONGEST_TIMER_MS));
  try {
    const text = await Promise.race([child.result, late.promise]);
    return text === null ? null : accountIn(text, machine);
  } finally {
    clearTimeout(timer);
    child.kill(SIGKILL);
  }
}

function accountIn(text: string, machine: string): Account {
  if (text === "") throw new ErrnoError("EIO", `The user database of machine '${machine}' could not be read`);
  const result = JSON.parse(text) as Result;
  if ("account" in result) return result.account;
  throw new ErrnoError(result.errno, result.message);
}

/**
 * The work of the reading process: looks up the account and writes the result for `accountInTime()`. `request` throws
 * an error where the machine has ended.
 */
export function reportAccount(request: () => AccountRequest): void {
  let result: Result;
  try {
    const wanted = request();
    result = { account: whileRunning(wanted.machine, wanted.leader, () => accountOf(wanted)) };
  } catch (error) {
    result = { errno: errnoNameOf(error) ?? "EIO", message: (error as Error).message };
  }
  // Only this process needs the module; all that run a command would have to load it.
  process.getBuiltinModule("node:fs").writeSync(READER_FDS.result, JSON.stringify(result));
}
