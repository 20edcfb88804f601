// The IP addresses of a machine, queried from the kernel in the machine's network namespace, without a child process.
// A netlink socket that is subscribed to changes is kept for each machine, so that an unchanged answer costs one call.
import { MachinedError } from "../../base/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { namespaceId } from "../../kernel/process/namespace.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";
import {
  dumpAddresses,
  hasChanged,
  type LocalAddress,
  openAddressEvents,
  openAddressSocket,
} from "../../kernel/socket/netlink.ts";
import { AF_INET } from "../../kernel/syscall/constants.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import type { Machine } from "./machine.ts";

/** Addresses of rtnetlink scopes from here on (host, nowhere) cannot be reached from outside. */
const SCOPE_HOST = 254;
const FLAG_DEPRECATED = 0x20;
const FLAG_TENTATIVE = 0x40;

/**
 * The pause after a failed query, as of a machine whose table is too large or changes all the time: each query blocks
 * the daemon.
 */
const FAILURE_MS = 5_000;

interface Cached {
  readonly namespace: string;
  /** Subscribed to changes: the addresses are valid until one arrives. */
  readonly events: Fd;
  answer: { readonly addresses: readonly LocalAddress[] } | { readonly error: unknown; readonly untilMs: number };
}

/** The addresses of the machines of one registry. `forget` must be called when a machine is removed. */
export class Addresses {
  readonly #cache = new Map<Machine, Cached>();
  readonly #host = namespaceId("self", "net");

  /**
   * Returns the machine's addresses, IPv4 first. Throws NotSupported for a VM, NoPrivateNetworking for a machine in the
   * host's network, and an error with errno when the leader has ended.
   */
  of(machine: Machine): readonly LocalAddress[] {
    if (machine.class === "vm") {
      throw new MachinedError("NotSupported", "Requesting IP address data is only supported on container machines.", {
        parameters: {},
      });
    }
    const { leader } = machine;
    const namespace = machine.isHost ? this.#host : leader.verified(() => namespaceId(leader.pid, "net"));
    if (!machine.isHost && namespace === this.#host) {
      throw new MachinedError("NoPrivateNetworking", `Machine ${machine.name} does not use private networking`);
    }
    const cached = this.#cache.get(machine);
    if (cached?.namespace === namespace) {
      const { answer } = cached;
      if ("error" in answer ? performance.now() < answer.untilMs : !hasChanged(cached.events)) return given(answer);
    }
    return this.#refresh(machine, namespace, cached);
  }

  #refresh(machine: Machine, namespace: string, old: Cached | undefined): readonly LocalAddress[] {
    if (old !== undefined && old.namespace !== namespace) this.forget(machine);
    const process = machine.isHost ? null : machine.leader;
    // The socket subscribes before the query, so that a change in between makes the next call query again.
    const events = this.#cache.get(machine)?.events ?? openAddressEvents(process);
    const answer = ask(process);
    this.#cache.set(machine, { namespace, events, answer });
    return given(answer);
  }

  /** Closes the machine's socket, which would keep the network namespace alive. */
  forget(machine: Machine): void {
    this.#cache.get(machine)?.events.close();
    this.#cache.delete(machine);
  }
}

function ask(process: PidRef | null): Cached["answer"] {
  try {
    using socket = openAddressSocket(process);
    return { addresses: usable(dumpAddresses(socket)) };
  } catch (error) {
    const isTheirs = isErrno(error, "ENOBUFS", "ETIMEDOUT", "EBUSY");
    return { error, untilMs: isTheirs ? performance.now() + FAILURE_MS : 0 };
  }
}

function given(answer: Cached["answer"]): readonly LocalAddress[] {
  if ("error" in answer) throw answer.error;
  return answer.addresses;
}

/** Returns the addresses that a peer can use, in the original's order: family, scope, interface, bytes. */
function usable(addresses: readonly LocalAddress[]): LocalAddress[] {
  return addresses
    .filter(({ flags, scope }) => (flags & (FLAG_DEPRECATED | FLAG_TENTATIVE)) === 0 && scope < SCOPE_HOST)
    .sort(compare);
}

function compare(a: LocalAddress, b: LocalAddress): number {
  return rank(a) - rank(b) || a.scope - b.scope || a.ifindex - b.ifindex || Buffer.compare(a.bytes, b.bytes);
}

function rank({ family }: LocalAddress): number {
  return family === AF_INET ? 0 : 1;
}
