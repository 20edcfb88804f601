// Finds the source of a machine's log: the journal inside the machine, the journal in the tree of its image, or the
// entries of its unit or its supervisor in the host's journal. The first one that has entries is used.
//
// The journal inside a running machine is read by the machine's own journalctl, run by `exec`: so the host parses no
// file that the machine writes, only text. This also works for virtual machines with an SSH address.

import { isUnitName, unitNameEscape } from "../../base/names.ts";
import { plainEnvironment } from "../../base/plain-environment.ts";
import { readLinkAt } from "../../kernel/file/fd.ts";
import { sameNamespace } from "../../kernel/process/namespace.ts";
import { selfCommand } from "../../kernel/process/spawn.ts";
import { entriesIn } from "../local/journal-entries.ts";
import { type MachineFacts, machineFacts } from "../machine/details.ts";
import { Failure, meansNoMachine } from "../session/failure.ts";
import { inParallel } from "../session/in-parallel.ts";
import type { Session } from "../session/session.ts";
import { findImageJournal } from "./image-journal.ts";
import type { Invocation } from "./invocation.ts";

const HOST = ".host";
/** The id of the journal message about a new machine (SD_MESSAGE_MACHINE_START of sd-messages(3)). */
const MACHINE_START_ID = "24d8d4452573402496068381a6312df2";
/** How long before the registration of its machine a supervisor may have been started. */
const SUPERVISOR_LEAD_USEC = 60_000_000n;

/** A source of log entries. */
export interface Source {
  /** Identifies the source. */
  readonly key: string;
  /** Describes the source in messages. */
  readonly says: string;
  /** Whether it has entries of units inside the machine. */
  readonly hasUnits: boolean;
  /** Whether journalctl runs in the machine and ends with it, so that it must be started again. */
  readonly endsWithMachine: boolean;
  /** Whether new entries can be added to it. */
  readonly canFollow: boolean;
  /** The time of the first entry that can be the machine's, in µs since 1970; null if all are. */
  readonly firstUsec: number | null;
  /** The facts about the machine; null if it does not run. */
  readonly facts: MachineFacts | null;
  /** Returns the command line of journalctl with further arguments. */
  readonly start: (args: readonly string[]) => Invocation;
}

/** Returns the facts about a running machine; null if no machine has the name. */
export async function factsOf(session: Session, name: string): Promise<MachineFacts | null> {
  try {
    return await machineFacts(session, name);
  } catch (error) {
    if (meansNoMachine(error)) return null;
    throw error;
  }
}

/** How many processes of journalctl look for entries at the same time: a machine may have had a unit for each start. */
const PROBES_AT_ONCE = 8;
/** Arguments of journalctl that find out whether there are entries. */
const PROBE = ["--quiet", "--no-pager", "--lines=1", "--output=json", "--output-fields=_BOOT_ID"];

/** Returns a command line of `machinectl exec` for a command in the machine, without standard input. */
function execInvocation(session: Session, machine: string, options: readonly string[], command: readonly string[]) {
  const scope = session.settings.scope === "user" ? ["--user"] : [];
  return selfCommand("machinectl", ["exec", ...scope, "--stdin=no", ...options, machine, ...command]);
}

const PROBE_LIMIT = "--timeout=10s";
const SPACE = 0x20;

/** Whether the journal inside the machine has entries. */
async function guestHasEntries(session: Session, { name }: MachineFacts): Promise<boolean> {
  const { command, argv0 } = execInvocation(session, name, [PROBE_LIMIT], ["journalctl", ...PROBE]);
  const child = Bun.spawn(command, { argv0, stdio: ["ignore", "pipe", "ignore"], env: plainEnvironment() });
  // The first printable byte decides. The rest of the output, which the machine controls, is not read.
  for await (const chunk of child.stdout) {
    if (!chunk.some((byte) => byte > SPACE)) continue;
    child.kill("SIGTERM");
    await child.exited;
    return true;
  }
  await child.exited;
  return false;
}

function guestSource(session: Session, facts: MachineFacts): Source {
  const environment = ["--setenv=SYSTEMD_COLORS=0", "--setenv=SYSTEMD_URLIFY=0"];
  return {
    key: `guest ${facts.name}`,
    says: `the journal inside machine '${facts.name}'`,
    hasUnits: true,
    endsWithMachine: true,
    canFollow: true,
    firstUsec: null,
    facts,
    start: (args) => ({
      ...execInvocation(session, facts.name, environment, ["journalctl", ...args]),
      isForeign: true,
    }),
  };
}

function hostSource(facts: MachineFacts | null, says: string, matches: readonly string[]): Source {
  return {
    key: matches.join(" "),
    says,
    hasUnits: false,
    endsWithMachine: false,
    canFollow: true,
    firstUsec: null,
    facts,
    start: (args) => ({ command: ["journalctl", ...args, ...matches] }),
  };
}

async function hostHasEntries(session: Session, matches: readonly string[]): Promise<boolean> {
  const text = await session.ports.run({ argv: ["journalctl", ...PROBE, ...matches] });
  return text !== null && text.trim() !== "";
}

function unitMatches({ settings }: Session, units: readonly string[]): string[] {
  const option = settings.scope === "user" ? "--user-unit" : "--unit";
  return units.map((unit) => `${option}=${unit}`);
}

function quoted(units: readonly string[]): string {
  return `unit${units.length === 1 ? "" : "s"} ${units.map((unit) => `'${unit}'`).join(", ")}`;
}

