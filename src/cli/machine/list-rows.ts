// Where `list` has its rows from: one streamed Varlink call with all metadata, or over D-Bus the list of machines and
// then two questions about each, asked all at once (the original asks one after the other).
import { sortedByBytes } from "../../base/byte-order.ts";
import { formatAddress } from "../../base/ip-address.ts";
import { meansNoMachine, orNull } from "../session/failure.ts";
import { inParallel } from "../session/in-parallel.ts";
import type { Varlink } from "../session/ports.ts";
import type { Session } from "../session/session.ts";

/** A machine as `list` shows it; what is not known is empty. */
export interface ListedMachine {
  readonly name: string;
  readonly class: string;
  readonly service: string;
  readonly os: string;
  readonly version: string;
  readonly addresses: readonly string[];
}

// dbus-daemon refuses a connection's calls beyond 128 unanswered ones.
const CALLS_AT_ONCE = 64;

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function release(lines: unknown): Map<string, string> {
  const entries = Array.isArray(lines) ? lines.filter((line) => typeof line === "string") : [];
  return new Map(entries.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}

/** The addresses of a Varlink reply: `[{"family": 2, "address": [10, 99, 0, 2]}, …]`. */
function varlinkAddresses(list: unknown): string[] {
  if (!Array.isArray(list)) return [];
  return list.map((entry: { address?: unknown }) => formatAddress(Array.isArray(entry?.address) ? entry.address : []));
}

async function listOverVarlink(varlink: Varlink): Promise<ListedMachine[]> {
  const machines: ListedMachine[] = [];
  for (const reply of await varlink.callAll("io.systemd.Machine.List", { acquireMetadata: "graceful" })) {
    const os = release(reply["OSRelease"]);
    machines.push({
      name: text(reply["name"]),
      class: text(reply["class"]),
      service: text(reply["service"]),
      os: os.get("ID") ?? "",
      version: os.get("VERSION_ID") ?? "",
      addresses: varlinkAddresses(reply["addresses"]),
    });
  }
  return machines;
}

interface ListOptions {
  readonly hidden: boolean;
  readonly addresses: boolean;
}

async function listOverBus(session: Session, options: ListOptions): Promise<ListedMachine[]> {
  const { machines: listed } = await session.manager("ListMachines", {});
  const machines = listed.filter(([name]) => options.hidden || !isHidden(name));
  return inParallel(machines, CALLS_AT_ONCE, async ([name, className, service]) => {
    const [os, known] = await Promise.all([
      orNull(session.manager("GetMachineOSRelease", { name })),
      options.addresses ? orNull(session.manager("GetMachineAddresses", { name })) : null,
    ]);
    return {
      name,
      class: className,
      service,
      os: os?.fields.get("ID") ?? "",
      version: os?.fields.get("VERSION_ID") ?? "",
      addresses: (known?.addresses ?? []).map(([, bytes]) => formatAddress(bytes)),
    };
  });
}

function isHidden(name: string): boolean {
  return name.startsWith(".");
}

/**
 * All machines, sorted by name byte for byte. Whatever goes wrong with Varlink (no socket, an old manager, metadata
 * refused to an unprivileged caller), the answer comes over D-Bus; only its errors are the caller's.
 */
export async function listMachines(session: Session, options: ListOptions): Promise<ListedMachine[]> {
  const machines = (await tryVarlink(session)) ?? (await listOverBus(session, options));
  const shown = options.hidden ? machines : machines.filter(({ name }) => !isHidden(name));
  return sortedByBytes(shown, ({ name }) => name);
}

async function tryVarlink(session: Session): Promise<ListedMachine[] | null> {
  if (session.settings.scope !== "system") return null;
  const varlink = await session.varlink();
  if (varlink === null) return null;
  try {
    return await listOverVarlink(varlink);
  } catch (error) {
    return meansNoMachine(error) ? [] : null;
  }
}
