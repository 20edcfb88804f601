// Lists the machines of this host, over the Varlink socket of the local daemon as other clients do.
import { formatAddress } from "../base/ip-address.ts";
import { isMachineName } from "../base/names.ts";
import type { MachineRecord } from "../fleet/record.ts";
import { runtimeDirectory } from "../ipc/runtime-directory.ts";
import { VarlinkError } from "../ipc/varlink/client.ts";
import { connectPlainVarlink } from "../ipc/varlink/plain.ts";

const LIST_MS = 5000;

/** Returns the path of the Varlink socket of systemd-machined. */
export function managerSocket(): string {
  return `${runtimeDirectory()}/machine/io.systemd.Machine`;
}

type Fields = Readonly<Record<string, unknown>>;

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function addressesOf(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value.map((one: { address?: unknown } | null) =>
    formatAddress(Array.isArray(one?.address) ? one.address : []),
  );
}

function releaseField(lines: unknown, key: string): string {
  const line = Array.isArray(lines)
    ? lines.find((one) => typeof one === "string" && one.startsWith(`${key}=`))
    : undefined;
  return line === undefined ? "" : line.slice(key.length + 1);
}

/** Returns the record of a reply to List; null for the host itself, and for a name that no record can have. */
function recordOf(host: string, reply: Fields, timeUsec: number): MachineRecord | null {
  const machine = text(reply["name"]);
  if (!isMachineName(machine)) return null;
  const { OSRelease: release } = reply;
  return {
    ...{ host, machine, class: text(reply["class"]), service: text(reply["service"]) },
    os: releaseField(release, "ID"),
    version: releaseField(release, "VERSION_ID"),
    addresses: addressesOf(reply["addresses"]),
    time: timeUsec,
  };
}

/** Lists the machines. Throws an error with errno where no daemon answers. */
export async function listLocalMachines(host: string): Promise<MachineRecord[]> {
  const varlink = await connectPlainVarlink(managerSocket());
  try {
    const parameters = { acquireMetadata: "graceful" };
    const replies = await varlink.callAll("io.systemd.Machine.List", parameters, { timeoutMs: LIST_MS });
    const now = Date.now() * 1000;
    return replies.map((reply) => recordOf(host, reply, now)).filter((record) => record !== null);
  } catch (error) {
    if (error instanceof VarlinkError && error.id === "io.systemd.Machine.NoSuchMachine") return [];
    throw error;
  } finally {
    varlink.close();
  }
}
