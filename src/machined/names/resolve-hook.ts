// Names of machines for systemd-resolved (io.systemd.Resolve.Hook, since 259).
//
// Only the exact name of a machine is answered: the original answers NXDOMAIN for all names below it, so that a machine
// called `ai` hides all of `.ai` (systemd#43783). For a machine without addresses the reply is empty, "unknown name":
// an error would fail the whole query.

import { IoSystemdResolveHook } from "../../api/varlink/io-systemd-resolve.ts";
import type { VarlinkParameters, VarlinkResult } from "../../api/varlink-table.ts";
import { errnoNameOf, invalidArgument, MachinedError } from "../../base/error.ts";
import { formatJson } from "../../base/text/json.ts";
import { type BoundVarlink, bindVarlink, type VarlinkCall } from "../../ipc/varlink/binding.ts";
import type { LocalAddress } from "../../kernel/socket/netlink.ts";
import type { Daemon } from "../action/daemon.ts";
import { addressesForName, isResolvable, type NamedAddresses } from "./addresses-for-name.ts";

/**
 * The most questions of a call. systemd-resolved asks one or two; every user may ask, each question is a look at the
 * machine's network, and its answer has all addresses there.
 */
const QUESTIONS_LIMIT = 16;
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
  /** A function for each subscriber, which sends it the filter of the present machines. */
  readonly #subscribers = new Set<() => void>();
  /** Counts the changes of the machines. */
  #changes = 0;
  /** The filter as JSON, formatted once for all subscribers; null after a change. */
  #text: string | null = null;

  constructor(daemon: Daemon) {
    this.#daemon = daemon;
    this.bound = bindVarlink(IoSystemdResolveHook, {
      QueryFilter: (call) => this.#queryFilter(call),
      ResolveRecord: (_call, { question }) => this.#resolve(question),
    });
  }

  /**
   * Tells all subscribers of the filter that machines were added or removed: each in a turn of its user, and as fast as
   * it reads. One that is late gets the last filter only.
   */
  changed(): void {
    this.#changes++;
    this.#text = null;
    for (const wake of this.#subscribers) wake();
  }

  #queryFilter(call: VarlinkCall<Filter>): Filter | Promise<never> {
    if (!call.more) return this.#filter();
    let told: number | null = null;
    const wake = call.feed(() => {
      if (told === this.#changes) return null;
      told = this.#changes;
      this.#text ??= formatJson(this.#filter());
      return this.#text;
    });
    this.#subscribers.add(wake);
    call.onGone(() => this.#subscribers.delete(wake));
    wake();
    return new Promise<never>(() => {}); // until the subscriber disconnects
  }

  #filter(): Filter {
    const names = Array.from(this.#daemon.registry.list())
      .filter(isResolvable)
      .map((machine) => machine.name);
    const labels = names.map((name) => name.split(".").length);
    const most = labels.length === 0 ? undefined : Math.max(...labels);
    return { filterDomains: names, filterLabelsMax: most };
  }

  #resolve(questions: readonly Question[]): Answer {
    if (questions.length === 0) throw invalidArgument("question", "No question");
    if (questions.length > QUESTIONS_LIMIT) throw invalidArgument("question", "Too many questions");
    const answer: Resource[] = [];
    let isOurs = false;
    for (const { key } of questions) {
      const found = this.#addressesOf(key);
      if (found === null) continue;
      isOurs = true;
      const family = ADDRESS_TYPES[Number(key.type)]?.family;
      for (const address of found.addresses) if (address.family === family) answer.push(record(key, found, address));
    }
    return isOurs ? { rcode: RCODE_SUCCESS, answer } : {};
  }

  /** Returns null where the machine has no network of its own, or no addresses in it. */
  #addressesOf({ name, class: dnsClass = CLASS_IN }: ResourceKey): NamedAddresses | null {
    if (Number(dnsClass) !== CLASS_IN) return null;
    try {
      const found = addressesForName(this.#daemon, name);
      return found === null || found.addresses.length === 0 ? null : found;
    } catch (error) {
      if (!(error instanceof MachinedError) && errnoNameOf(error) === null) throw error;
      return null;
    }
  }
}

function record(key: ResourceKey, { ifindex }: NamedAddresses, { bytes }: LocalAddress): Resource {
  const type = Number(key.type);
  return {
    rr: { key: { class: CLASS_IN, type, name: key.name }, address: [...bytes] },
    raw: wireFormat(key.name, type, bytes).toString("base64"),
    ifindex: ifindex ?? undefined,
  };
}

/** Returns a resource record as in a DNS message: name, type, class, TTL 0, data. */
function wireFormat(name: string, type: number, data: Uint8Array): Buffer {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  const fixed = Buffer.alloc(11);
  fixed.writeUInt16BE(type, 1);
  fixed.writeUInt16BE(CLASS_IN, 3);
  fixed.writeUInt16BE(data.length, 9);
  return Buffer.concat([...labels, fixed, data]);
}
