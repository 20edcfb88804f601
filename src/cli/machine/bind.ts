// `machinectl bind`: bind mounts a file or directory of this host into a machine (machinectl(1), "bind").
import { startPolkitAgent } from "../session/agents.ts";
import { failed } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

/** The verb `bind`. An empty second path makes the manager use the first one in the machine as well. */
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
