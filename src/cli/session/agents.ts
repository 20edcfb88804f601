// Agents that ask the user for passwords on the terminal while a verb runs: polkit's (pkttyagent(1)), and the agent for
// units that need a password to start (systemd-tty-ask-password-agent(1)).
import { errnoNameOf } from "../../base/error.ts";
import { reasonOf } from "./failure.ts";
import type { AgentCommand } from "./ports.ts";
import type { Session } from "./session.ts";

const POLKIT: AgentCommand = { argv: ["pkttyagent", "--fallback"], waitForReady: true };
const PASSWORDS: AgentCommand = { argv: ["systemd-tty-ask-password-agent", "--watch"], waitForReady: false };

/** Whether to start agents: they answer the daemons of this host only, and they need a terminal as standard input. */
function mayAsk(session: Session): boolean {
  return session.settings.transport.kind === "local" && session.settings.askPassword && session.ports.isTty(0);
}

/** Starts an agent. Where that fails, the verb continues: it may need no password, or be refused, which it reports. */
async function start(session: Session, command: AgentCommand): Promise<void> {
  try {
    const agent = await session.ports.startAgent(command);
    if (agent !== null) session.keep({ close: () => agent.stop() });
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    session.report.warning(`Failed to start '${command.argv[0]}', which asks for passwords: ${reasonOf(error)}`);
  }
}

/**
 * Starts polkit's agent, unless the caller is root, who needs no authorization. Does nothing if it is not installed.
 */
export async function startPolkitAgent(session: Session): Promise<void> {
  if (mayAsk(session) && session.ports.euid !== 0) await start(session, POLKIT);
}

/** Starts the agent for passwords of units. Does nothing if it is not installed. */
export async function startPasswordAgent(session: Session): Promise<void> {
  if (mayAsk(session)) await start(session, PASSWORDS);
}
