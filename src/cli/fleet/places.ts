// Machines of the fleet on the command line: HOST/NAME.
import { isMachineName } from "../../base/names.ts";
import { isFleetHost } from "../../fleet/names.ts";
import { Failure } from "../session/failure.ts";

/** A host, and the named machines on it. */
export interface Place {
  readonly host: string;
  readonly machines: readonly string[];
}

/** Splits `HOST/NAME`; throws a Failure for anything else. */
function parsePlace(word: string): { host: string; machine: string } {
  const [host = "", machine = "", ...rest] = word.split("/");
  if (rest.length > 0 || !isFleetHost(host) || !isMachineName(machine)) {
    throw new Failure(`'${word}' is not of the form HOST/NAME`, {
      hint: "'machinectl --fleet list' shows both names, for example web1/db.",
    });
  }
  return { host, machine };
}

/**
 * Returns the machines by host, in the order in which the hosts are named. Throws a Failure for a host that is not
 * among those of -H.
 */
export function placesOf(words: readonly string[], hosts: readonly string[] | null): Place[] {
  const places = new Map<string, string[]>();
  for (const word of words) {
    const { host, machine } = parsePlace(word);
    if (hosts !== null && !hosts.includes(host))
      throw new Failure(`'${word}' names a host that is not among those of -H`);
    const machines = places.get(host) ?? [];
    places.set(host, machines);
    if (!machines.includes(machine)) machines.push(machine);
  }
  return [...places].map(([host, machines]) => ({ host, machines }));
}
