// Making scopes for machines: StartTransientUnit() of the service manager (org.freedesktop.systemd1(5)).
//
// Scopes are made with the original's properties except AddRef: for each reference PID 1 keeps a match rule on the bus,
// and dbus-daemon disconnects it at its 512th. AddRef keeps a unit loaded until its end was seen, which is not needed:
// the leader's pidfd reports the end (docs/decisions/0005-no-addref.md).
import { Variant } from "../../base/variant.ts";
import { BusError } from "../../ipc/bus/error.ts";
import type { ScopeRequest } from "../../registry/ports.ts";
import { SYSTEMD_MANAGER, type SystemdCalls } from "./systemd-calls.ts";
import type { SystemdJobs } from "./systemd-jobs.ts";

const START_SIGNATURE = "ssa(sv)a(sa(sv))";
const TASKS_MAX = 16384n;

export class SystemdScopes {
  readonly #calls: SystemdCalls;
  readonly #jobs: SystemdJobs;
  /** Whether scopes run as the user of their machine: a user's manager runs them as its own user. */
  readonly #setsUser: boolean;
  /** Whether the manager takes pidfds; before 253 it takes PIDs only. Detected once. */
  #takesPidfds = true;

  constructor(calls: SystemdCalls, jobs: SystemdJobs, setsUser: boolean) {
    this.#calls = calls;
    this.#jobs = jobs;
    this.#setsUser = setsUser;
  }

  /** Makes a scope; returns the job that starts it, or null where it has been started already. */
  async create(request: ScopeRequest): Promise<string | null> {
    // Read once: another call may detect meanwhile that the manager does not take pidfds.
    const byPidfd = this.#takesPidfds && request.leader.pidfd !== null;
    try {
      return await this.#make(request, byPidfd);
    } catch (error) {
      const refused = error instanceof BusError && /\.(UnknownProperty|PropertyReadOnly)$/.test(error.errorName);
      if (!refused || !byPidfd || !/PIDFDs/.test(error.message)) throw error;
      this.#takesPidfds = false;
      return this.#make(request, false);
    }
  }

  /** Without a reply the scope may have been made or not: it is queried before it is requested again. */
  async #make(request: ScopeRequest, byPidfd: boolean): Promise<string | null> {
    let isUncertain = false;
    const what = { unit: request.unit, makesActive: true };
    return this.#calls.insist(async () => {
      if (isUncertain) {
        const { isActive, job } = await this.#jobs.unitState(request.unit);
        if (isActive || job !== null) return this.#jobs.queued(job, what);
        request.leader.requireAlive();
      }
      isUncertain = true;
      return this.#jobs.queued(await this.#start(request, byPidfd), what);
    });
  }

  async #start(request: ScopeRequest, byPidfd: boolean): Promise<string> {
    const { leader } = request;
    if (!byPidfd) leader.requireAlive();
    const properties: [string, Variant][] = [
      ["Slice", new Variant("s", "machine.slice")],
      ["Description", new Variant("s", request.description)],
      byPidfd ? ["PIDFDs", new Variant("ah", [leader.pidfd])] : ["PIDs", new Variant("au", [leader.pid])],
      ["Delegate", new Variant("b", true)],
      ["CollectMode", new Variant("s", "inactive-or-failed")],
      ["TasksMax", new Variant("t", TASKS_MAX)],
    ];
    if (request.uid !== 0 && this.#setsUser) properties.push(["User", new Variant("s", String(request.uid))]);
    for (const [name, signature, value] of request.properties) properties.push([name, new Variant(signature, value)]);
    const body = [request.unit, "fail", properties, []];
    const call = { ...SYSTEMD_MANAGER, member: "StartTransientUnit", signature: START_SIGNATURE, body };
    const [job] = await this.#calls.askOnce(call);
    return job as string;
  }
}
