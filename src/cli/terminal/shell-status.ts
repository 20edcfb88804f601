// What became of a program that `machinectl shell` ran: the service manager of its machine knows. It is asked directly,
// because the machine manager has no word for it: the service's properties are followed from before it is started.
import { ServiceManager, SYSTEMD1_NAME, SYSTEMD1_PATH } from "../../api/systemd1.ts";
import { busLabelEscape } from "../../base/names.ts";
import { callTyped } from "../../ipc/bus/typed-call.ts";
import { Failure, failed } from "../session/failure.ts";
import type { Bus } from "../session/ports.ts";
import type { Session } from "../session/session.ts";

const UNITS = `${SYSTEMD1_PATH}/unit`;
/** After the terminal is closed the end of the program is known at once, unless the machine went with it. */
const WAIT_MS = 10_000;
/** The code of waitid(2) for a process that exited. */
const CLD_EXITED = 1;
const BY_SIGNAL = 128;

interface Exit {
  readonly code: number;
  readonly status: number;
}

export class ShellStatus {
  readonly #exits = new Map<string, Exit>();
  #path = "";
  #changed = () => {};

  /** Begins to follow the services of a machine. Throws a Failure where its service manager cannot be reached. */
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
      // The body of PropertiesChanged is sa{sv}as by definition.
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

  /** Says which terminal the program is on, by its path in the machine. */
  opened(terminal: string): void {
    const unit = `container-shell@${terminal.replace(/^\/dev\/pts\//, "")}.service`;
    this.#path = `${UNITS}/${busLabelEscape(unit)}`;
  }

  /** Waits for the program and returns its exit status as shells do: 128 plus the number for a signal. */
  async result(): Promise<number> {
    const deadline = Date.now() + WAIT_MS;
    for (;;) {
      const exit = this.#exits.get(this.#path);
      if (exit !== undefined) return exit.code === CLD_EXITED ? exit.status : BY_SIGNAL + exit.status;
      const left = deadline - Date.now();
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

async function connect(session: Session, machine: string): Promise<Bus> {
  if (machine === ".host") return session.bus();
  return session.connectBus({ kind: "machine", name: machine });
}
