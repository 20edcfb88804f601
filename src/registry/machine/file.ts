// State files, /run/systemd/machines/NAME: "private data" by their own word, but libsystemd, nss-mymachines, ps and other
// daemons read them. So keys, quoting and the rename at the end are a contract: the state files of 252 to 262 are all read;
// those written are 262's, plus SUBGROUP, which 262 does not write. A link `unit:UNIT` points to the file of the unit's machine.
import { mkdirSync, readdirSync, readlinkSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoNameOf } from "../../base/error.ts";
import { formatId, type Id128, parseId } from "../../base/id128.ts";
import { isMachineName, isUnitName } from "../../base/names.ts";
import { parseEnvFile, quoteEnvValue } from "../../base/text/env-file.ts";
import { UINT64_MAX } from "../../base/text/format.ts";
import { MACHINE_CLASSES, type MachineClass } from "../../base/vocabulary/machine.ts";
import { openPath, readRegular } from "../../kernel/file/fd.ts";
import { isShortText, type MachineDescription, NO_DESCRIPTION, withinBounds } from "./description.ts";
import type { Machine } from "./machine.ts";

/** The content of a state file. It is not trusted: invalid fields are left out. */
export interface SavedMachine extends MachineDescription {
  readonly name: string;
  readonly uid: number;
  readonly unit: string | null;
  readonly subgroup: string;
  readonly job: string | null;
  readonly id: Id128 | null;
  readonly leader: number;
  readonly leaderPidfdId: bigint | null;
  readonly supervisor: number;
  readonly supervisorPidfdId: bigint | null;
  readonly class: MachineClass | null;
  readonly realtimeUsec: bigint | null;
  readonly monotonicUsec: bigint | null;
}

/** Ours are below 48 KiB. The original bounds texts only by the size of a message. */
const FILE_LIMIT_BYTES = 4 << 20;
/**
 * The prefix of notes about machines that are being started. No machine name can begin with it, so that daemons and
 * clients skip such files.
 */
const RESERVATION = ".#starting-";

/** The content of the directory. */
export interface LoadedMachines {
  readonly machines: readonly SavedMachine[];
  /** Machines whose scope was requested, but that were not saved as started. */
  readonly reserved: readonly SavedMachine[];
  /** Names of files that describe no machine. */
  readonly broken: readonly string[];
  readonly unread: readonly { readonly name: string; readonly error: unknown }[];
}

export class MachineFiles {
  readonly #directory: string;

  /** `directory`: /run/systemd/machines. It is created at its first use, because clients take its existence as a sign of the service. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Writes the file, by the rename that monitors of the directory wait for, and the link of its unit. */
  save(machine: Machine): void {
    this.#write(machine.name, machine);
    if (machine.place !== null) this.#link(machine.place.unit, machine.name);
    this.release(machine.name);
  }

  /** Writes a note about a machine whose scope is about to be made, so that the daemon finds it after a crash. */
  reserve(machine: Machine): void {
    this.#write(`${RESERVATION}${machine.name}`, machine);
  }

