// Finds the exit status of a program that `machinectl shell` has run (--wait-status). The machine manager has no call
// for it, so this connects to the service manager of the machine, and follows the properties of all its services from
// before the program's service is started.

import { ServiceManager } from "../../api/systemd1.ts";
import { busLabelEscape } from "../../base/names.ts";
import { SYSTEMD1_NAME, SYSTEMD1_PATH } from "../../base/vocabulary/bus-peers.ts";
import { callTyped } from "../../ipc/bus/typed-call.ts";
import { Failure, failed } from "../session/failure.ts";
import type { Bus } from "../session/ports.ts";
import type { Session } from "../session/session.ts";

const UNITS = `${SYSTEMD1_PATH}/unit`;
/**
 * How long to wait for the status after the terminal was closed. It comes at once, unless the machine has ended as
 * well.
 */
const WAIT_MS = 10_000;
/** The code of waitid(2) for a process that exited; other codes are for signals. */
const CLD_EXITED = 1;
const BY_SIGNAL = 128;

/** How a service's main process ended: code and status of waitid(2). */
interface Exit {
  readonly code: number;
  readonly status: number;
}

/** Follows the services of one machine. */
export class ShellStatus {
  /** By the object path of the unit. */
  readonly #exits = new Map<string, Exit>();
  #path = "";
  #changed = () => {};

  /** Begins to follow the services of a machine. Throws a Failure if its service manager cannot be reached. */
  static async follow(session: Session, machine: string): Promise<ShellStatus> {
    if (session.settings.transport.kind !== "local") {
      throw new Failure("--wait-status only works for machines of this host.");
    }
    try {
      const status = new ShellStatus();
      await status.#listen(await connect(session, machine));
      return status;
    } catch (error) {
      throw failed(`Failed to reach the service manager of '${machine}'`, error);
    }
  }

  async #listen(bus: Bus): Promise<void> {
    const rule = { sender: SYSTEMD1_NAME, pathNamespace: UNITS, member: "PropertiesChanged" };
    await bus.subscribe(rule, ([iface, changed], { path }) => {
      if (iface !== `${SYSTEMD1_NAME}.Service`) return;
      // The body of PropertiesChanged has the signature sa{sv}as.
      const properties = changed as ReadonlyMap<string, { readonly value: unknown }>;
      const [code, status] = [properties.get("ExecMainCode")?.value, properties.get("ExecMainStatus")?.value];
      if (typeof code !== "number" || typeof status !== "number") return;
      if (code === 0) this.#exits.delete(path);
      else this.#exits.set(path, { code, status });
      this.#changed();
    });
    const where = { destination: SYSTEMD1_NAME, path: SYSTEMD1_PATH };
    await callTyped((call) => bus.call(call), where, ServiceManager, "Subscribe", {});
  }

  /** Sets the terminal of the program by its path in the machine; the program's service is named after it. */
  opened(terminal: string): void {
    const unit = `container-shell@${terminal.replace(/^\/dev\/pts\//, "")}.service`;
    this.#path = `${UNITS}/${busLabelEscape(unit)}`;
  }

  /**
   * Waits for the program's end; returns its exit status, or 128 plus the number of a signal. Throws a Failure after
   * `waitMs`.
   */
  async result(waitMs = WAIT_MS): Promise<number> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      const exit = this.#exits.get(this.#path);
      if (exit !== undefined) return exit.code === CLD_EXITED ? exit.status : BY_SIGNAL + exit.status;
      const left = deadline - performance.now();
      if (left <= 0) throw new Failure("The exit status of the program is not known.");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** Connects to the bus on which the service manager of the machine is. */
async function connect(session: Session, machine: string): Promise<Bus> {
  if (machine === ".host") return session.bus("signals");
  return session.connectBus({ kind: "machine", name: machine }, "signals");
}
