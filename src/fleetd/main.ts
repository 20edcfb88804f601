// machined fleet: the agent, which connects a host to a NATS server, and `setup`, which prepares that server.
import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { NatsConnection } from "@nats-io/transport-node";
import { version } from "../../package.json";
import { parseOptions } from "../base/getopt.ts";
import { type HelpText, helpWidth, layOutHelp } from "../base/text/help-text.ts";
import { DaemonLog } from "../daemon/log.ts";
import { connectFleet, reasonOf, shownUrls } from "../fleet/connect.ts";
import { FleetError, fleetError } from "../fleet/errors.ts";
import { HOST_RULE, isFleetHost } from "../fleet/names.ts";
import {
  DEFAULTS,
  FLEET_CONF,
  type FleetSettings,
  parseFleetConf,
  SettingsError,
  withSetting,
} from "../fleet/settings.ts";
import { setUpStreams } from "../fleet/streams.ts";
import { notifyReady, notifyStopping } from "../kernel/socket/notify.ts";
import { print, printError } from "../kernel/terminal/print.ts";
import { Agent, natsReason } from "./agent.ts";
import { FLEET_OPTIONS, type FleetCommand, withCredentials } from "./options.ts";

const HELP_COLUMN = 34;

function helpText(): HelpText {
  const entries = Object.entries(FLEET_OPTIONS).map(([name, { alias, valueHint, description }]) => {
    const short = alias === undefined ? "  " : `-${alias}`;
    return [`${short} --${name}${valueHint === undefined ? "" : `=${valueHint}`}`, description] as const;
  });
  return {
    usage: "machined fleet [OPTION…] [setup]",
    about: [
      "Connects this host to a NATS server: writes a record of each of its machines there, publishes their events, and answers requests of machinectl --fleet. 'setup' makes the buckets and the stream on the server, once, and ends.",
    ],
    sections: [{ entries }],
    column: HELP_COLUMN,
    notes: [`Settings come from ${FLEET_CONF}; options override them. See machined(1).`],
  };
}

function complain(message: string, hint?: string): number {
  printError(`machined fleet: ${message}\n${hint === undefined ? "" : `${hint}\n`}`);
  return 1;
}

/** Returns the settings of the file, overridden by those of the options. */
function settingsOf({ config, settings }: FleetCommand): FleetSettings {
  const file = config ?? FLEET_CONF;
  let read = DEFAULTS;
  if (config !== null || existsSync(file)) {
    try {
      read = parseFleetConf(readFileSync(file, "utf8"), file);
    } catch (error) {
      throw error instanceof SettingsError ? error : new SettingsError(`Cannot read '${file}': ${reasonOf(error)}`);
    }
  }
  for (const [name, value] of settings) read = withSetting(read, name, value);
  if (read.urls.length === 0) throw new SettingsError(`No NATS server is named: set Url= in '${file}', or use --url=`);
  return withCredentials(read, process.env["CREDENTIALS_DIRECTORY"]);
}

async function setUp(settings: FleetSettings, { replicas, mostBytes }: FleetCommand): Promise<number> {
  let nats: NatsConnection;
  try {
    nats = await connectFleet(settings, "machined fleet setup");
  } catch (error) {
    if (error instanceof SettingsError) throw error;
    throw fleetError(`Cannot connect to the NATS server at ${shownUrls(settings)}`, error);
  }
  try {
    const names = await setUpStreams(nats, { ttlMs: settings.ttlMs, replicas, mostBytes });
    print(names.map((name) => `${name}\n`).join(""));
    return 0;
  } catch (error) {
    throw fleetError("Cannot make the buckets and streams of machined", error);
  } finally {
    await nats.close();
  }
}

async function serve(settings: FleetSettings): Promise<number> {
  const host = settings.host || hostname();
  if (!isFleetHost(host))
    throw new SettingsError(
      `The host name '${host}' cannot be used in the fleet (${HOST_RULE}): set Host=, or use --host=`,
    );
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim().replaceAll("-", "");
  const agent = new Agent(settings, { host, bootId, version }, new DaemonLog("machined-fleet", "daemon"));
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => agent.stop());
  notifyReady();
  await agent.run();
  notifyStopping();
  return 0;
}

/** Runs the program; returns its exit code. */
export async function main(args: string[]): Promise<number> {
  const command: FleetCommand = { config: null, settings: [], replicas: 1, mostBytes: -1, help: false };
  try {
    const rules = { options: FLEET_OPTIONS, context: null, fail: (text: string) => new SettingsError(text) };
    const { words } = parseOptions(args, command, rules);
    if (command.help) {
      print(layOutHelp(helpText(), helpWidth(process.stdout, process.env)));
      return 0;
    }
    const [word, more] = words;
    if (more !== undefined || (word !== undefined && word !== "setup"))
      return complain(`Unknown argument '${more ?? word}': there is only 'setup', see 'machined fleet --help'`);
    const settings = settingsOf(command);
    return word === "setup" ? await setUp(settings, command) : await serve(settings);
  } catch (error) {
    if (error instanceof SettingsError) return complain(error.message);
    if (error instanceof FleetError) return complain(error.message, error.hint);
    return complain(natsReason(error));
  }
}
