// Makes the command line of systemd-nspawn(1) for a machine that `run` starts.
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

/** The path of the helper program in the machine. */
const KEEPER = "/run/machined-keeper";

/** Kinds of network that have a name: `bridge:br0`, `zone:z`, `interface:eth1`, `macvlan:eth0`, `ipvlan:eth0`. */
const NAMED_NETWORKS = ["bridge", "zone", "interface", "macvlan", "ipvlan"];

/** Returns the options of systemd-nspawn for a value of `--network=`; undefined for an invalid value. */
export function networkOptions(network: string): string[] | undefined {
  if (network === "host") return [];
  if (network === "none") return ["--private-network"];
  if (network === "veth") return ["--network-veth"];
  const colon = network.indexOf(":");
  const [kind, name] = [network.slice(0, colon), network.slice(colon + 1)];
  return NAMED_NETWORKS.includes(kind) && name !== "" ? [`--network-${kind}=${name}`] : undefined;
}

/** Returns the option for user namespaces of stacks of layers, which only systemd-nsresourced can provide. */
function stackUsers({ hasManagedUsers }: NspawnCircumstances): string[] {
  return [`--private-users=${hasManagedUsers ? "managed" : "no"}`];
}

/**
 * Returns the network options. The default for an image without an init is the network of the host, because nothing
 * would configure an interface in the machine.
 */
function networkOf(order: RunOrder, boots: boolean): string[] {
  const network = order.network ?? (boots ? "veth" : "host");
  const isHost = network === "host";
  if (isHost && order.options.some((option) => option.startsWith("--port="))) {
    throw new Failure(
      "--port= needs a network of the machine's own: use --network=veth, with a program in the machine that configures it",
    );
  }
  return networkOptions(network) ?? [];
}

/**
 * Returns the options and words for the machine's first program: the init, the waiting helper, or the image's program.
 */
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
    throw new Failure(
      `Image '${order.image}' has no init, and its settings name no program: add a command to the command line`,
    );
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

/** Facts about the image and the host. */
export interface NspawnCircumstances {
  /** Whether the image's init is booted. */
  readonly boots: boolean;
  /** The path of the helper program on the host; "" if `boots`. */
  readonly keeper: string;
  /** The user as whom the image's own program is run. */
  readonly account: ImageAccount;
  /** Whether systemd-nsresourced, which assigns ranges of user ids, runs. */
  readonly hasManagedUsers: boolean;
  /** Whether the administrator has a settings file for a machine of this name. */
  readonly isConfigured: boolean;
}

/** Returns the arguments without the name of the program. Throws a Failure for an order that cannot be run. */
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
    // The settings beside a container image have been translated to these arguments.
    ...(boots || isConfigured ? [] : ["--settings=no"]),
    "--link-journal=try-guest",
    ...(type === "mstack" ? stackUsers(circumstances) : ["-U"]),
    ...networkOf(order, boots),
    ...order.options,
    ...(boots ? order.environment.map((assignment) => `--setenv=${assignment}`) : []),
    ...programOf(order, settings, circumstances),
  ];
}
