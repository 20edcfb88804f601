// `machinectl copy-to` and `copy-from`: files between this host and a machine.
import { basename, dirname, join, resolve } from "node:path";
import { pathOf } from "../../kernel/file/attributes.ts";
import { openPath } from "../../kernel/file/fd.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { failed } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

/** A copy has no time limit: its duration depends on the files. */
const NO_TIMEOUT = { timeoutMs: 0x7fff_ffff };
/** Existing files are replaced. */
const REPLACE = 1n;

/** The verb `copy-to`: the path in the machine is that on the host unless one is given. */
export function copyTo(session: Session, [machine = "", path = "", inMachine = path]: readonly string[]) {
  const from = hostPath(path);
  const attempted = `Failed to copy '${from}' to '${inMachine}' in machine '${machine}'`;
  return copy(session, attempted, "CopyToMachine", { name: machine, source: from, destination: inMachine });
}

/** The verb `copy-from`. */
export function copyFrom(session: Session, [machine = "", path = "", onHost = path]: readonly string[]) {
  const to = hostPath(onHost);
  const attempted = `Failed to copy '${path}' in machine '${machine}' to '${to}'`;
  return copy(session, attempted, "CopyFromMachine", { name: machine, source: path, destination: to });
}

type Copy = "CopyToMachine" | "CopyFromMachine";

interface CopyPaths {
  readonly name: string;
  readonly source: string;
  readonly destination: string;
}

async function copy(session: Session, attempted: string, member: Copy, args: CopyPaths): Promise<number> {
  await startPolkitAgent(session);
  try {
    if (session.settings.force) {
      await session.manager(`${member}WithFlags` as const, { ...args, flags: REPLACE }, NO_TIMEOUT);
    } else await session.manager(member, args, NO_TIMEOUT);
  } catch (error) {
    throw failed(attempted, error);
  }
  return 0;
}

/** Makes a path of this host absolute. The manager refuses `..`, so it is resolved here, through links. */
function hostPath(path: string): string {
  const absolute = path.startsWith("/") ? path : `${process.cwd()}/${path}`;
  if (!/\/(\.{0,2})(\/|$)/.test(absolute.replace(/\/$/, ""))) return absolute;
  const whole = absolute.replace(/\/+$/, "");
  const name = basename(whole);
  if (name === "." || name === "..") return real(whole);
  return join(real(dirname(whole)), name);
}

/** Resolves a path by opening it, because JavaScript resolves `..` by the text alone. */
function real(path: string): string {
  try {
    using place = openPath(path, "path");
    return pathOf(place);
  } catch {
    return resolve(path);
  }
}
