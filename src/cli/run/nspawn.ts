// The command line of systemd-nspawn(1) for a machine that `run` starts.
import type { ImageType } from "../../base/vocabulary/image-class.ts";
import { Failure } from "../session/failure.ts";
import type { ImageSettings } from "./image-settings.ts";
import type { ImageAccount, ImagePlace } from "./image-tree.ts";
import type { RunOrder } from "./order.ts";

const PLACE_OPTIONS: Readonly<Record<ImageType, string>> = {
  directory: "--directory",
  subvolume: "--directory",
  raw: "--image",
  block: "--image",
  mstack: "--mstack",
};

/** Where that program is seen in the machine which only waits, or becomes a user. */
const KEEPER = "/run/machined-keeper";

/** `host`, `none`, `veth`, or a kind with its name: `bridge:br0`, `zone:z`, `interface:eth1`, `macvlan:eth0`, `ipvlan:eth0`. */
const NAMED_NETWORKS = ["bridge", "zone", "interface", "macvlan", "ipvlan"];

/** The options for `--network=`; undefined for a word that is none. */
export function networkOptions(network: string): string[] | undefined {
  if (network === "host") return [];
  if (network === "none") return ["--private-network"];
  if (network === "veth") return ["--network-veth"];
  const colon = network.indexOf(":");
  const [kind, name] = [network.slice(0, colon), network.slice(colon + 1)];
  return NAMED_NETWORKS.includes(kind) && name !== "" ? [`--network-${kind}=${name}`] : undefined;
}

/** Stacks of layers can have ids of their own only by systemd-nsresourced. */
function stackUsers({ hasManagedUsers }: NspawnCircumstances): string[] {
  return [`--private-users=${hasManagedUsers ? "managed" : "no"}`];
}

/** An init configures its interface; without one nobody would ask for an address. */
function networkOf(order: RunOrder, boots: boolean): string[] {
  const network = order.network ?? (boots ? "veth" : "host");
  const isHost = network === "host";
  if (isHost && order.options.some((option) => option.startsWith("--port="))) {
    throw new Failure(
      "--port= needs a network of the machine's own: --network=veth, and a program in it that configures it",
    );
  }
  return networkOptions(network) ?? [];
}

function programOf(
  order: RunOrder,
  settings: ImageSettings,
  { boots, keeper, account }: NspawnCircumstances,
): string[] {
  if (boots) return ["--boot"];
  const rootWithKeeper = ["-u", "root", `--bind-ro=${keeper}:${KEEPER}`];
  if (order.hasCommand) return ["--as-pid2", ...rootWithKeeper, "--", KEEPER];
  const { command, directory, environment, killSignal } = settings;
  if (command.length === 0) {
    throw new Failure(`Image '${order.image}' has no init and names no program of its own: give a command`);
  }
  return [
    ...rootWithKeeper,
    `--kill-signal=${killSignal ?? "SIGTERM"}`,
    ...(directory === null ? [] : [`--chdir=${directory}`]),
    `--setenv=HOME=${account.home}`,
    ...environment.map((assignment) => `--setenv=${assignment}`),
    ...order.environment.map((assignment) => `--setenv=${assignment}`),
    "--",
    ...[KEEPER, "as", String(account.uid), String(account.gid), account.groups.join(",")],
    ...command,
  ];
}

export interface NspawnCircumstances {
  readonly boots: boolean;
  /** A file of the host: a program that only waits, or becomes a user and another program. */
  readonly keeper: string;
  /** Who the image's own program is run as. */
  readonly account: ImageAccount;
  /** systemd-nsresourced hands out ranges of user ids. */
  readonly hasManagedUsers: boolean;
  /** The administrator has settings for a machine of this name. */
  readonly isConfigured: boolean;
}

/** The arguments, without the program's name. */
export function nspawnArguments(
  order: RunOrder,
  { path, type }: ImagePlace,
  settings: ImageSettings,
  circumstances: NspawnCircumstances,
): string[] {
  const { boots, isConfigured } = circumstances;
  return [
    "--quiet",
    "--keep-unit",
    "--register=yes",
    `--machine=${order.machine}`,
    `${PLACE_OPTIONS[type]}=${path}`,
    // What stands beside a container image is among these arguments already.
    ...(boots || isConfigured ? [] : ["--settings=no"]),
    "--link-journal=try-guest",
    ...(type === "mstack" ? stackUsers(circumstances) : ["-U"]),
    ...networkOf(order, boots),
    ...order.options,
    ...(boots ? order.environment.map((assignment) => `--setenv=${assignment}`) : []),
    ...programOf(order, settings, circumstances),
  ];
}