  /** Removes the note that `reserve()` made. */
  release(name: string): void {
    remove(join(this.#directory, `${RESERVATION}${name}`));
  }

  #write(file: string, machine: Machine): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
    const temporary = join(this.#directory, `.#${file}${process.pid.toString(36)}`);
    try {
      writeFileSync(temporary, formatMachine(machine), { mode: 0o644 });
      renameSync(temporary, join(this.#directory, file));
    } catch (error) {
      remove(temporary);
      throw error;
    }
  }

  /** Removes file and link. `heir` is another machine in the same unit, which gets the link. */
  remove(name: string, unit: string | null, heir: string | null): void {
    if (unit !== null && this.#linkTarget(unit) === name) {
      remove(this.#linkPath(unit));
      if (heir !== null) this.#link(unit, heir);
    }
    remove(join(this.#directory, name));
    this.release(name);
  }

  /** Reads all files, also when some of them are broken. Throws where there is no directory. */
  load(): LoadedMachines {
    mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
    const found = { machines: [], reserved: [], broken: [], unread: [] } as {
      machines: SavedMachine[];
      reserved: SavedMachine[];
      broken: string[];
      unread: { name: string; error: unknown }[];
    };
    for (const entry of readdirSync(this.#directory, { withFileTypes: true })) {
      const isReserved = entry.name.startsWith(RESERVATION);
      if (!isReserved && entry.name.startsWith(".#")) remove(join(this.#directory, entry.name)); // of a killed daemon
      const name = isReserved ? entry.name.slice(RESERVATION.length) : entry.name;
      if (!entry.isFile() || !isMachineName(name)) continue;
      try {
        const saved = this.#read(entry.name, name);
        if (saved !== null) found[isReserved ? "reserved" : "machines"].push(saved);
        else if (isReserved) this.release(name);
        else found.broken.push(name);
      } catch (error) {
        found.unread.push({ name, error });
      }
    }
    return found;
  }

  /** Returns null for a file that does not describe `name`, or is longer than any state file. */
  #read(file: string, name: string): SavedMachine | null {
    try {
      using opened = openPath(join(this.#directory, file), "read");
      return parseMachine(name, readRegular(opened, FILE_LIMIT_BYTES).toString());
    } catch (error) {
      const errno = errnoNameOf(error);
      if (errno === "ENOENT" || errno === "EFBIG" || errno === "EBADF") return null;
      throw error;
    }
  }

  #linkPath(unit: string): string {
    return join(this.#directory, `unit:${unit}`);
  }

  #linkTarget(unit: string): string | null {
    try {
      return readlinkSync(this.#linkPath(unit));
    } catch (error) {
      // EINVAL: it is no link, so that making one fails with EEXIST.
      if (["ENOENT", "EINVAL"].includes(errnoNameOf(error) ?? "")) return null;
      throw error;
    }
  }

  /** Makes the link of a unit. The first machine of a unit keeps the link; a link to a missing file is replaced. */
  #link(unit: string, name: string): void {
    const target = this.#linkTarget(unit);
    if (target === name || (target !== null && this.#read(target, target) !== null)) return;
    if (target !== null) remove(this.#linkPath(unit));
    symlinkSync(name, this.#linkPath(unit));
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errnoNameOf(error) !== "ENOENT") throw error;
  }
}

/** Returns the text of a state file, with keys in 262's order. */
function formatMachine(machine: Machine): string {
  const { facts, place, startedAt } = machine;
  const lines: [string, string | number | bigint | null][] = [
    ["NAME", facts.name],
    ["UID", facts.uid],
    ["SCOPE", place?.unit ?? null],
    ["SUBGROUP", place?.subgroup || null],
    ["SCOPE_JOB", machine.job],
    ["SERVICE", facts.service || null],
    ["ROOT", facts.rootDirectory || null],
    ["ID", facts.id === null ? null : formatId(facts.id)],
    ["LEADER", facts.leader.pid],
    ["LEADER_PIDFDID", facts.leader.id],
    ["SUPERVISOR", facts.supervisor?.pid ?? null],
    ["SUPERVISOR_PIDFDID", facts.supervisor?.id ?? null],
    ["CLASS", facts.class],
    ["REALTIME", startedAt?.realtimeUsec ?? null],
    ["MONOTONIC", startedAt?.monotonicUsec ?? null],
  ];
  let text = "# This is private data. Do not parse.\n";
  for (const [key, value] of lines) if (value !== null) text += `${key}=${quoteEnvValue(String(value))}\n`;
  // 262 writes a blank before each index and so quotes them; all readers split at blanks.
  if (facts.networkInterfaces.length > 0) text += `NETIF=" ${facts.networkInterfaces.join(" ")}"\n`;
  const tail: [string, string | number | null][] = [
    ["VSOCK_CID", facts.vsockCid], // 262 takes a missing one for 0, which is that of the hypervisor
    ["SSH_ADDRESS", facts.sshAddress || null],
    ["SSH_PRIVATE_KEY_PATH", facts.sshPrivateKeyPath || null],
    ["CONTROL_ADDRESS", facts.controlAddress || null],
  ];
  for (const [key, value] of tail) if (value !== null) text += `${key}=${quoteEnvValue(String(value))}\n`;
  return text;
}

/** Reads a state file of any version. Returns null for one that is not of the machine `name`, or names no process. */
export function parseMachine(name: string, text: string): SavedMachine | null {
  const keys = parseEnvFile(text);
  const leader = number(keys.get("LEADER")) ?? 0;
  if (keys.get("NAME") !== name || leader <= 1) return null;
  const unit = keys.get("SCOPE") ?? "";
  return {
    name,
    uid: userId(keys.get("UID")),
    unit: isUnitName(unit) ? unit : null,
    subgroup: fitting(keys.get("SUBGROUP"), isShortText),
    job: fitting(keys.get("SCOPE_JOB"), isObjectPath) || null,
    id: parseId(keys.get("ID") ?? "") ?? null,
    leader,
    leaderPidfdId: big(keys.get("LEADER_PIDFDID")),
    supervisor: number(keys.get("SUPERVISOR")) ?? 0,
    supervisorPidfdId: big(keys.get("SUPERVISOR_PIDFDID")),
    class: MACHINE_CLASSES.parse(keys.get("CLASS") ?? "") ?? null,
    realtimeUsec: big(keys.get("REALTIME")),
    monotonicUsec: big(keys.get("MONOTONIC")),
    ...parseDescription(keys),
  };
}

/** Fields that are out of bounds are left out: a machine is not lost for one of them. */
function parseDescription(keys: ReadonlyMap<string, string>): MachineDescription {
  return withinBounds({
    service: keys.get("SERVICE") ?? NO_DESCRIPTION.service,
    rootDirectory: keys.get("ROOT") ?? NO_DESCRIPTION.rootDirectory,
    networkInterfaces: parseNumbers(keys.get("NETIF") ?? ""),
    vsockCid: number(keys.get("VSOCK_CID")) ?? NO_DESCRIPTION.vsockCid,
    sshAddress: keys.get("SSH_ADDRESS") ?? NO_DESCRIPTION.sshAddress,
    sshPrivateKeyPath: keys.get("SSH_PRIVATE_KEY_PATH") ?? NO_DESCRIPTION.sshPrivateKeyPath,
    controlAddress: keys.get("CONTROL_ADDRESS") ?? NO_DESCRIPTION.controlAddress,
  });
}

/** Returns the text where it fits, else "". */
function fitting(text: string | undefined, fits: (text: string) => boolean): string {
  return text !== undefined && fits(text) ? text : "";
}

function isObjectPath(text: string): boolean {
  return /^(\/[A-Za-z0-9_]+)+$/.test(text) && isShortText(text);
}

/** Returns the owner; root where the file names none, so that no other user is taken for the owner. */
function userId(text: string | undefined): number {
  const uid = number(text) ?? 0;
  return uid < 0xffff_ffff ? uid : 0;
}

function number(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : null;
}

function big(text: string | undefined): bigint | null {
  const value = text !== undefined && /^\d{1,20}$/.test(text) ? BigInt(text) : null;
  return value !== null && value <= UINT64_MAX ? value : null;
}

function parseNumbers(text: string): number[] {
  return text.split(/\s+/).map((word) => number(word) ?? 0);
}
