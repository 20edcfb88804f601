// The limits of the peers on all sockets of a daemon together: connections, memory, and time. Every user has a share;
// all users except root and the daemon's own have a share together, so that root can always connect. A connection above
// the limit is closed, and the rest of the common share is for users with few connections or none (fair-share.ts).
// Where peers hold more memory than their share, the user that holds the most loses the connection that holds the most.
import { readFileSync } from "node:fs";
import { mayTakeAnother } from "../base/fair-share.ts";
import { shareOwner } from "../kernel/process/share-owner.ts";
import type { Caller } from "./caller.ts";
import { isPrivileged } from "./caller.ts";
import { FairTurns } from "./fair-turns.ts";

const MIB = 1 << 20;

interface PeerLimits {
  readonly connections: number;
  readonly bytes: number;
}

export interface AllLimits {
  /** All peers. */
  readonly total: PeerLimits;
  /** All peers except root and the daemon's own user. */
  readonly others: PeerLimits;
  /** One user of those. */
  readonly user: PeerLimits;
}

const LIMITS: AllLimits = {
  total: { connections: 4096, bytes: 384 * MIB },
  others: { connections: 2048, bytes: 96 * MIB },
  user: { connections: 512, bytes: 24 * MIB },
};

/**
 * Which users count as those with few connections (fair-share.ts). A script may make hundreds of short calls at once.
 */
const FEW = { little: 5 / 8, lastPart: 1 / 8 };

/** The place of one peer. */
export interface PeerPlace {
  /** Whether it is root or the daemon's own user. */
  readonly isPrivileged: boolean;
  /** The owner of the share: users that are counted as one have the same number. */
  readonly owner: number;
  /** Reports the present use of the peer: bytes in both directions. */
  hold(bytes: number): void;
  /** Frees the place. */
  leave(): void;
}

/** A sum with a limit; places count in one or more of them. */
class Account {
  readonly limits: PeerLimits;
  readonly places = new Set<TakenPlace>();
  bytes = 0;

  constructor(limits: PeerLimits) {
    this.limits = limits;
  }

  get isFull(): boolean {
    return this.places.size >= this.limits.connections;
  }

  get isOver(): boolean {
    return this.bytes > this.limits.bytes;
  }

  /** Returns the place that holds the most, of the user that holds the most. */
  greediest(): TakenPlace | null {
    let most: TakenPlace | null = null;
    for (const place of this.places) {
      const more = most === null ? 1 : place.user.bytes - most.user.bytes || place.bytes - most.bytes;
      if (more > 0) most = place;
    }
    return most;
  }
}

/** Where a place is counted. */
interface Accounts {
  readonly isPrivileged: boolean;
  readonly user: Account;
  readonly others: readonly Account[];
}

class TakenPlace implements PeerPlace {
  readonly isPrivileged: boolean;
  readonly owner: number;
  readonly user: Account;
  readonly evict: (reason: Error) => void;
  readonly #accounts: readonly Account[];
  readonly #left: () => void;
  #isTaken = true;
  bytes = 0;

  constructor(owner: number, accounts: Accounts, evict: (reason: Error) => void, left: () => void) {
    this.isPrivileged = accounts.isPrivileged;
    this.owner = owner;
    this.user = accounts.user;
    this.#accounts = [accounts.user, ...accounts.others];
    this.evict = evict;
    this.#left = left;
    for (const { places } of this.#accounts) places.add(this);
  }

  hold(bytes: number): void {
    if (!this.#isTaken || bytes === this.bytes) return;
    const isMore = bytes > this.bytes;
    for (const account of this.#accounts) account.bytes += bytes - this.bytes;
    this.bytes = bytes;
    if (isMore) for (const account of this.#accounts) relieve(account);
  }

  leave(): void {
    if (!this.#isTaken) return;
    this.hold(0);
    this.#isTaken = false;
    for (const { places } of this.#accounts) places.delete(this);
    this.#left();
  }
}

/** Ends connections until the account is within its limits; each of them frees what it held. */
function relieve(account: Account): void {
  while (account.isOver) {
    const place = account.greediest();
    if (place === null) return;
    place.evict(new Error("its user's peers hold more than their share of memory"));
    place.leave();
  }
}

/** One for each daemon: shares are over all of its sockets. */
export class Peers {
  readonly turns = new FairTurns();
  readonly #limits: AllLimits;
  readonly #total: Account;
  readonly #others: Account;
  readonly #privileged: Account;
  /** By the owner of the share. */
  readonly #users = new Map<number, Account>();

  constructor(limits: AllLimits = fitting(LIMITS, openFilesLimit())) {
    this.#limits = limits;
    this.#total = new Account(limits.total);
    this.#others = new Account(limits.others);
    this.#privileged = new Account(limits.total);
  }

  get connections(): number {
    return this.#total.places.size;
  }

  /** Returns a place for a peer, or null where it must be refused. `evict` must end the connection at once. */
  admit(caller: Caller, evict: (reason: Error) => void): PeerPlace | null {
    if (this.#total.isFull) return null;
    if (isPrivileged(caller)) {
      const accounts = { isPrivileged: true, user: this.#privileged, others: [this.#total] };
      return new TakenPlace(caller.uid, accounts, evict, () => {});
    }
    const owner = shareOwner(caller.uid);
    const user = this.#users.get(owner) ?? new Account(this.#limits.user);
    const limits = { all: this.#limits.others.connections, each: this.#limits.user.connections, ...FEW };
    if (!mayTakeAnother(user.places.size, this.#others.places.size, limits)) return null;
    this.#users.set(owner, user);
    const accounts = { isPrivileged: false, user, others: [this.#others, this.#total] };
    return new TakenPlace(owner, accounts, evict, () => {
      if (user.places.size === 0) this.#users.delete(owner);
    });
  }
}

/** Limits connections by the files that the process may open: half of them for all peers, an eighth for one user. */
function fitting(limits: AllLimits, openFiles: number): AllLimits {
  const cut = (of: PeerLimits, most: number) => ({
    ...of,
    connections: Math.min(of.connections, Math.floor(most)),
  });
  return {
    total: cut(limits.total, openFiles / 2),
    others: cut(limits.others, openFiles / 4),
    user: cut(limits.user, openFiles / 8),
  };
}

/** Returns the soft limit of files that this process may open. */
export function openFilesLimit(): number {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1")) ?? [];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}
