// `machinectl login`: opens a login prompt of a machine on the caller's terminal (machinectl(1), "login").
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { runTerminal } from "./session-verb.ts";

/** The verb `login`; without a name, the machine is this host. */
export async function login(session: Session, [name]: readonly string[]): Promise<number> {
  const { uid, environment } = session.settings;
  if (uid !== "" || environment.length > 0) {
    throw new Failure("--setenv= and --uid= are not supported for 'login'. Use 'shell' instead.");
  }
  const machine = name || ".host";
  const { status } = await runTerminal(session, {
    machine,
    kind: "login",
    runsProgram: false,
    open: () => session.manager("OpenMachineLogin", { name: machine }),
  });
  return status;
}
