// `machinectl image-status`: prints a page about each image, or about the pool (machinectl(1), "image-status").
import { onOneLine } from "../../base/text/control-characters.ts";
import { formatBytes, formatRelative, formatTimestamp, UINT64_MAX, type Zone } from "../../base/text/format.ts";
import { formatJson, type Json } from "../format/json.ts";
import type { Paint } from "../format/terminal.ts";
import { attempt } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { type ImageDetails, imageDetails } from "./details.ts";

const LABEL_WIDTH = 8;
const MANAGER_PATH = "/org/freedesktop/machine1";

interface Moment {
  readonly zone: Zone;
  readonly nowUsec: bigint;
  readonly paint: Paint;
}

/** The labelled lines of a page in order; a line whose text is empty is left out. */
const LINES: readonly (readonly [label: string, text: (details: ImageDetails, moment: Moment) => string])[] = [
  ["Type", (d) => d.type],
  ["Path", (d) => d.path],
  ["Hostname", (d) => d.hostname],
  ["Machine ID", (d) => d.machineId],
  ["Deployment", (d) => d.machineInfo.get("DEPLOYMENT") ?? ""],
  ["OS", (d) => d.osRelease.get("PRETTY_NAME") ?? ""],
  ["RO", (d, { paint }) => (d.isReadOnly ? `${paint.red}read-only${paint.normal}` : "writable")],
  ["Created", (d, moment) => since(d.createdUsec, moment)],
  ["Modified", (d, moment) => since(d.modifiedUsec, moment)],
  ["Usage", (d) => space(d.usage, d.usageExclusive)],
  ["Limit", (d) => space(d.limit, d.limitExclusive)],
];

function since(usec: bigint, { zone, nowUsec }: Moment): string {
  const absolute = formatTimestamp(usec, zone);
  return absolute === "" ? "" : `${absolute}; ${formatRelative(usec, nowUsec)}`;
}

function space(bytes: bigint, exclusive: bigint): string {
  const whole = formatBytes(bytes);
  const own = exclusive === bytes ? "" : formatBytes(exclusive);
  return whole !== "" && own !== "" ? `${whole} (exclusive: ${own})` : whole;
}

/**
 * Returns a line whose label ends in column 16. The two labels that are longer than LABEL_WIDTH begin before the tab
 * stop.
 */
function line(label: string, text: string): string {
  if (text === "") return "";
  const start = label.length > LABEL_WIDTH ? `      ${label}` : `\t${label.padStart(LABEL_WIDTH)}`;
  return `${start}: ${onOneLine(text)}\n`;
}

function page(details: ImageDetails, moment: Moment): string {
  return `${onOneLine(details.name)}\n${LINES.map(([label, write]) => line(label, write(details, moment))).join("")}`;
}

function json(d: ImageDetails): Json {
  const known = (bytes: bigint): Json => (bytes === UINT64_MAX ? null : bytes);
  return {
    name: d.name,
    path: d.path || null,
    type: d.type || null,
    readOnly: d.isReadOnly,
    created: d.createdUsec === 0n ? null : d.createdUsec,
    modified: d.modifiedUsec === 0n ? null : d.modifiedUsec,
    usage: known(d.usage),
    usageExclusive: known(d.usageExclusive),
    limit: known(d.limit),
    limitExclusive: known(d.limitExclusive),
    hostname: d.hostname || null,
    machineId: d.machineId || null,
    machineInfo: Object.fromEntries(d.machineInfo),
    osRelease: Object.fromEntries(d.osRelease),
  };
}

async function pool(session: Session): Promise<void> {
  const { settings, output, terminal } = session;
  const properties = await attempt("Could not get properties", () => session.properties(MANAGER_PATH));
  const bytes = (key: string) => {
    const value = properties.get(key)?.value;
    return typeof value === "bigint" ? value : UINT64_MAX;
  };
  const path = String(properties.get("PoolPath")?.value ?? "");
  const [usage, limit] = [bytes("PoolUsage"), bytes("PoolLimit")];
  if (settings.json === "off") {
    output.write(line("Path", path) + line("Usage", formatBytes(usage)) + line("Limit", formatBytes(limit)));
    return;
  }
  const known = (value: bigint): Json => (value === UINT64_MAX ? null : value);
  output.write(formatJson({ path, usage: known(usage), limit: known(limit) }, settings.json, terminal.paint));
}

/** The verb `image-status`. Stops at the first unknown image. With `--json=`, prints one object for each image. */
export async function imageStatus(session: Session, names: readonly string[]): Promise<number> {
  const { settings, ports, output, terminal } = session;
  await session.openPager();
  session.holdOutput();
  if (names.length === 0) await pool(session);
  // Read while the daemon is asked.
  const zone = ports.zone();
  for (const [index, name] of names.entries()) {
    const details = await imageDetails(session, name);
    if (settings.json !== "off") output.write(formatJson(json(details), settings.json, terminal.paint));
    else {
      const moment = { zone: await zone, nowUsec: ports.nowUsec(), paint: terminal.paint };
      output.write((index === 0 ? "" : "\n") + page(details, moment));
    }
  }
  return 0;
}
