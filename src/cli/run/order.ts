// The data that the client of `run` and the process in the unit exchange: the order goes to the unit as an argument,
// the facts come back in a file.
import { join } from "node:path";
import type { ImageType } from "../../base/vocabulary/image-class.ts";
import type { Runner } from "../session/settings.ts";

/** What the unit runs. */
export interface RunOrder {
  /** The program that runs the machine: systemd-nspawn(1) or systemd-vmspawn(1). */
  readonly runner: Runner;
  readonly image: string;
  readonly machine: string;
  /** Whether a clone of the image is run, which is removed at the end. */
  readonly isTemporary: boolean;
  /** Whether the machine is for one command: it ends when the pipe on descriptor 0 of the unit ends. */
  readonly hasCommand: boolean;
  /** `--network=`; null to choose by the image. */
  readonly network: string | null;
  /** Further options of the runner. */
  readonly options: readonly string[];
  /** Assignments for the image's own program. */
  readonly environment: readonly string[];
}

/** What the unit has found in the image; the client needs it to run a command in the machine. */
export interface RunFacts {
  readonly type: ImageType;
  /** Whether the image's init is booted. The other fields are from the settings beside the image. */
  readonly boots: boolean;
  readonly command: readonly string[];
  readonly user: string | null;
  readonly directory: string | null;
  readonly environment: readonly string[];
}

/** Returns the runtime directory of a machine's unit, relative to /run. */
export function runtimeDirectory(machine: string): string {
  return join("machined-run", machine);
}

/** Returns the path of the file with the facts. */
export function factsPath(machine: string): string {
  return join("/run", runtimeDirectory(machine), "facts.json");
}

/** Returns the name of a machine's unit. */
export function unitOfRun(machine: string): string {
  return `machined-run-${machine}.service`;
}

/** Encodes an order in characters that neither systemd nor a shell interprets. */
export function packOrder(order: RunOrder): string {
  return Buffer.from(JSON.stringify(order)).toString("base64url");
}

/** Decodes the result of packOrder(). */
export function unpackOrder(text: string): RunOrder {
  return JSON.parse(Buffer.from(text, "base64url").toString()) as RunOrder; // packOrder() made it
}
