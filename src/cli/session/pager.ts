// Chooses and starts the pager (machinectl(1), "Environment": $SYSTEMD_PAGER, $SYSTEMD_PAGERSECURE, $SYSTEMD_LESS …).
//
// A user who runs the client through sudo must not get a root shell from the pager. So without $SYSTEMD_PAGERSECURE, a
// pager named by the environment is ignored, and less runs in its secure mode if the effective user differs from the
// owner of the session.

import { type Environment, parseBoolean, type Terminal } from "../format/terminal.ts";
import type { ReadyPager } from "./output.ts";
import type { Command, Ports } from "./ports.ts";

const DEFAULT_OPTIONS = "FRSXMK";
/** The pagers to try. `pager` is a link of Debian's alternatives system. */
const PAGERS = ["pager", "less", "more"] as const;

/**
 * Returns the command line of the environment's pager; undefined if it names none, empty for no pager ("" or `cat`).
 */
function namedPager(env: Environment): string[] | undefined {
  const text = env["SYSTEMD_PAGER"] ?? env["PAGER"];
  const words = text?.split(/\s+/).filter((word) => word !== "");
  return words?.length === 1 && words[0] === "cat" ? [] : words;
}

/** Returns $SYSTEMD_PAGERSECURE. Without it, a pager that the environment names is not used. */
function secureWish(env: Environment): string | undefined {
  return env["SYSTEMD_PAGERSECURE"];
}

/** Returns the user id in the text of /proc/self/cgroup (`/user.slice/user-1000.slice/…`); null outside of sessions. */
export function ownerUid(cgroups: string | null): number | null {
  const match = /\/user-(\d+)\.slice(?:\/|$)/m.exec(cgroups ?? "");
  return match === null ? null : Number(match[1]);
}

/**
 * Returns the commands of the pagers to try, in order; empty for no pager. `isOwner` says whether the process runs as
 * the user who owns the session; it decides about the secure mode unless $SYSTEMD_PAGERSECURE is set.
 */
export function pagerCandidates(env: Environment, options: { isOwner: boolean; utf8: boolean }): Command[] {
  const named = namedPager(env);
  if (named !== undefined && named.length === 0) return [];
  const wish = secureWish(env);
  const secure = wish === undefined ? !options.isOwner : (parseBoolean(wish) ?? true);
  const charset = env["SYSTEMD_LESSCHARSET"] ?? (options.utf8 ? "utf-8" : undefined);
  const pagerEnv = {
    LESS: env["SYSTEMD_LESS"] ?? DEFAULT_OPTIONS,
    ...(charset === undefined ? {} : { LESSCHARSET: charset }),
    LESSSECURE: secure ? "1" : undefined,
  };
  const [program, ...args] = wish === undefined ? [] : (named ?? []);
  const own: Command[] = program === undefined ? [] : [{ argv: [program, ...args], env: pagerEnv }];
  const usual = PAGERS.filter((name) => !secure || name === "less");
  return [...own, ...usual.map((name): Command => ({ argv: [name], env: pagerEnv }))];
}

type PagerPorts = Pick<Ports, "env" | "euid" | "readText" | "findPager">;

/**
 * Returns the pager, not yet started; null if the environment asks for none or none is installed. Errors start it if
 * $SYSTEMD_PAGER or $PAGER names it.
 */
export async function choosePager(ports: PagerPorts, terminal: Terminal): Promise<ReadyPager | null> {
  const isOwner = ownerUid(await ports.readText("/proc/self/cgroup")) === ports.euid;
  const candidates = pagerCandidates(ports.env, { isOwner, utf8: terminal.utf8 });
  if (candidates[0] === undefined) return null;
  const start = await ports.findPager(candidates);
  if (start === null) return null;
  // Without the option K, less handles ^C itself and continues; this process, which gets SIGINT as well, must not end
  // then.
  const handlesInterrupt = candidates[0].env?.["LESS"]?.includes("K") !== true;
  return {
    takesErrors: secureWish(ports.env) !== undefined && namedPager(ports.env) !== undefined,
    start: () => {
      if (handlesInterrupt) process.on("SIGINT", () => {});
      return start();
    },
  };
}
