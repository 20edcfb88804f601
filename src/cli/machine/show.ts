// `machinectl show`: prints the properties of machines, or of the manager, for scripts (machinectl(1), "show").
import { onOneLine } from "../../base/text/control-characters.ts";
import type { Zone } from "../../base/text/format.ts";
import { formatJson, type Json } from "../format/json.ts";
import { propertyJson, propertyText, type TypedValue } from "../format/property-text.ts";
import { parseBoolean } from "../format/terminal.ts";
import { attempt } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import type { Settings } from "../session/settings.ts";
import { machineProperties } from "./properties.ts";

type Properties = ReadonlyMap<string, TypedValue>;

const MANAGER_PATH = "/org/freedesktop/machine1";

/**
 * Parses `-p NAME` and `-p NAME=VALUE`: names, with the value that a property must have to be shown. Of several values
 * for a name the first counts, and none where the name is also given without one. Null without -p.
 */
function wantedProperties(settings: Settings): ReadonlyMap<string, string | null> | null {
  if (settings.properties.length === 0) return null;
  const wanted = new Map<string, string | null>();
  for (const text of settings.properties) {
    const equals = text.indexOf("=");
    const name = equals < 0 ? text : text.slice(0, equals);
    if (equals < 0) wanted.set(name, null);
    else if (!wanted.has(name)) wanted.set(name, text.slice(equals + 1));
  }
  return wanted;
}

/** Whether a property has the value that `-p NAME=VALUE` asks for; a boolean may be written in any way. */
function isExpected({ value }: TypedValue, text: string | null, expected: string | null): boolean {
  if (expected === null) return true;
  return typeof value === "boolean" ? parseBoolean(expected) === value : text === expected;
}

/** Returns the lines for one object, in the order of its properties. */
function propertyLines(properties: Properties, settings: Settings, zone: Zone): string {
  const wanted = wantedProperties(settings);
  const showEmpty = settings.all || wanted !== null;
  let lines = "";
  for (const [name, value] of properties) {
    if (wanted !== null && !wanted.has(name)) continue;
    const expected = wanted?.get(name) ?? null;
    const whole = propertyText(name, value, zone);
    if (!isExpected(value, whole, expected)) continue;
    if (whole === null) {
      if (showEmpty) lines += `${name}=[unprintable]\n`;
      continue;
    }
    const text = onOneLine(whole);
    if (text === "" && !showEmpty) continue;
    lines += settings.valueOnly ? `${text}\n` : `${name}=${text}\n`;
  }
  return lines;
}

function propertyObject(properties: Properties, settings: Settings, zone: Zone): Json {
  const wanted = wantedProperties(settings);
  const shown = [...properties].filter(([name, value]) => {
    if (wanted === null) return true;
    return wanted.has(name) && isExpected(value, propertyText(name, value, zone), wanted.get(name) ?? null);
  });
  return Object.fromEntries(shown.map(([name, { value }]) => [name, propertyJson(value)]));
}

/** Prints the properties of one object: as lines with `separator` before them, or with `--json=` as a JSON object. */
export function printProperties(
  { settings, output, terminal }: Session,
  properties: Properties,
  { zone, separator }: { readonly zone: Zone; readonly separator: string },
): void {
  if (settings.json === "off") output.write(separator + propertyLines(properties, settings, zone));
  else output.write(formatJson(propertyObject(properties, settings, zone), settings.json, terminal.paint));
}

/**
 * The verb `show`. With `--json=`, prints one object for each machine; its keys are the D-Bus names of the properties.
 */
export async function show(session: Session, names: readonly string[]): Promise<number> {
  await session.openPager();
  session.holdOutput();
  // Read while the daemon is asked.
  const zone = session.ports.zone();
  const print = async (properties: Properties, separator: string) =>
    printProperties(session, properties, { zone: await zone, separator });
  if (names.length === 0) {
    await print(await attempt("Could not get properties", () => session.properties(MANAGER_PATH)), "");
  }
  for (const [index, name] of names.entries()) {
    await print(await machineProperties(session, name), index === 0 ? "" : "\n");
  }
  return 0;
}
