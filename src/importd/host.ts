// What the daemon knows of its host.
import { readFileSync } from "node:fs";
import type { BusClient } from "../ipc/bus/client.ts";
import { BusError } from "../ipc/bus/error.ts";

/** The host's machine id as text; "" where there is none. */
export function hostId(): string {
  try {
    return readFileSync("/etc/machine-id", "latin1").trim();
  } catch {
    return "";
  }
}

/** A service manager that is busy for longer than this is not waited for. */
const PATIENCE_MS = 3_000;
const SYSTEMD1 = { destination: "org.freedesktop.systemd1", path: "/org/freedesktop/systemd1" };

/** The release of the systemd on this bus, or null where none answers. */
export async function systemdVersion(bus: BusClient): Promise<number | null> {
  try {
    const [version] = await bus.call({
      ...SYSTEMD1,
      interface: "org.freedesktop.DBus.Properties",
      member: "Get",
      signature: "ss",
      body: ["org.freedesktop.systemd1.Manager", "Version"],
      timeoutMs: PATIENCE_MS,
    });
    const number = Number.parseInt(String((version as { value: unknown }).value), 10);
    return Number.isNaN(number) ? null : number;
  } catch (error) {
    if (error instanceof BusError) return null;
    throw error;
  }
}
