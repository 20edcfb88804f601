// Which pager shows the output, and how safe it must be (machinectl(1), "Environment": $SYSTEMD_PAGER,
// $SYSTEMD_PAGERSECURE and the others).
//
// A user who runs the client through sudo must not get a root shell from the pager: unless $SYSTEMD_PAGERSECURE was
// set, the pager of the environment is ignored, and less runs in its secure mode when the user was changed.

import { type Environment, parseBoolean, type Terminal } from "../format/terminal.ts";
import type { PagerPipe } from "./output.ts";
import type { Command, Ports } from "./ports.ts";

const DEFAULT_OPTIONS = "FRSXMK";
/** The first is what Debian's alternatives call the pager. */
const PAGERS = ["pager", "less", "more"] as const;

/** The words of the pager the environment names; undefined when it names none, empty when it wants none. */
function namedPager(env: Environment): string[] | undefined {
  const text = env["SYSTEMD_PAGER"] ?? env["PAGER"];
  const words = text?.split(/\s+/).filter((word) => word !== "");
  return words?.length === 1 && words[0] === "cat" ? [] : words;
}

/** The user who owns the session this process is in, by its control group; null outside of sessions. */
export function ownerUid(cgroups: string | null): number | null {
  const match = /\/user-(\d+)\.slice(?:\/|$)/m.exec(cgroups ?? "");
  return match === null ? null : Number(match[1]);
}

/**
 * The pagers to try, in order, for an environment. `isOwner` says whether the process runs as the user who owns the
 * session; it counts only where $SYSTEMD_PAGERSECURE does not decide.
 */
export function pagerCandidates(env: Environment, options: { isOwner: boolean; utf8: boolean }): Command[] {
  const named = namedPager(env);
  if (named !== undefined && named.length === 0) return [];
  const wish = env["SYSTEMD_PAGERSECURE"];
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

type PagerPorts = Pick<Ports, "env" | "euid" | "readText" | "startPager">;

/** Starts the pager for the output of `terminal`; null where none is wanted or installed. */
export async function openPager(ports: PagerPorts, terminal: Terminal): Promise<PagerPipe | null> {
  const isOwner = ownerUid(await ports.readText("/proc/self/cgroup")) === ports.euid;
  const candidates = pagerCandidates(ports.env, { isOwner, utf8: terminal.utf8 });
  if (candidates[0] === undefined) return null;
  const pipe = await ports.startPager(candidates);
  // Without K, less takes ^C as a command of its own; it must not end us then.
  if (pipe !== null && candidates[0].env?.["LESS"]?.includes("K") !== true) process.on("SIGINT", () => {});
  return pipe;
}
