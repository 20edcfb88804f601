// Gathers all facts for the checks of one machine, concurrently and each with a time limit.
import { ERRORS } from "../../base/error.ts";
import { isGlobalAddress } from "../../base/ip-address.ts";
import { sameNamespace } from "../../kernel/process/namespace.ts";
import { type MachineFacts, machineDetails } from "../machine/details.ts";
import { isBusFailure, orNull } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { unitInterface, unitPath } from "../unit/processes.ts";
import type { Learned } from "./finding.ts";
import { gatherUnit } from "./gather-services.ts";
import { learnAll, runOwnVerb, runProgram } from "./learn.ts";
import { hasMachineBus } from "./machine-bus.ts";
import type { ImageFacts, MachineCheckFacts, NetworkFacts } from "./machine-facts.ts";

async function gatherImage(session: Session, name: string): Promise<ImageFacts | null> {
  const found = await orNull(session.manager("GetImage", { name }));
  if (found === null) return null;
  const properties = await session.properties(found.image);
  const value = (property: string) => properties.get(property)?.value;
  return { name: String(value("Name")), type: String(value("Type")), isReadOnly: value("ReadOnly") === true };
}

async function hasOwnNetwork(session: Session, name: string): Promise<boolean> {
  try {
    await session.manager("GetMachineAddresses", { name });
    return true;
  } catch (error) {
    if (isBusFailure(error, ERRORS.NoPrivateNetworking.bus)) return false;
    throw error;
  }
}

async function gatherNetwork(session: Session, facts: MachineFacts): Promise<NetworkFacts> {
  const { interfaces, addresses } = await machineDetails(session, facts);
  return {
    isPrivate: facts.class === "vm" || (await hasOwnNetwork(session, facts.name)),
    hostInterfaces: interfaces.map(({ index, name }) => name ?? String(index)),
    addresses: addresses.map(({ text }) => text).filter(isGlobalAddress),
  };
}

/** Returns null if the machine has no systemctl, or the caller may not enter it. */
async function gatherOwnNetworkd(name: string): Promise<MachineCheckFacts["ownNetworkd"]> {
  const ask = async (verb: string) => {
    const { output } = await runOwnVerb(["exec", "--stdin=no", name, "systemctl", verb, "systemd-networkd.service"]);
    return output.trim();
  };
  const [active, enabled] = await Promise.all([ask("is-active"), ask("is-enabled")]);
  return active === "" ? null : { active, enabled };
}

/** Returns the addresses that the C library of this host finds for the name. */
async function gatherLookup(name: string): Promise<string[]> {
  const { output } = await runProgram(["getent", "ahosts", name]);
  return [...new Set(output.split("\n").map((line) => line.split(/\s/)[0] ?? ""))].filter((text) => text !== "");
}

/** Runs child processes for this, because access to the machine's file systems may block. */
async function gatherBusSocket({ leaderPid }: MachineFacts): Promise<boolean> {
  const { code } = await runProgram(["test", "-d", `/proc/${leaderPid}/root/`]);
  if (code !== 0) throw new Error("only root can read files of the machine");
  return hasMachineBus(leaderPid);
}

async function gatherDelegates(session: Session, { unit }: MachineFacts): Promise<boolean | null> {
  if (unit === "") return null;
  return (await session.unitProperty(unitPath(unit), unitInterface(unit), "Delegate")) === true;
}

function gatherOwnGroups({ leaderPid }: MachineFacts): boolean | null {
  try {
    return !sameNamespace(leaderPid, "cgroup");
  } catch {
    return null;
  }
}

/** Gathers the facts of a registered machine. */
export function gatherMachine(session: Session, machine: MachineFacts): Promise<Learned<MachineCheckFacts>> {
  const { name } = machine;
  return learnAll<MachineCheckFacts>({
    machine: () => machine,
    leader: async () => (await session.ports.processName(machine.leaderPid)) ?? "unknown",
    image: () => gatherImage(session, name),
    delegates: () => gatherDelegates(session, machine),
    ownGroups: () => gatherOwnGroups(machine),
    network: () => gatherNetwork(session, machine),
    hostNetworkd: () => gatherUnit(session, "networkd"),
    ownNetworkd: () => gatherOwnNetworkd(name),
    lookup: () => gatherLookup(name),
    hasBus: () => gatherBusSocket(machine),
  });
}
