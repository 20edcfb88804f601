// Facts about the host: the machine id, and the release of its systemd.

import { readFileSync } from "node:fs";
import { unlessNoFile } from "../base/absence.ts";
import { errnoText } from "../base/errno.ts";
import { ErrnoError, errnoNameOf } from "../base/error.ts";
import type { Variant } from "../base/variant.ts";
import { SYSTEMD1_NAME, SYSTEMD1_PATH } from "../base/vocabulary/bus-peers.ts";
import type { BusCall } from "../ipc/bus/connection.ts";
import { BusError } from "../ipc/bus/error.ts";

const MACHINE_ID = /^[0-9a-f]{32}$/i;
const NO_ID = "0".repeat(32);

/**
 * Returns the host's machine id as text. Throws the errors of sd_id128_get_machine(3): `ENOENT` where the host has
 * none, `ENOMEDIUM` where it is empty or 0, `ENOPKG` before the first boot has set it.
 */
export function requireHostId(path = "/etc/machine-id"): string {
  const text = unlessNoFile(() => readFileSync(path, "latin1").trim(), null);
  if (text !== null && MACHINE_ID.test(text) && text !== NO_ID) return text.toLowerCase();
  const isEmpty = text === "" || text === NO_ID;
  const errno = text === null ? "ENOENT" : isEmpty ? "ENOMEDIUM" : text === "uninitialized" ? "ENOPKG" : "EUCLEAN";
  throw new ErrnoError(errno, errnoText(errno));
}

/** Returns the host's machine id as text; null where it has none. */
export function hostId(): string | null {
  try {
    return requireHostId();
  } catch (error) {
    if (error instanceof ErrnoError) return null;
    throw error;
  }
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
