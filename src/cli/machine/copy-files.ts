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
  return copy(session, "CopyToMachine", machine, hostPath(path), inMachine);
}

/** The verb `copy-from`. */
export function copyFrom(session: Session, [machine = "", path = "", onHost = path]: readonly string[]) {
  return copy(session, "CopyFromMachine", machine, path, hostPath(onHost));
}

type Copy = "CopyToMachine" | "CopyFromMachine";

async function copy(session: Session, member: Copy, name: string, source: string, destination: string) {
  await startPolkitAgent(session);
  const args = { name, source, destination };
  try {
    if (session.settings.force) {
      await session.manager(`${member}WithFlags` as const, { ...args, flags: REPLACE }, NO_TIMEOUT);
    } else await session.manager(member, args, NO_TIMEOUT);
  } catch (error) {
    throw failed("Failed to copy", error);
  }
  return 0;
}

/** Relative to where we are. The manager takes no `..`, which is resolved here, where the links it may go through are. */
function hostPath(path: string): string {
  const absolute = path.startsWith("/") ? path : `${process.cwd()}/${path}`;
  if (!/\/(\.{0,2})(\/|$)/.test(absolute.replace(/\/$/, ""))) return absolute;
  const whole = absolute.replace(/\/+$/, "");
  const name = basename(whole);
  if (name === "." || name === "..") return real(whole);
  return join(real(dirname(whole)), name);
}

/** The kernel's idea of where a path leads: in JavaScript `..` would be resolved by its text. */
function real(path: string): string {
  try {
    using place = openPath(path, "path");
    return pathOf(place);
  } catch {
    return resolve(path);
  }
}
