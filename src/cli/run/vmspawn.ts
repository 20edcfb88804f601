// Makes the command line of systemd-vmspawn(1) for a virtual machine that `run -V` starts.
import type { ImageType } from "../../base/vocabulary/image-class.ts";
import { Failure } from "../session/failure.ts";
import type { ImagePlace } from "./image-tree.ts";
import type { RunOrder } from "./order.ts";

/** The option for each storage type of an image; null where no virtual machine can run from it. */
const PLACE_OPTIONS: Readonly<Record<ImageType, string | null>> = {
  directory: "--directory",
  subvolume: "--directory",
  raw: "--image",
  block: "--image",
  mstack: null,
};

/** The values of `--network=` with their options; a virtual machine has no interface without an option. */
const NETWORKS: ReadonlyMap<string, readonly string[]> = new Map([
  ["none", []],
  ["veth", ["--network-tap"]],
  ["user", ["--network-user-mode"]],
]);
/** The network of systemd-vmspawn@.service. */
const USUAL_NETWORK = "veth";

/** Throws a Failure for a value of `--network=` that virtual machines do not have. */
export function checkNetwork(network: string | null): void {
  if (network === null || NETWORKS.has(network)) return;
  throw new Failure(`A virtual machine has no network '${network}': use --network=${[...NETWORKS.keys()].join(", ")}`);
}

/** Facts about the host. */
interface VmspawnCircumstances {
  /** What `systemd-vmspawn --help` prints: an option that it does not list is left out. */
  readonly help: string;
  /** Whether the host has /dev/vhost-vsock, over which the machine reports that it has booted. */
  readonly hasVsock: boolean;
}

/**
 * Returns the arguments without the name of the program. Throws a Failure for an image that no virtual machine can run
 * from.
 */
export function vmspawnArguments(
  order: RunOrder,
  { path, type }: ImagePlace,
  { help, hasVsock }: VmspawnCircumstances,
): string[] {
  const canNotify = hasVsock && !order.options.includes("--vsock=no");
  const place = PLACE_OPTIONS[type];
  if (place === null) {
    throw new Failure(`Image '${order.image}' is a stack of layers, which only containers run from: leave out -V`);
  }
  return [
    "--quiet",
    "--register=yes",
    // Releases before this option start the machine in a scope of its own, which ends with the unit's process.
    ...(help.includes("--keep-unit") ? ["--keep-unit"] : []),
    // A machine that cannot report that it has booted would keep the start from ending.
    ...(!canNotify && help.includes("--notify-ready=") ? ["--notify-ready=no"] : []),
    `--machine=${order.machine}`,
    `${place}=${path}`,
    ...(NETWORKS.get(order.network ?? USUAL_NETWORK) ?? []),
    ...order.options,
  ];
}
