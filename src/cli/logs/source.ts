// Where the log of a machine comes from: the journal inside, the journal in the tree of its image, or what the host's journal
// has of its unit or its supervisor. The best one that has entries is taken.
//
// A journal inside a running machine is read by the machine's own journalctl, as `exec` runs it: no file that the machine
// writes is parsed on the host, and what comes back is text. That serves virtual machines with an SSH address as well.
import { isUnitName, unitNameEscape } from "../../base/names.ts";
import { selfCommand } from "../../kernel/process/spawn.ts";
import { type MachineFacts, machineFacts } from "../machine/details.ts";
import { Failure, meansNoMachine } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { findImageJournal } from "./image-journal.ts";
import type { Invocation } from "./invocation.ts";

const HOST = ".host";
/** "New machine": systemd's catalog, SD_MESSAGE_MACHINE_START. */
const MACHINE_START_ID = "24d8d4452573402496068381a6312df2";
/** A supervisor is started shortly before it registers its machine. */
const SUPERVISOR_LEAD_USEC = 60_000_000n;

export interface Source {
  /** What tells it from others. */
  readonly key: string;
  /** What is shown, for people. */
  readonly says: string;
  /** Whether entries of the machine's own units are in it. */
  readonly hasUnits: boolean;
  /** Whether journalctl ends with the machine: then it is started anew with it. */
  readonly endsWithMachine: boolean;
  /** Whether new entries can come. */
  readonly canFollow: boolean;
  readonly facts: MachineFacts | null;
  /** How journalctl is started with these arguments. */
  readonly start: (args: readonly string[]) => Invocation;
}

/** The facts of a machine that runs; null where none has the name. */
export async function factsOf(session: Session, name: string): Promise<MachineFacts | null> {
  try {
    return await machineFacts(session, name);
  } catch (error) {
    if (meansNoMachine(error)) return null;
    throw error;
  }
}

const PROBE = ["--quiet", "--no-pager", "--lines=1", "--output=json", "--output-fields=_BOOT_ID"];

/** Our own `exec`, with nothing of this terminal. */
function execInvocation(session: Session, machine: string, options: readonly string[], command: readonly string[]) {
  const scope = session.settings.scope === "user" ? ["--user"] : [];
  return selfCommand("machinectl", ["exec", ...scope, "--stdin=no", ...options, machine, ...command]);
}

const PROBE_LIMIT = "--timeout=10s";
const SPACE = 0x20;

async function guestHasEntries(session: Session, { name }: MachineFacts): Promise<boolean> {
  const { command, argv0 } = execInvocation(session, name, [PROBE_LIMIT], ["journalctl", ...PROBE]);
  const child = Bun.spawn(command, { argv0, stdio: ["ignore", "pipe", "ignore"], env: process.env });
  // The first byte tells. What more a machine may have to say is not waited for, nor kept.
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

async function runningSource(session: Session, facts: MachineFacts): Promise<Source | null> {
  const { name, unit, supervisorPid, sinceUsec } = facts;
  if (name === HOST) return { ...hostSource(facts, "the journal of this host", []), hasUnits: true };
  if (canEnter(session) && (await guestHasEntries(session, facts))) return guestSource(session, facts);
  const matches = unit === "" ? [] : unitMatches(session, [unit]);
  if (matches.length > 0 && (await hostHasEntries(session, matches))) {
    return hostSource(
      facts,
      `the console of machine '${name}': ${quoted([unit])} in the journal of this host`,
      matches,
    );
  }
  if (supervisorPid <= 0) return null;
  const since = Number(sinceUsec - SUPERVISOR_LEAD_USEC) / 1e6;
  const ofSupervisor = ["--boot", `--since=@${since.toFixed(6)}`, `_PID=${supervisorPid}`];
  if (!(await hostHasEntries(session, ofSupervisor))) return null;
  return hostSource(facts, `what the supervisor of machine '${name}' wrote (process ${supervisorPid})`, [
    `_PID=${supervisorPid}`,
    "--boot",
  ]);
}

/** Reading inside a machine takes root; users see what journalctl shows them of the host's journal. */
function canEnter({ ports }: Session): boolean {
  return ports.euid === 0;
}

/** The units that a machine of that name had, as the daemon noted them, and those that its images run in. */
async function formerUnits(session: Session, name: string): Promise<string[]> {
  const escaped = unitNameEscape(name);
  const usual = [`systemd-nspawn@${escaped}.service`, `systemd-vmspawn@${escaped}.service`, `machine-${escaped}.scope`];
  const fields = ["--output=json", "--output-fields=MACHINE_UNIT", "--lines=1000", "--quiet", "--no-pager"];
  // Anybody can write such an entry: only the daemon's user is believed.
  const matches = [`MESSAGE_ID=${MACHINE_START_ID}`, `NAME=${name}`, `_UID=${daemonUid(session)}`];
  const text = (await session.ports.run({ argv: ["journalctl", ...fields, ...matches] })) ?? "";
  const lines = text.split("\n").filter((line) => line !== "");
  const noted = lines.map((line) => (JSON.parse(line) as Record<string, unknown>)["MACHINE_UNIT"]);
  return [
    ...new Set([...usual, ...noted.filter((unit): unit is string => typeof unit === "string" && isUnitName(unit))]),
  ];
}

function daemonUid({ settings, ports }: Session): number {
  return settings.scope === "user" ? ports.euid : 0;
}

async function endedSource(session: Session, name: string): Promise<Source | null> {
  const found = canEnter(session) ? await findImageJournal(session, name) : null;
  if (found !== null) {
    return {
      key: `image ${name}`,
      says: `the journal in ${found.place}; machine '${name}' does not run`,
      hasUnits: true,
      endsWithMachine: false,
      canFollow: false,
      facts: null,
      start: found.start,
    };
  }
  const units = await formerUnits(session, name);
  const known = await Promise.all(units.map((unit) => hostHasEntries(session, unitMatches(session, [unit]))));
  const shown = units.filter((_, index) => known[index]);
  if (shown.length === 0) return null;
  const says = `the console of machine '${name}', which does not run: ${quoted(shown)} in the journal of this host`;
  return hostSource(null, says, unitMatches(session, shown));
}

/** Looks for the best source; null where there is nothing of that name. */
export async function findSource(session: Session, name: string): Promise<Source | null> {
  const facts = await factsOf(session, name);
  return facts === null ? endedSource(session, name) : runningSource(session, facts);
}

/** Says why nothing can be shown. */
export async function nothingToShow(session: Session, name: string): Promise<Failure> {
  const hint =
    session.ports.euid === 0
      ? undefined
      : "Root can read the journal inside; users see the journal of this host if they are in the group systemd-journal or adm.";
  const facts = await factsOf(session, name);
  if (facts === null)
    return new Failure(
      `Nothing is known of machine '${name}': it does not run, no image of that name has a journal, and the journal of this host has nothing of it`,
      { hint },
    );
  const inside = canEnter(session) ? "it has no journal inside" : "its journal inside can be read by root alone";
  return new Failure(
    `Nothing to show of machine '${name}': ${inside}, and the journal of this host that you may read has nothing of its unit '${facts.unit}'`,
    { hint },
  );
}
