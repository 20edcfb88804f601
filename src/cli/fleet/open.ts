// The settings that `--fleet` selects, and a connection to their server.
import type { FleetClient } from "../../fleet/client.ts";
import { FleetError, LostConnection } from "../../fleet/errors.ts";
import { isFleetHost } from "../../fleet/names.ts";
import { DEFAULTS, FLEET_CONF, type FleetSettings, parseFleetConf, parseUrls } from "../../fleet/settings.ts";
import { configDirectory } from "../../kernel/process/account.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

/** The user's own file, below ~/.config. */
const USER_CONF = "machined/fleet.conf";

/** Returns the settings files; the first one that exists is read. */
function usualFiles({ ports }: Session): string[] {
  return [`${configDirectory(ports.env)}/${USER_CONF}`, FLEET_CONF];
}

async function fromFiles(session: Session): Promise<FleetSettings> {
  for (const file of usualFiles(session)) {
    const text = await session.ports.readText(file);
    if (text !== null) return parseFleetConf(text, file);
  }
  return DEFAULTS;
}

const NO_LOGIN = { user: "", passwordFile: "", credentialsFile: "", tlsCertificateFile: "", tlsKeyFile: "" };

/**
 * Returns the settings that `--fleet[=URL|FILE]`, or else $MACHINED_FLEET, selects. Throws a Failure or a
 * SettingsError.
 */
export async function fleetSettings(session: Session, given: string): Promise<FleetSettings> {
  const word = given || session.ports.env["MACHINED_FLEET"] || "";
  if (word.startsWith("/")) {
    const text = await session.ports.readText(word);
    if (text === null) throw new Failure(`Cannot read '${word}': there is no such file, or it may not be read`);
    return parseFleetConf(text, word);
  }
  const settings = await fromFiles(session);
  const urls = word === "" ? settings.urls : parseUrls(word);
  // The login in a file is sent to the servers of that file only.
  const isKnown = urls.every((url) => settings.urls.includes(url));
  if (urls.length > 0) return { ...(isKnown ? settings : { ...settings, ...NO_LOGIN }), urls };
  throw new Failure("No NATS server is named", {
    hint: `Name one: --fleet=nats://HOST:PORT, $MACHINED_FLEET, or Url= in ${usualFiles(session).join(" or ")}`,
  });
}

/** How often and at which intervals another connection is tried where a server was lost. */
const LOST_TRIES = 20;
const LOST_PAUSE_MS = 500;
/** A connection that lasted this long resets the count of tries. */
const GOOD_MS = 60_000;

/** Runs `act` with a connection to the fleet. Throws errors of the fleet as a Failure. */
export async function withFleet<T>(session: Session, act: (fleet: FleetClient) => Promise<T>): Promise<T> {
  try {
    return await connected(session, act);
  } catch (error) {
    throw asFailure(error);
  }
}

/**
 * The same for what only reads: where the connection is lost, `act` is called again with another one, to the next
 * server of a cluster or to the one that was started again.
 */
export async function readingFleet<T>(session: Session, act: (fleet: FleetClient) => Promise<T>): Promise<T> {
  let began: number | null = null;
  for (let tries = 1; ; tries++) {
    try {
      return await connected(session, (fleet) => {
        began = performance.now();
        return act(fleet);
      });
    } catch (error) {
      if (began === null || !(error instanceof LostConnection)) throw asFailure(error);
      if (performance.now() - began > GOOD_MS) tries = 1;
      if (tries > LOST_TRIES) throw asFailure(error);
    }
    await Bun.sleep(LOST_PAUSE_MS);
  }
}

async function connected<T>(session: Session, act: (fleet: FleetClient) => Promise<T>): Promise<T> {
  const settings = await fleetSettings(session, session.settings.fleet ?? "");
  const { FleetClient: Client } = await import("../../fleet/client.ts");
  const fleet = await Client.open(settings);
  try {
    return await act(fleet);
  } finally {
    await fleet.close();
  }
}

/** Returns an error of the fleet or its settings as a Failure; any other error unchanged. */
export function asFailure(error: unknown): unknown {
  if (error instanceof FleetError) return new Failure(error.message, { cause: error, hint: error.hint });
  return error instanceof Error && error.name === "SettingsError"
    ? new Failure(error.message, { cause: error })
    : error;
}

/**
 * Returns the hosts of `-H`; null for all. Throws a Failure for an invalid name of a host, and for `-M` and `--user`.
 */
export function chosenHosts({ settings }: Session): string[] | null {
  const { transport, scope } = settings;
  if (transport.kind === "machine" || scope === "user")
    throw new Failure("--fleet works with neither -M nor --user", {
      hint: "With --fleet, -H HOST,HOST names the hosts, and HOST/NAME a machine.",
    });
  if (transport.kind === "local") return null;
  const hosts = [...new Set(transport.host.split(",").filter((host) => host !== ""))];
  for (const host of hosts) {
    if (isFleetHost(host)) continue;
    throw new Failure(`-H '${host}' is not a name that a host can have in the fleet`, {
      hint: "With --fleet, -H takes names as 'machinectl --fleet list' shows them: without USER@, :PORT and @FILE.",
    });
  }
  return hosts;
}
