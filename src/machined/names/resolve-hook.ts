// Names of machines for systemd-resolved (io.systemd.Resolve.Hook, since 259).
//
// Only the exact name of a machine is ours: the original answers NXDOMAIN for everything below it, so that a machine
// called `ai` hides all of `.ai` (systemd#43783). Only machines that root registered are answered for: another user
// could otherwise take any name. A machine without addresses is "not mine", not an error that costs the whole query.

import { IoSystemdResolveHook } from "../../api/io-systemd-resolve.ts";
import type { VarlinkParameters, VarlinkResult } from "../../api/varlink-table.ts";
import { errnoNameOf, invalidArgument, MachinedError } from "../../base/error.ts";
import { type BoundVarlink, bindVarlink, type VarlinkCall } from "../../ipc/varlink/binding.ts";
import type { LocalAddress } from "../../kernel/socket/netlink.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import type { Daemon } from "../action/daemon.ts";
import { neighbourAddresses } from "../machines/vm-addresses.ts";

const CLASS_IN = 1;
const RCODE_SUCCESS = 0;
/** DNS record type → address family, length in bytes. */
const ADDRESS_TYPES: Readonly<Record<number, { family: number }>> = { 1: { family: 2 }, 28: { family: 10 } };

type Table = typeof IoSystemdResolveHook;
type Filter = VarlinkResult<Table, "QueryFilter">;
type Answer = VarlinkResult<Table, "ResolveRecord">;
type Resource = NonNullable<Answer["answer"]>[number];
type Question = VarlinkParameters<Table, "ResolveRecord">["question"][number];
type ResourceKey = Question["key"];

export class ResolveHook {
  readonly bound: BoundVarlink;
  readonly #daemon: Daemon;
  readonly #subscribers = new Set<VarlinkCall<Filter>>();

  constructor(daemon: Daemon) {
    this.#daemon = daemon;
    this.bound = bindVarlink(IoSystemdResolveHook, {
      QueryFilter: (call) => this.#queryFilter(call),
      ResolveRecord: (_call, { question }) => this.#resolve(question),
    });
  }

  /** Tells everyone who filters that machines came or went. */
  changed(): void {
    if (this.#subscribers.size === 0) return;
    const filter = this.#filter();
    for (const call of this.#subscribers) call.emit(filter);
  }

  #queryFilter(call: VarlinkCall<Filter>): Filter | Promise<never> {
    if (!call.more) return this.#filter();
    this.#subscribers.add(call);
    call.onGone(() => this.#subscribers.delete(call));
    call.emit(this.#filter());
    return new Promise<never>(() => {}); // until the subscriber goes
  }

  #filter(): Filter {
    const names = Array.from(this.#daemon.registry.list())
      .filter(isTrusted)
      .map((machine) => machine.name);
    const labels = names.map((name) => name.split(".").length);
    const most = labels.length === 0 ? undefined : Math.max(...labels);
    return { filterDomains: names, filterLabelsMax: most };
  }

  #resolve(questions: readonly Question[]): Answer {
    if (questions.length === 0) throw invalidArgument("question", "No question");
    const machines = questions.map(({ key }) => this.#machineOf(key));
    if (machines.every((machine) => machine === null)) return {};
    const answer: Resource[] = [];
    let isOurs = false;
    for (const [index, { key }] of questions.entries()) {
      const machine = machines[index];
      if (machine === null || machine === undefined) continue;
      const addresses = this.#addressesOf(machine);
      if (addresses === null) continue;
      isOurs = true;
      const family = ADDRESS_TYPES[Number(key.type)]?.family;
      for (const address of addresses) if (address.family === family) answer.push(record(key, machine, address));
    }
    return isOurs ? { rcode: RCODE_SUCCESS, answer } : {};
  }

  #machineOf({ name, class: dnsClass = CLASS_IN }: ResourceKey): Machine | null {
    const machine = Number(dnsClass) === CLASS_IN ? this.#daemon.registry.find(name) : null;
    return machine !== null && isTrusted(machine) ? machine : null;
  }

  /** null where the machine has no network of its own, or no addresses in it. */
  #addressesOf(machine: Machine): readonly LocalAddress[] | null {
    try {
      const addresses =
        machine.class === "vm"
          ? neighbourAddresses(machine.facts.networkInterfaces)
          : this.#daemon.addresses.of(machine);
      return addresses.length === 0 ? null : addresses;
    } catch (error) {
      if (!(error instanceof MachinedError) && errnoNameOf(error) === null) throw error;
      return null;
    }
  }
}

function isTrusted(machine: Machine): boolean {
  return !machine.isHost && (machine.facts.uid === 0 || machine.facts.uid === process.geteuid?.());
}

function record(key: ResourceKey, machine: Machine, address: LocalAddress): Resource {
  const owner = { class: CLASS_IN, type: Number(key.type), name: machine.name };
  const [ifindex] = machine.facts.networkInterfaces;
  return {
    rr: { key: owner, address: [...address.bytes] },
    raw: wireFormat(machine.name, owner.type, address.bytes).toString("base64"),
    ifindex: machine.facts.networkInterfaces.length === 1 ? ifindex : undefined,
  };
}

/** A resource record as it stands in a DNS message: name, type, class, TTL 0, data. */
function wireFormat(name: string, type: number, data: Uint8Array): Buffer {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  const fixed = Buffer.alloc(11);
  fixed.writeUInt16BE(type, 1);
  fixed.writeUInt16BE(CLASS_IN, 3);
  fixed.writeUInt16BE(data.length, 9);
  return Buffer.concat([...labels, fixed, data]);
}
