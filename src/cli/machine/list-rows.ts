// Queries the rows of `list`: by one streamed Varlink call with all metadata, or over D-Bus by a call for the list of
// machines and then concurrent calls for each machine (the original makes these calls one after the other).
import { sortedByBytes } from "../../base/byte-order.ts";
import { formatAddress } from "../../base/ip-address.ts";
import { meansNoMachine, orNull } from "../session/failure.ts";
import { inParallel } from "../session/in-parallel.ts";
import type { Varlink } from "../session/ports.ts";
import type { Session } from "../session/session.ts";
import { type ExtraFacts, type ListedMachine, type MachineNeed, NO_EXTRAS } from "./columns.ts";

/** dbus-daemon refuses a connection's calls beyond 128 unanswered ones. */
const CALLS_AT_ONCE = 96;
/** How many calls are made for each machine to learn something. */
const CALLS: Readonly<Partial<Record<MachineNeed, number>>> = { release: 1, addresses: 1, facts: 2 };

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Parses the lines `KEY=VALUE` of an os-release file in a reply. */
function release(lines: unknown): Map<string, string> {
  const entries = Array.isArray(lines) ? lines.filter((line) => typeof line === "string") : [];
  return new Map(entries.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}

/** Formats the addresses of a reply: `[{"family": 2, "address": [10, 99, 0, 2]}, …]`. */
function varlinkAddresses(list: unknown): string[] {
  if (!Array.isArray(list)) return [];
  return list.map((entry: { address?: unknown }) => formatAddress(Array.isArray(entry?.address) ? entry.address : []));
}

function integer(value: unknown): number | null {
  return typeof value === "number" || typeof value === "bigint" ? Number(value) : null;
}

function member(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[key] : undefined;
}

type Reply = Awaited<ReturnType<Varlink["callAll"]>>[number];

function varlinkFacts(reply: Reply): ExtraFacts {
  const { leader } = reply;
  return {
    class: text(reply["class"]),
    unit: text(reply["unit"]),
    leaderPid: integer(leader) ?? integer(member(leader, "pid")) ?? 0,
    rootDirectory: text(reply["rootDirectory"]),
    sinceUsec: integer(member(reply["timestamp"], "realtime")) ?? 0,
    // Managers before 258 do not report it, and have machines of root only.
    uid: integer(reply["UID"]) ?? 0,
  };
}

async function listOverVarlink(varlink: Varlink, { needs }: ListOptions): Promise<ListedMachine[]> {
  const machines: ListedMachine[] = [];
  const acquireMetadata = needs.has("release") || needs.has("addresses") ? "graceful" : "no";
  const withFacts = needs.has("facts");
  for (const reply of await varlink.callAll("io.systemd.Machine.List", { acquireMetadata })) {
    const os = release(reply["OSRelease"]);
    machines.push({
      name: text(reply["name"]),
      class: text(reply["class"]),
      service: text(reply["service"]),
      os: os.get("ID") ?? "",
      version: os.get("VERSION_ID") ?? "",
      addresses: varlinkAddresses(reply["addresses"]),
      extras: withFacts ? { ...NO_EXTRAS, facts: varlinkFacts(reply) } : NO_EXTRAS,
    });
  }
  return machines;
}

interface ListOptions {
  /** Whether machines with a dot at the start of their name are listed: `.host`. */
  readonly hidden: boolean;
  /** The data to query beyond name, class and service. */
  readonly needs: ReadonlySet<MachineNeed>;
}

async function busFacts(session: Session, name: string): Promise<ExtraFacts> {
  const { machineFacts } = await import("./details.ts");
  const facts = await machineFacts(session, name);
  return { ...facts, sinceUsec: Number(facts.sinceUsec) };
}

async function listOverBus(session: Session, options: ListOptions): Promise<ListedMachine[]> {
  const { machines: listed } = await session.manager("ListMachines", {});
  const machines = listed.filter(([name]) => options.hidden || !isHidden(name));
  const { needs } = options;
  const calls = [...needs].reduce((sum, need) => sum + (CALLS[need] ?? 0), 0);
  return inParallel(machines, Math.floor(CALLS_AT_ONCE / Math.max(calls, 1)), async ([name, className, service]) => {
    const [os, known, facts] = await Promise.all([
      needs.has("release") ? orNull(session.manager("GetMachineOSRelease", { name })) : null,
      needs.has("addresses") ? orNull(session.manager("GetMachineAddresses", { name })) : null,
      needs.has("facts") ? orNull(busFacts(session, name)) : null,
    ]);
    return {
      name,
      class: className,
      service,
      os: os?.fields.get("ID") ?? "",
      version: os?.fields.get("VERSION_ID") ?? "",
      addresses: (known?.addresses ?? []).map(([, bytes]) => formatAddress(bytes)),
      extras: facts === null ? NO_EXTRAS : { ...NO_EXTRAS, facts },
    };
  });
}

function isHidden(name: string): boolean {
  return name.startsWith(".");
}

/**
 * Returns all machines, sorted by the bytes of their names. If the Varlink call fails (no socket, an old manager,
 * metadata refused to an unprivileged caller), D-Bus is used. Throws errors of D-Bus only.
 */
export async function listMachines(session: Session, options: ListOptions): Promise<ListedMachine[]> {
  const machines = (await tryVarlink(session, options)) ?? (await listOverBus(session, options));
  const shown = options.hidden ? machines : machines.filter(({ name }) => !isHidden(name));
  return sortedByBytes(shown, ({ name }) => name);
}

async function tryVarlink(session: Session, options: ListOptions): Promise<ListedMachine[] | null> {
  if (session.settings.scope !== "system") return null;
  const varlink = await session.varlink();
  if (varlink === null) return null;
  try {
    return await listOverVarlink(varlink, options);
  } catch (error) {
    return meansNoMachine(error) ? [] : null;
  }
}
