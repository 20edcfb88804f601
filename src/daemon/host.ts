// Facts about the host: the machine id, and the release of its systemd.

import { readFileSync } from "node:fs";
import { unlessNoFile } from "../base/absence.ts";
import { errnoNameOf } from "../base/error.ts";
import type { Variant } from "../base/variant.ts";
import { SYSTEMD1_NAME, SYSTEMD1_PATH } from "../base/vocabulary/bus-peers.ts";
import type { BusCall } from "../ipc/bus/connection.ts";
import { BusError } from "../ipc/bus/error.ts";

/** Returns the host's machine id as text; "" where there is none. */
export function hostId(): string {
  return unlessNoFile(() => readFileSync("/etc/machine-id", "latin1").trim(), "");
}

const VERSION_CALL: BusCall = {
  destination: SYSTEMD1_NAME,
  path: SYSTEMD1_PATH,
  interface: "org.freedesktop.DBus.Properties",
  member: "Get",
  signature: "ss",
  body: [`${SYSTEMD1_NAME}.Manager`, "Version"],
};

/**
 * Returns the release of the service manager ("252.39-1" → 252), read through `call`; null where systemd does not
 * answer.
 */
export async function systemdVersion(call: (call: BusCall) => Promise<unknown[]>): Promise<number | null> {
  try {
    const [version] = await call(VERSION_CALL);
    const digits = /\d+/.exec(String((version as Variant).value));
    return digits === null ? null : Number(digits[0]);
  } catch (error) {
    if (error instanceof BusError || errnoNameOf(error) !== null) return null;
    throw error;
  }
}
