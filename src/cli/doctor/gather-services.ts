// What the bus and the service manager say about our daemons and the units beside them. Nothing is started: a daemon that
// does not run is not called.
import { readFileSync, readlinkSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import { processCmdline } from "../../kernel/process/process-file.ts";
import { isBusFailure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { managerDirectory } from "../session/target.ts";
import { unitInterface, unitPath } from "../unit/processes.ts";
import type { BusFacts, DaemonFacts, OwnerFacts, PrivateSocketFacts, UnitFacts, UnitKey } from "./host-facts.ts";
import { NO_SYSTEMD, UNITS } from "./host-facts.ts";
import { LIMIT_MS, learn } from "./learn.ts";

const DRIVER = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
};
const UNIT = "org.freedesktop.systemd1.Unit";
/** A daemon that does not answer is a finding of its own, so it has less time than the fact. */
const PING_LIMIT_MS = LIMIT_MS / 2;

async function driver(session: Session, member: string, name?: string): Promise<unknown> {
  const args = name === undefined ? {} : { signature: "s", body: [name] };
  return (await session.callBus({ ...DRIVER, member, ...args, timeoutMs: LIMIT_MS }))[0];
}

/** Whether the process's executable was replaced; false where only root may look. */
function isReplaced(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`).endsWith(" (deleted)");
  } catch {
    return false;
  }
}

function programAt(called: string): OwnerFacts["program"] {
  let path = called;
  try {
    path = realpathSync(called);
  } catch {
    // It was removed since.
  }
  const name = basename(path);
  return name === "machined" ? "ours" : /^systemd-(machined|importd)$/.test(name) ? "stock" : "other";
}

/** Looked up by the path it was called with, which everybody may see. */
function ownerOf(pid: number): OwnerFacts {
  const path = processCmdline(pid)[0] ?? "";
  return { pid, path, program: programAt(path), isReplaced: isReplaced(pid) };
}

async function answers(session: Session, name: string): Promise<boolean> {
  const ping = { destination: name, path: "/", interface: "org.freedesktop.DBus.Peer", member: "Ping" };
  try {
    await session.callBus({ ...ping, noAutoStart: true, timeoutMs: PING_LIMIT_MS });
    return true;
  } catch (error) {
    return isBusFailure(error) && !isBusFailure(error, "org.freedesktop.DBus.Error.NoReply");
  }
}

async function runningOwner(session: Session, name: string): Promise<OwnerFacts | null> {
  try {
    const unique = String(await driver(session, "GetNameOwner", name));
    return ownerOf(Number(await driver(session, "GetConnectionUnixProcessID", unique)));
  } catch (error) {
    if (isBusFailure(error, "org.freedesktop.DBus.Error.NameHasNoOwner")) return null;
    throw error;
  }
}

function isSystemdHost(): boolean {
  return readFileSync("/proc/1/comm", "utf8").startsWith("systemd");
}

/** What is known about the daemon that has a name on the bus, and about its unit. */
export async function gatherDaemon(session: Session, name: string, key: UnitKey): Promise<DaemonFacts> {
  const unit = UNITS[key];
  const hasUnits = isSystemdHost();
  const property = async (key: string) =>
    hasUnits ? session.unitProperty(unitPath(unit), unitInterface(unit), key) : null;
  const [owner, names, mainPid, isHardened, commands] = await Promise.all([
    runningOwner(session, name),
    driver(session, "ListActivatableNames"),
    property("MainPID"),
    property("MemoryDenyWriteExecute"),
    property("ExecStart"),
  ]);
  const command = Array.isArray(commands) && Array.isArray(commands[0]) ? String(commands[0][0]) : null;
  return {
    owner,
    answers: owner === null || (await answers(session, name)),
    // Without systemd the bus's file for it starts nothing.
    isActivatable: hasUnits && Array.isArray(names) && names.includes(name),
    mainPid: hasUnits ? Number(mainPid) : (owner?.pid ?? 0),
    starts: command === null ? null : { path: command, program: programAt(command) },
    forbidsExecutableMemory: isHardened === true,
  };
}

export async function gatherUnit(session: Session, key: UnitKey): Promise<UnitFacts> {
  if (!isSystemdHost()) return { load: NO_SYSTEMD, active: "inactive", enabled: "" };
  const get = async (property: string) => String(await session.unitProperty(unitPath(UNITS[key]), UNIT, property));
  const [load, active, enabled] = await Promise.all([get("LoadState"), get("ActiveState"), get("UnitFileState")]);
  return { load, active, enabled };
}

export async function gatherUnits(session: Session): Promise<Readonly<Record<UnitKey, UnitFacts>>> {
  const keys = Object.keys(UNITS) as UnitKey[];
  const facts = await Promise.all(keys.map(async (key) => [key, await gatherUnit(session, key)] as const));
  return Object.fromEntries(facts) as Record<UnitKey, UnitFacts>; // one for each key
}

/** Whether the bus answers, and whether there should be one. */
export async function gatherBus(session: Session): Promise<BusFacts> {
  const { isThere } = session.ports;
  const isManaged = isThere("/run/systemd/system") && isThere("/usr/share/dbus-1/system.d");
  const isExpected = isManaged || isThere("/run/dbus/system_bus_socket");
  const answer = await learn(() => driver(session, "GetId"), PING_LIMIT_MS);
  return { isExpected, failure: "reason" in answer ? answer.reason : null, isSilent: "isLate" in answer };
}

export async function gatherPrivateSocket(session: Session): Promise<PrivateSocketFacts> {
  const path = `${managerDirectory("system", session.ports.env)}/private`;
  const ping = { path: "/", interface: "org.freedesktop.DBus.Peer", member: "Ping", timeoutMs: PING_LIMIT_MS };
  const answer = await learn(
    async () => (await session.connectBus({ kind: "private", path })).call(ping),
    PING_LIMIT_MS,
  );
  return { answers: "value" in answer };
}

/** The release of the service manager that runs; 0 where systemd is not process 1. */
export async function systemdRelease(session: Session): Promise<number> {
  if (!isSystemdHost()) return 0;
  const path = "/org/freedesktop/systemd1";
  const version = await session.unitProperty(path, "org.freedesktop.systemd1.Manager", "Version");
  return Number(/\d+/.exec(String(version))?.[0] ?? 0);
}
