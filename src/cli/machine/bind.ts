// `machinectl bind`: shows a file or directory of this host in a machine.
import { startPolkitAgent } from "../session/agents.ts";
import { failed } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

/** The verb `bind`: without a second path the manager takes the first for both. */
export async function bind(session: Session, [machine = "", path = "", inMachine = ""]: readonly string[]) {
  const { readOnly, mkdir } = session.settings;
  await startPolkitAgent(session);
  try {
    const paths = { source: path, destination: inMachine };
    await session.manager("BindMountMachine", { name: machine, ...paths, read_only: readOnly, mkdir });
  } catch (error) {
    const target = inMachine === "" ? "" : ` to '${inMachine}'`;
    throw failed(`Failed to bind mount '${path}'${target} in machine '${machine}'`, error);
  }
  return 0;
}
