// `machinectl status`: prints a page about each machine, or a JSON object (machinectl(1), "status").

import { errnoNameOf } from "../../base/error.ts";
import { onOneLine } from "../../base/text/control-characters.ts";
import { formatRelative, formatTimestamp, type Zone } from "../../base/text/format.ts";
import { formatJson, type Json } from "../format/json.ts";
import { drawElsewhere, drawTree, treeJson } from "../format/process-tree.ts";
import { reasonOf } from "../session/failure.ts";
import { isHiddenProcess, PROC_HIDES } from "../session/hidden-processes.ts";
import type { Session } from "../session/session.ts";
import { type MachineDetails, machineDetails, machineFacts, type NamedProcess } from "./details.ts";
import { unitJournal, unitJournalEntries } from "./journal.ts";

const LABEL_WIDTH = 8;
const TREE_PREFIX = "\t\t  ";
/** The width of TREE_PREFIX on the screen, with tab stops at 8 columns. */
const TREE_INDENT = 18;
const LEAST_TREE_WIDTH = 10;

interface Moment {
  readonly zone: Zone;
  readonly nowUsec: bigint;
}

function namedProcess(process: NamedProcess | null): string {
  if (process === null) return "";
  return process.name === null ? String(process.pid) : `${process.pid} (${process.name})`;
}

/**
 * If one interface of this host leads to the machine, its index is appended to IPv6 addresses, which makes link-local
 * ones usable. An interface without a name was removed since the machine was registered.
 */
function addressLines(details: MachineDetails): string {
  const [only, ...others] = details.interfaces.filter(({ name }) => name !== null);
  const scope = only === undefined || others.length > 0 ? "" : `%${only.index}`;
  return details.addresses.map(({ text, isIpv6 }) => (isIpv6 ? text + scope : text)).join("\n");
}

/** The labelled lines of a page in order; a line whose text is empty is left out. */
const LINES: readonly (readonly [label: string, text: (details: MachineDetails, moment: Moment) => string])[] = [
  ["Since", (d, { zone, nowUsec }) => since(d.sinceUsec, zone, nowUsec)],
  ["Leader", (d) => namedProcess(d.leader)],
  ["Superv.", (d) => namedProcess(d.supervisor)],
  ["Service", (d) => (d.service === "" ? "" : `${d.service}${d.class === "" ? "" : `; class ${d.class}`}`)],
  ["Class", (d) => (d.service === "" ? d.class : "")],
  ["UID", (d) => (d.uid === 0 ? "" : String(d.uid))],
  ["Root", (d) => d.rootDirectory],
  ["Iface", (d) => d.interfaces.map(({ index, name }) => name ?? String(index)).join(" ")],
  ["Address", addressLines],
  ["OS", (d) => d.osRelease?.get("PRETTY_NAME") ?? ""],
  ["ID Shift", (d) => (d.uidShift === null || d.uidShift === 0 ? "" : String(d.uidShift))],
  ["Unit", (d) => d.unit],
  ["Subgroup", (d) => (d.subgroup === "/" ? "" : d.subgroup)],
];

function since(usec: bigint, zone: Zone, nowUsec: bigint): string {
  const absolute = formatTimestamp(usec, zone);
  return absolute === "" ? "" : `${absolute}; ${formatRelative(usec, nowUsec)}`;
}

function head(details: MachineDetails, moment: Moment): string {
  const title = details.id === "" ? details.name : `${details.name}(${details.id})`;
  const continuation = `\n\t${" ".repeat(LABEL_WIDTH + 2)}`;
  const lines = LINES.map(([label, write]) => {
    const text = write(details, moment);
    return text === "" ? "" : `\t${label.padStart(LABEL_WIDTH)}: ${text.replaceAll("\n", continuation)}\n`;
  });
  return `${onOneLine(title)}\n${lines.join("")}`;
}

function tree(session: Session, details: MachineDetails): string {
  const { terminal, settings, output } = session;
  const whole = settings.full || !terminal.isTty || output.hasPager;
  const width = whole ? null : Math.max(terminal.columns - TREE_INDENT, LEAST_TREE_WIDTH);
  const form = { terminal, prefix: TREE_PREFIX, width };
  const inside = details.processes === null ? "" : drawTree(details.processes, form);
  return inside + drawElsewhere(details.elsewhere, form);
}

/** Says which processes are not shown, and why. */
function reportMissing({ settings, report }: Session, { processFailure, leader }: MachineDetails): void {
  const isHidden = settings.transport.kind === "local" && leader?.name === null && isHiddenProcess(leader.pid);
  if (processFailure !== null) {
    report.error(`Failed to dump process list: ${isHidden ? PROC_HIDES : processFailure}`);
  } else if (isHidden) report.warning(`The names of the leader and the supervisor are not shown: ${PROC_HIDES}.`);
}

/**
 * Returns the journal part of a page; `none` where journalctl cannot be run (no process or descriptor is free), which
 * is reported: the machine is shown without it.
 */
async function orReported<Part>({ report }: Session, journal: Promise<Part>, none: Part): Promise<Part> {
  try {
    return await journal;
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    report.error(`Failed to read the journal: ${reasonOf(error)}`);
    return none;
  }
}

async function page(session: Session, name: string, zone: Promise<Zone>, separator: string): Promise<void> {
  const facts = await machineFacts(session, name);
  const [details, journal] = await Promise.all([
    machineDetails(session, facts),
    orReported(session, unitJournal(session, facts), ""),
  ]);
  session.output.write(separator + head(details, { zone: await zone, nowUsec: session.ports.nowUsec() }));
  reportMissing(session, details);
  session.output.write(tree(session, details));
  if (journal !== "") session.output.write(`\n${journal}`);
}

async function json(session: Session, name: string): Promise<Json> {
  const facts = await machineFacts(session, name);
  const [d, journal] = await Promise.all([
    machineDetails(session, facts),
    orReported(session, unitJournalEntries(session, facts), []),
  ]);
  const named = (process: NamedProcess | null): Json =>
    process === null ? null : { pid: process.pid, name: process.name };
  return {
    name: d.name,
    id: d.id || null,
    class: d.class || null,
    service: d.service || null,
    state: d.state || null,
    since: d.sinceUsec === 0n ? null : d.sinceUsec,
    leader: named(d.leader),
    supervisor: named(d.supervisor),
    uid: d.uid,
    rootDirectory: d.rootDirectory || null,
    networkInterfaces: d.interfaces.map(({ index, name: interfaceName }) => ({ index, name: interfaceName })),
    addresses: d.addresses.map(({ text }) => text),
    osRelease: d.osRelease === null ? null : Object.fromEntries(d.osRelease),
    uidShift: d.uidShift,
    unit: d.unit || null,
    subgroup: d.subgroup || null,
    processes: treeJson(d.processes),
    processesElsewhere: d.elsewhere.map(({ cgroup, pid, command }) => ({ cgroup, pid, command })),
    journal,
  };
}

/** The verb `status`. Stops at the first unknown machine. With `--json=`, prints one object for each machine. */
export async function status(session: Session, names: readonly string[]): Promise<number> {
  const { settings, ports, output, terminal } = session;
  await session.openPager();
  session.holdOutput();
  if (settings.json !== "off") {
    for (const name of names) output.write(formatJson(await json(session, name), settings.json, terminal.paint));
    return 0;
  }
  // Read while the daemon is asked.
  const zone = ports.zone();
  for (const [index, name] of names.entries()) await page(session, name, zone, index === 0 ? "" : "\n");
  return 0;
}
