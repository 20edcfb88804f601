// The text of a state file: it calls itself "private data", but libsystemd, nss-mymachines, ps and other daemons read
// it. So keys and quoting are a contract: the state files of 252 to 262 are all read; those written are 262's, plus
// SUBGROUP, which 262 does not write.
import { formatId, type Id128, parseId } from "../../base/id128.ts";
import { isUnitName } from "../../base/names.ts";
import { parseEnvFile, quoteEnvValue } from "../../base/text/env-file.ts";
import { UINT64_MAX } from "../../base/text/format.ts";
import { MACHINE_CLASSES, type MachineClass } from "../../base/vocabulary/machine.ts";
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

/** Returns the text of a state file, with keys in 262's order. */
export function formatMachine(machine: Machine): string {
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
    // Whatever the name: with "", the machine would be ended with all of its unit.
    subgroup: keys.get("SUBGROUP") ?? "",
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
