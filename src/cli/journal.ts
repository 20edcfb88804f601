// The last journal entries about a unit, printed by journalctl as a child; nothing where there is no journalctl.
import type { Session } from "./session.ts";
import type { OutputMode } from "./settings.ts";

const COREDUMP_MESSAGE_ID = "fc2e22bc6ee647b6b90729ab34a250b1";

/**
 * What is about a unit: what it wrote, what the service manager says of it (recognised by its control group or its
 * number), what privileged processes say of it, and its core dumps. Terms of one group must all hold.
 */
function matches(unit: string): string[] {
  const groups = [
    [`_SYSTEMD_UNIT=${unit}`],
    ["_SYSTEMD_CGROUP=/init.scope", `UNIT=${unit}`],
    ["_PID=1", `UNIT=${unit}`],
    ["_UID=0", `OBJECT_SYSTEMD_UNIT=${unit}`],
    [`MESSAGE_ID=${COREDUMP_MESSAGE_ID}`, `COREDUMP_UNIT=${unit}`],
  ];
  return groups.flatMap((group, index) => (index === 0 ? group : ["+", ...group]));
}

/** Microseconds since the epoch in the form journalctl takes times (systemd.time(7), "@"). */
function atTime(usec: bigint): string {
  return `@${usec / 1_000_000n}.${String(usec % 1_000_000n).padStart(6, "0")}`;
}

/** The arguments of journalctl for the last entries about a unit since a time. */
export function journalCommand(
  unit: string,
  sinceUsec: bigint,
  form: { output: OutputMode; lines: number; all: boolean; full: boolean },
): [string, ...string[]] {
  return [
    "journalctl",
    "--no-pager",
    "--quiet",
    "--boot",
    `--output=${form.output}`,
    `--lines=${form.lines}`,
    `--since=${atTime(sinceUsec)}`,
    form.full ? "--full" : "--no-full",
    ...(form.all ? ["--all"] : []),
    ...matches(unit),
  ];
}

/** The journal entries `status` prints for a unit, as text in the given output mode; empty when there are none. */
export async function unitJournal(
  session: Session,
  unit: string,
  sinceUsec: bigint,
  output: OutputMode,
): Promise<string> {
  const { settings, terminal } = session;
  if (settings.lines === 0 || settings.transport.kind !== "local" || unit === "") return "";
  const full = settings.full || !terminal.isTty || session.output.hasPager || settings.json !== "off";
  const argv = journalCommand(unit, sinceUsec, { output, lines: settings.lines, all: settings.all, full });
  const colors = terminal.colors === "off" || settings.json !== "off" ? "0" : terminal.colors;
  const env = { SYSTEMD_COLORS: colors, ...(full ? {} : { COLUMNS: String(terminal.columns) }) };
  return (await session.ports.run({ argv, env })) ?? "";
}
