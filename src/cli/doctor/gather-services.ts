// Gathers facts about the daemons and related units from the bus broker and the service manager. Nothing is started: a
// daemon that does not run is not called.

import { existsSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import { Broker } from "../../api/peers.ts";
import { unlessNoFile, unlessNoProcess } from "../../base/absence.ts";
import { BROKER, BROKER_PATH, SYSTEMD1_MANAGER, SYSTEMD1_PATH } from "../../base/vocabulary/bus-peers.ts";
import { type CallArguments, type CallResult, callTyped, type Member } from "../../ipc/bus/typed-call.ts";
import { processCmdline } from "../../kernel/process/process-file.ts";
import type { ServiceName } from "../../setup/init/services.ts";
import { Failure, isBusFailure } from "../session/failure.ts";
import { isHiddenProcess, PROC_HIDES } from "../session/hidden-processes.ts";
import type { Session } from "../session/session.ts";
import { managerDirectory } from "../session/target.ts";
import { unitInterface, unitPath } from "../unit/processes.ts";
import type {
  BusFacts,
  DaemonFacts,
  OwnerFacts,
  PrivateSocketFacts,
  RestartFacts,
  UnitFacts,
  UnitKey,
} from "./host-facts.ts";
import { NO_SYSTEMD, UNITS } from "./host-facts.ts";
import { LIMIT_MS, learn } from "./learn.ts";

const UNIT = "org.freedesktop.systemd1.Unit";
/**
 * Shorter than the limit of a fact, so that a daemon that does not answer is a finding and not a fact that is not
 * known.
 */
const PING_LIMIT_MS = LIMIT_MS / 2;

/** Calls a method of the bus broker. */
function broker<Name extends Member<typeof Broker>>(
  session: Session,
  member: Name,
  args: CallArguments<typeof Broker, Name>,
): Promise<CallResult<typeof Broker, Name>> {
  const where = { destination: BROKER, path: BROKER_PATH, timeoutMs: LIMIT_MS };
  return callTyped((call) => session.callBus(call), where, Broker, member, args);
}

/** Whether the process's executable was replaced or removed since its start; false if only root may read that. */
function isReplaced(pid: number): boolean {
  return unlessNoProcess(() => readlinkSync(`/proc/${pid}/exe`).endsWith(" (deleted)"), false);
}

/** Tells by its file name to which product a program belongs, after resolving symbolic links. */
function programAt(called: string): OwnerFacts["program"] {
  // The file may have been removed after the start.
  const path = unlessNoFile(() => realpathSync(called), called);
  const name = basename(path);
  return name === "machined" ? "ours" : /^systemd-(machined|importd)$/.test(name) ? "stock" : "other";
}

/** Identifies the program by the path in its command line, which all users may read, unlike /proc/PID/exe. */
function ownerOf(pid: number): OwnerFacts {
  if (isHiddenProcess(pid)) throw new Failure(PROC_HIDES);
  const path = processCmdline(pid)[0] ?? "";
  return { pid, path, program: programAt(path), isReplaced: isReplaced(pid) };
}

/** Whether the owner of a bus name answers a ping in time. An error reply is an answer. */
async function answers(session: Session, name: string): Promise<boolean> {
  const ping = { destination: name, path: "/", interface: "org.freedesktop.DBus.Peer", member: "Ping" };
  try {
    await session.callBus({ ...ping, noAutoStart: true, timeoutMs: PING_LIMIT_MS });
    return true;
  } catch (error) {
    return isBusFailure(error) && !isBusFailure(error, "org.freedesktop.DBus.Error.NoReply");
  }
}

/** Returns the process that owns a bus name; null if the name has no owner. */
async function runningOwner(session: Session, name: string): Promise<OwnerFacts | null> {
  try {
    const { unique_name } = await broker(session, "GetNameOwner", { name });
    return ownerOf((await broker(session, "GetConnectionUnixProcessID", { name: unique_name })).pid);
  } catch (error) {
    if (isBusFailure(error, "org.freedesktop.DBus.Error.NameHasNoOwner")) return null;
    throw error;
  }
}

function isSystemdHost(): boolean {
  // As sd_booted(3), where /proc hides process 1.
  const name = unlessNoFile(() => readFileSync("/proc/1/comm", "utf8"), null);
  return name === null ? existsSync("/run/systemd/system") : name.startsWith("systemd");
}

/** The script of the bus on hosts with sysvinit or OpenRC. */
const BUS_SCRIPT = "/etc/init.d/dbus";

/** Gathers how services are started again; null on a host with systemd. */
export async function gatherOtherInit({ ports }: Session): Promise<RestartFacts | null> {
  if (isSystemdHost()) return null;
  const { restartCommand } = await import("../../setup/init/restart.ts");
  const words = (service: ServiceName) => restartCommand(service)?.join(" ") ?? null;
  const bus = ports.isThere(BUS_SCRIPT) ? `${BUS_SCRIPT} restart` : null;
  return { machined: words("machined"), importd: words("machined-import"), bus };
}

/** Gathers the facts about a daemon by its bus name, and about its unit. */
export async function gatherDaemon(session: Session, name: string, key: UnitKey): Promise<DaemonFacts> {
  const unit = UNITS[key];
  const hasUnits = isSystemdHost();
  const property = async (key: string) =>
    hasUnits ? session.unitProperty(unitPath(unit), unitInterface(unit), key) : null;
  const [owner, { names }, mainPid, isHardened, commands] = await Promise.all([
    runningOwner(session, name),
    broker(session, "ListActivatableNames", {}),
    property("MainPID"),
    property("MemoryDenyWriteExecute"),
    property("ExecStart"),
  ]);
  const command = Array.isArray(commands) && Array.isArray(commands[0]) ? String(commands[0][0]) : null;
  return {
    owner,
    answers: owner === null || (await answers(session, name)),
    // The daemons' D-Bus service files name a unit of systemd, so without systemd nothing is started.
    isActivatable: hasUnits && names.includes(name),
    mainPid: hasUnits ? Number(mainPid) : (owner?.pid ?? 0),
    starts: command === null ? null : { path: command, program: programAt(command) },
    forbidsExecutableMemory: isHardened === true,
  };
}

/** Gathers the states of one unit. */
export async function gatherUnit(session: Session, key: UnitKey): Promise<UnitFacts> {
  if (!isSystemdHost()) return { load: NO_SYSTEMD, active: "inactive", enabled: "" };
  const get = async (property: string) => String(await session.unitProperty(unitPath(UNITS[key]), UNIT, property));
  const [load, active, enabled] = await Promise.all([get("LoadState"), get("ActiveState"), get("UnitFileState")]);
  return { load, active, enabled };
}

/** Gathers the states of all units of UNITS. */
export async function gatherUnits(session: Session): Promise<Readonly<Record<UnitKey, UnitFacts>>> {
  const keys = Object.keys(UNITS) as UnitKey[];
  const facts = await Promise.all(keys.map(async (key) => [key, await gatherUnit(session, key)] as const));
  return Object.fromEntries(facts) as Record<UnitKey, UnitFacts>; // has all keys
}

/** Gathers whether the bus answers, and whether the host should have one. */
export async function gatherBus(session: Session): Promise<BusFacts> {
  const { isThere } = session.ports;
  const isManaged = isThere("/run/systemd/system") && isThere("/usr/share/dbus-1/system.d");
  const isExpected = isManaged || isThere("/run/dbus/system_bus_socket");
  const answer = await learn(() => broker(session, "GetId", {}), PING_LIMIT_MS);
  return { isExpected, failure: "reason" in answer ? answer.reason : null, isSilent: "isLate" in answer };
}

/** Gathers whether systemd-machined answers on its private socket. */
export async function gatherPrivateSocket(session: Session): Promise<PrivateSocketFacts> {
  const path = `${managerDirectory("system", session.ports.env)}/private`;
  const ping = { path: "/", interface: "org.freedesktop.DBus.Peer", member: "Ping", timeoutMs: PING_LIMIT_MS };
  const answer = await learn(
    async () => (await session.connectBus({ kind: "private", path })).call(ping),
    PING_LIMIT_MS,
  );
  return { answers: "value" in answer };
}

/** Returns the version of the running systemd; 0 if systemd is not process 1. */
export async function systemdRelease(session: Session): Promise<number> {
  if (!isSystemdHost()) return 0;
  const version = await session.unitProperty(SYSTEMD1_PATH, SYSTEMD1_MANAGER, "Version");
  return Number(/\d+/.exec(String(version))?.[0] ?? 0);
}
