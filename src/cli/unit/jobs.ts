// Waits for jobs of the service manager, and formats the reasons of failures (org.freedesktop.systemd1(5),
// "JobRemoved").

import { errnoText } from "../../base/errno.ts";
import { SYSTEMD1_MANAGER, SYSTEMD1_NAME, SYSTEMD1_PATH } from "../../base/vocabulary/bus-peers.ts";
import { Failure } from "../session/failure.ts";
import type { Bus } from "../session/ports.ts";
import type { Session } from "../session/session.ts";
import { unitPath } from "./processes.ts";

const GOOD_RESULTS = ["done", "skipped"];

/**
 * Messages by the result of a job; `%` stands for the unit. For other results, the result of the service is printed.
 */
const RESULT_TEXTS: Readonly<Record<string, string>> = {
  canceled: "Job for % canceled.",
  timeout: "Job for % timed out.",
  dependency: "A dependency job for % failed. See 'journalctl -xe' for details.",
  invalid: "% is not active, cannot reload.",
  assert: "Assertion failed on job for %.",
  unsupported: "Operation on or unit type of % not supported on this system.",
  collected: "Queued job for % was garbage collected.",
  once: "Unit % was started already once and can't be started again.",
  frozen: "Cannot perform operation on frozen unit %.",
};

/** Reasons by the property `Result` of a service. */
const REASONS: Readonly<Record<string, string>> = {
  resources: "of unavailable resources or another system error",
  protocol: "the service did not take the steps required by its unit configuration",
  timeout: "a timeout was exceeded",
  "exit-code": "the control process exited with error code",
  signal: "a fatal signal was delivered to the control process",
  "core-dump": "a fatal signal was delivered causing the control process to dump core",
  watchdog: "the service failed to send watchdog ping",
  "start-limit-hit": "start of the service was attempted too often",
};

/** A job that has ended. */
interface Removed {
  readonly unit: string;
  readonly result: string;
}

/** Records all jobs that end after start(), because a job may end before the reply of the call that has queued it. */
export class JobWatch {
  readonly #ended = new Map<string, Removed>();
  #changed: () => void = () => {};
  #lost = false;

  /** Subscribes to the service manager's signals on a bus. */
  static async start(bus: Bus): Promise<JobWatch> {
    const watch = new JobWatch();
    const where = { path: SYSTEMD1_PATH, interface: SYSTEMD1_MANAGER, member: "JobRemoved" };
    await bus.subscribe({ sender: SYSTEMD1_NAME, ...where }, ([, job, unit, result]) => {
      watch.#ended.set(String(job), { unit: String(unit), result: String(result) });
      watch.#changed();
    });
    bus.onClose(() => {
      watch.#lost = true;
      watch.#changed();
    });
    return watch;
  }

  /** Waits until all jobs, given by object path, have ended. Throws a Failure if the bus connection ends first. */
  async wait(jobs: readonly string[]): Promise<Removed[]> {
    for (;;) {
      const removed = jobs.map((job) => this.#ended.get(job));
      if (removed.every((job) => job !== undefined)) return removed;
      if (this.#lost) throw new Failure(`Failed to wait for jobs: ${errnoText("ECONNRESET")}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }
}

async function serviceResult(session: Session, unit: string): Promise<string> {
  try {
    return String(await session.unitProperty(unitPath(unit), `${SYSTEMD1_NAME}.Service`, "Result"));
  } catch {
    return "";
  }
}

/** Returns the lines to print about a failed job; none for a job that has succeeded. */
export async function jobComplaint(session: Session, { unit, result }: Removed): Promise<string[]> {
  if (GOOD_RESULTS.includes(result)) return [];
  const text = RESULT_TEXTS[result];
  if (text !== undefined) return [text.replace("%", unit)];
  const reason = REASONS[await serviceResult(session, unit)];
  return [
    `Job for ${unit} failed${reason === undefined ? "" : ` because ${reason}`}.`,
    `See "systemctl status ${unit}" and "journalctl -xeu ${unit}" for details.`,
  ];
}

/** Whether a job has succeeded. */
export function endedWell({ result }: Removed): boolean {
  return GOOD_RESULTS.includes(result);
}
