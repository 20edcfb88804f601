// A machine: facts that were registered or seen, and questions about them. State is derived, never stored
// (org.freedesktop.machine1(5), "Machine Objects").
import type { Id128 } from "../../base/id128.ts";
import { unitNameEscape } from "../../base/names.ts";
import type { MachineClass } from "../../base/vocabulary/machine.ts";
import type { Watch } from "../../kernel/event/poller.ts";
import { isCgroupPopulated } from "../../kernel/process/cgroup.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";
import type { UnitPlace } from "../ports.ts";
import type { MachineDescription } from "./description.ts";

/** The scope that is made for a machine of this name. */
export function scopeOf(name: string): string {
  return `machine-${unitNameEscape(name)}.scope`;
}

type MachineState = "opening" | "running" | "closing";

/** What is known of a machine from its registration. */
export interface MachineFacts extends MachineDescription {
  readonly name: string;
  readonly id: Id128 | null;
  readonly class: MachineClass;
  /** The user that registered it: it may end it and open terminals without being asked. */
  readonly uid: number;
  readonly leader: PidRef;
  /** Looks after the machine; terminating it must end the machine even when the leader ignores SIGTERM. */
  readonly supervisor: PidRef | null;
}

export class Machine {
  readonly facts: MachineFacts;
  /** Where the leader lives: set when it is registered, or when its scope has been made (then without its cgroup). */
  place: UnitPlace | null = null;
  /** The scope was made for this machine: it goes with it. */
  ownsUnit = false;
  /** µs of the two clocks; null until it has been started. */
  startedAt: { realtimeUsec: bigint; monotonicUsec: bigint } | null = null;
  /** The pending start or stop job of the service manager. */
  job: string | null = null;
  stopping = false;
  /** It had a supervisor, which ended before this daemon was started. */
  hasLostSupervisor = false;
  /** Known to the world: listed, announced, saved. */
  started = false;
  readonly watches: Watch[] = [];
  #collected = false;

  constructor(facts: MachineFacts) {
    this.facts = facts;
  }

  /** Whether the other is this very registration, and not a later one under its name. */
  isSame(other: unknown): boolean {
    return this === other;
  }

  get name(): string {
    return this.facts.name;
  }

  get class(): MachineClass {
    return this.facts.class;
  }

  get leader(): PidRef {
    return this.facts.leader;
  }

  get state(): MachineState {
    if (this.isHost) return "running";
    if (this.stopping) return "closing";
    return this.job === null ? "running" : "opening";
  }

  get isHost(): boolean {
    return this.facts.class === "host";
  }

  /** Whether its leader is gone. The host has none that could go. */
  get isLeaderless(): boolean {
    return !this.isHost && !this.leader.isAlive();
  }

  /** Whether anybody is left where the leader lived, as far as that place is known. */
  get isOccupied(): boolean {
    const cgroup = this.place?.cgroup ?? "";
    return cgroup !== "" && isCgroupPopulated(cgroup);
  }

  /** Whether a user other than root registered it and so may end it unasked. */
  isOwnedBy(uid: number): boolean {
    return !this.isHost && this.facts.uid === uid;
  }

  /** Ends all watches and closes what pins its processes. Once. */
  release(): void {
    if (this.#collected) return;
    this.#collected = true;
    for (const watch of this.watches) watch.stop();
    this.facts.leader[Symbol.dispose]();
    this.facts.supervisor?.[Symbol.dispose]();
  }
}
