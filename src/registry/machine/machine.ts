// A machine: facts that were registered or observed, and what follows from them. Its state is computed, never stored
// (org.freedesktop.machine1(5), "Machine Objects").
import type { Id128 } from "../../base/id128.ts";
import { unitNameEscape } from "../../base/names.ts";
import type { MachineClass } from "../../base/vocabulary/machine.ts";
import { isCgroupPopulated } from "../../kernel/cgroup/cgroup.ts";
import type { Watch } from "../../kernel/event/poller.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";
import type { UnitPlace } from "../ports.ts";
import type { MachineDescription } from "./description.ts";

/** Returns the name of the scope for a machine of this name. */
export function scopeOf(name: string): string {
  return `machine-${unitNameEscape(name)}.scope`;
}

type MachineState = "opening" | "running" | "closing";

/** What is known of a machine from its registration. */
export interface MachineFacts extends MachineDescription {
  readonly name: string;
  readonly id: Id128 | null;
  readonly class: MachineClass;
  /** The user that registered it. This user needs no permission to end it and to open terminals. */
  readonly uid: number;
  readonly leader: PidRef;
  /** The process that manages the machine; terminating it must end the machine even when the leader ignores SIGTERM. */
  readonly supervisor: PidRef | null;
}

export class Machine {
  readonly facts: MachineFacts;
  /** The place of the leader: set at registration, or when its scope has been made (then without its cgroup). */
  place: UnitPlace | null = null;
  /** The scope was made for this machine, and is stopped with it. */
  ownsUnit = false;
  /** µs of the two clocks; null until it has been started. */
  startedAt: { realtimeUsec: bigint; monotonicUsec: bigint } | null = null;
  /** The pending start or stop job of the service manager. */
  job: string | null = null;
  stopping = false;
  /** Its supervisor ended before this daemon was started. */
  hasLostSupervisor = false;
  /** Whether it is public: listed, announced, saved. */
  started = false;
  readonly watches: Watch[] = [];
  #collected = false;

  constructor(facts: MachineFacts) {
    this.facts = facts;
  }

  /** Whether the other is this very registration, and not a later one of the same name. */
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

  /** Whether its scope is still to be started: until then its leader is in a control group of other processes. */
  get awaitsScope(): boolean {
    return this.job !== null && this.place?.cgroup === "";
  }

  get isHost(): boolean {
    return this.facts.class === "host";
  }

  /** Whether its leader has ended. False for the host. */
  get isLeaderless(): boolean {
    return !this.isHost && !this.leader.isAlive();
  }

  /** Whether processes are left in the leader's cgroup; false where that is not known. */
  get isOccupied(): boolean {
    const cgroup = this.place?.cgroup ?? "";
    return cgroup !== "" && isCgroupPopulated(cgroup);
  }

  /** Whether that user registered it, and so may end it without a permission by polkit. */
  isOwnedBy(uid: number): boolean {
    return !this.isHost && this.facts.uid === uid;
  }

  /** Ends all watches and closes the pidfds of its processes; further calls do nothing. */
  release(): void {
    if (this.#collected) return;
    this.#collected = true;
    for (const watch of this.watches) watch.stop();
    this.facts.leader[Symbol.dispose]();
    this.facts.supervisor?.[Symbol.dispose]();
  }
}