/** Returns the best source for a running machine; null if none has entries. */
async function runningSource(session: Session, facts: MachineFacts): Promise<Source | null> {
  const { name, unit, supervisorPid, sinceUsec } = facts;
  if (name === HOST) return { ...hostSource(facts, "the journal of this host", []), hasUnits: true };
  if (canEnter(session) && hasFilesOfItsOwn(facts) && (await guestHasEntries(session, facts)))
    return guestSource(session, facts);
  const matches = unit === "" ? [] : unitMatches(session, [unit]);
  if (matches.length > 0 && (await hostHasEntries(session, matches))) {
    return hostSource(
      facts,
      `the console of machine '${name}': ${quoted([unit])} in the journal of this host`,
      matches,
    );
  }
  if (supervisorPid <= 0) return null;
  // Before that, and in other boots, the number was another process's.
  const firstUsec = Number(sinceUsec - SUPERVISOR_LEAD_USEC);
  const ofSupervisor = [`_PID=${supervisorPid}`, "--boot"];
  if (!(await hostHasEntries(session, [sinceOption(firstUsec), ...ofSupervisor]))) return null;
  const says = `what the supervisor of machine '${name}' wrote (process ${supervisorPid})`;
  return { ...hostSource(facts, says, ofSupervisor), firstUsec };
}

/** Returns the option of journalctl for entries from a time on, in µs since 1970. */
export function sinceOption(usec: number): string {
  return `--since=@${(usec / 1e6).toFixed(6)}`;
}

/** Whether the caller may read files inside machines, which only root may; other users use the host's journal. */
function canEnter({ ports }: Session): boolean {
  return ports.euid === 0;
}

/**
 * Whether a journal inside can be the machine's. A leader that shares the files of the host, as a program that was
 * registered, has the host's journal. The leader of a virtual machine does not matter: the machine is entered over ssh.
 */
function hasFilesOfItsOwn({ class: kind, leaderPid }: MachineFacts): boolean {
  if (kind === "vm") return true;
  try {
    return !sameNamespace(leaderPid, "mnt") || readLinkAt(null, `/proc/${leaderPid}/root`) !== "/";
  } catch {
    return true; // the leader has ended: the journal inside is asked for, and the error says so
  }
}

/** Returns the units in which machines of that name usually run, and those that the daemon has logged for them. */
async function formerUnits(session: Session, name: string): Promise<string[]> {
  const escaped = unitNameEscape(name);
  // `machinectl start` does not escape the instance; others may.
  const services = [name, escaped].flatMap((instance) =>
    ["nspawn", "vmspawn"].map((runner) => `systemd-${runner}@${instance}.service`),
  );
  const usual = [...services, `machine-${escaped}.scope`];
  const fields = ["--output=json", "--output-fields=MACHINE_UNIT", "--lines=1000", "--quiet", "--no-pager"];
  // All users can write such entries; only those of the daemon's user are trusted.
  const matches = [`MESSAGE_ID=${MACHINE_START_ID}`, `NAME=${name}`, `_UID=${daemonUid(session)}`];
  const text = (await session.ports.run({ argv: ["journalctl", ...fields, ...matches] })) ?? "";
  const noted = entriesIn(text).map((entry) => entry["MACHINE_UNIT"]);
  return [
    ...new Set([...usual, ...noted.filter((unit): unit is string => typeof unit === "string" && isUnitName(unit))]),
  ];
}

function daemonUid({ settings, ports }: Session): number {
  return settings.scope === "user" ? ports.euid : 0;
}

/** Returns the best source for a machine that does not run; null if none has entries. */
async function endedSource(session: Session, name: string): Promise<Source | null> {
  const found = canEnter(session) ? await findImageJournal(session, name) : null;
  if (found !== null) {
    return {
      key: `image ${name}`,
      says: `the journal in ${found.place}; machine '${name}' does not run`,
      hasUnits: true,
      endsWithMachine: false,
      canFollow: false,
      firstUsec: null,
      facts: null,
      start: found.start,
    };
  }
  const units = await formerUnits(session, name);
  const known = await inParallel(units, PROBES_AT_ONCE, (unit) =>
    hostHasEntries(session, unitMatches(session, [unit])),
  );
  const shown = units.filter((_, index) => known[index]);
  if (shown.length === 0) return null;
  const says = `the console of machine '${name}', which does not run: ${quoted(shown)} in the journal of this host`;
  return hostSource(null, says, unitMatches(session, shown));
}

/** Returns the best source for a machine; null if none has entries. */
export async function findSource(session: Session, name: string): Promise<Source | null> {
  const facts = await factsOf(session, name);
  return facts === null ? endedSource(session, name) : runningSource(session, facts);
}

/** Returns the Failure for a machine without a source. */
export async function nothingToShow(session: Session, name: string): Promise<Failure> {
  const hint =
    session.ports.euid === 0
      ? undefined
      : "Root can read the journal inside; users see the journal of this host if they are in the group systemd-journal or adm.";
  const facts = await factsOf(session, name);
  if (facts === null)
    return new Failure(
      `There is no log of machine '${name}': it does not run, no image of that name has a journal, and the journal of this host has no entries of it`,
      { hint },
    );
  const inside = canEnter(session) ? "it has no journal inside" : "only root can read the journal inside it";
  return new Failure(
    `There is no log of machine '${name}': ${inside}, and the part of this host's journal that you may read has no entries of its unit '${facts.unit}'`,
    { hint },
  );
}
