// `machinectl show`: prints the properties of machines, or of the manager, for scripts (machinectl(1), "show").
import { onOneLine } from "../../base/text/control-characters.ts";
import type { Zone } from "../../base/text/format.ts";
import { formatJson, type Json } from "../format/json.ts";
import { propertyJson, propertyText, type TypedValue } from "../format/property-text.ts";
import { attempt } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import type { Settings } from "../session/settings.ts";
import { machineProperties } from "./properties.ts";

type Properties = ReadonlyMap<string, TypedValue>;

const MANAGER_PATH = "/org/freedesktop/machine1";

/**
 * Parses `-p NAME` and `-p NAME=VALUE`: names, with the value that a property must have to be shown. Null without -p.
 */
function wantedProperties(settings: Settings): ReadonlyMap<string, string | null> | null {
  if (settings.properties.length === 0) return null;
  const split = settings.properties.map((text): [string, string | null] => {
    const equals = text.indexOf("=");
    return equals < 0 ? [text, null] : [text.slice(0, equals), text.slice(equals + 1)];
  });
  return new Map(split);
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
    if (whole === null) {
      if (showEmpty && expected === null) lines += `${name}=[unprintable]\n`;
      continue;
    }
    const text = onOneLine(whole);
    if ((expected !== null && expected !== whole) || (text === "" && !showEmpty)) continue;
    lines += settings.valueOnly ? `${text}\n` : `${name}=${text}\n`;
  }
  return lines;
}

function propertyObject(properties: Properties, settings: Settings): Json {
  const wanted = wantedProperties(settings);
  const shown = [...properties].filter(([name]) => wanted === null || wanted.has(name));
  return Object.fromEntries(shown.map(([name, { value }]) => [name, propertyJson(value)]));
}

/** Prints the properties of one object: as lines with `separator` before them, or with `--json=` as a JSON object. */
export function printProperties(
  { settings, output, terminal }: Session,
  properties: Properties,
  { zone, separator }: { readonly zone: Zone; readonly separator: string },
): void {
  if (settings.json === "off") output.write(separator + propertyLines(properties, settings, zone));
  else output.write(formatJson(propertyObject(properties, settings), settings.json, terminal.paint));
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
